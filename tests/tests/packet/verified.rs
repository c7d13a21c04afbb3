//! What the programs ask of the kernel's verifier.

use std::io::Write as _;

use lb_tests::plane::decap::DecapPlane;
use lb_tests::plane::{Plane, Sizes};

/// Verifiers differ between kernels by a factor of two and more, and refuse a program at a million:
/// far below that, the next kernel and the next feature fit.
const LIMIT: u32 = 100_000;

#[test]
fn the_verifier_walks_few_instructions() {
    let plain = Sizes::default();
    let watched = Sizes {
        watched: true,
        ..plain
    };
    let choosing = Sizes {
        sticks: 1_000,
        redispatch: true,
        ..plain
    };
    for (sizes, with) in [
        (plain, ""),
        (watched, " with events and accounts"),
        (choosing, " with sticks and redispatch"),
    ] {
        let mut plane = Plane::load(sizes).expect("root, and a kernel that takes the programs");
        for (name, program) in plane.ebpf().programs() {
            // The kernel knows only those that were loaded; it tells the number since 5.16.
            let info = program.info().ok();
            check(
                &format!("{name}{with}"),
                info.and_then(|info| info.verified_instruction_count()),
            );
        }
    }
}

#[test]
fn it_walks_few_instructions_of_decap() {
    let plane = DecapPlane::load(&[], &[], None).expect("root, and a kernel that takes it");
    check("lb_decap", plane.verified_instructions());
}

fn check(name: &str, verified: Option<u32>) {
    let Some(verified) = verified else {
        return;
    };
    // Past the test runner's capture: a figure to keep.
    writeln!(
        std::io::stdout().lock(),
        "{name}: {verified} verified instructions"
    )
    .expect("standard output");
    assert!(
        verified <= LIMIT,
        "{name}: {verified} verified instructions, more than {LIMIT}"
    );
}
