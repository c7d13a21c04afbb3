use std::collections::HashSet;

use super::*;

/// Numbers index one array; names are one set of metrics' labels.
#[test]
fn reasons_are_told_apart() {
    let drops = DropReason::ALL
        .iter()
        .map(|reason| (*reason as u32, reason.name()));
    let passes = PassReason::ALL
        .iter()
        .map(|reason| (*reason as u32, reason.name()));
    let (mut numbers, mut names) = (HashSet::new(), HashSet::new());
    for (number, name) in drops.chain(passes) {
        assert!(number != 0 && number < VERDICT_COUNTERS, "{name}");
        assert!(numbers.insert(number), "{name}");
        assert!(names.insert(name), "{name}");
    }
}

/// The program tells drops from passes by their number.
#[test]
fn drops_are_below_passes() {
    assert!(
        DropReason::ALL
            .iter()
            .all(|reason| (*reason as u32) < PASS_BASE)
    );
    assert!(
        PassReason::ALL
            .iter()
            .all(|reason| *reason as u32 >= PASS_BASE)
    );
}
