use super::*;

fn report(passed: usize, failed: usize) -> Report {
    Report {
        passed,
        failed,
        ..Report::default()
    }
}

#[test]
fn the_last_line_is_the_sum() {
    let summary = Summary {
        parts: vec![
            PartResult::new("unit", report(10, 0), true),
            PartResult::new("packet", report(5, 2), false),
            PartResult::skipped_as_a_whole(
                "e2e",
                vec![Skipped {
                    test: "redis::get".to_owned(),
                    reason: "needs root".to_owned(),
                }],
            ),
        ],
    };
    let text = summary.to_string();
    assert_eq!(
        text.lines().last(),
        Some("15 passed, 2 failed, 1 skipped"),
        "{text}"
    );
    assert!(text.contains("redis::get: needs root"), "{text}");
}

#[test]
fn a_program_that_dies_without_a_word_is_a_failure() {
    assert_eq!(PartResult::new("e2e", report(3, 0), false).failed, 1);
    assert_eq!(PartResult::new("e2e", report(3, 2), false).failed, 2);
    assert_eq!(PartResult::new("e2e", report(3, 0), true).failed, 0);
}

#[test]
fn many_tests_skipped_for_one_reason_take_one_line() {
    let skipped = |count: usize| {
        let skipped = (0..count).map(|i| Skipped {
            test: format!("test{i}"),
            reason: "needs root".to_owned(),
        });
        let part = PartResult::skipped_as_a_whole("packet", skipped.collect());
        Summary { parts: vec![part] }.to_string()
    };
    assert!(skipped(2).contains("test1: needs root"));
    let many = skipped(90);
    assert!(many.contains("packet: 90 tests: needs root"), "{many}");
    assert!(!many.contains("test1"), "{many}");
    assert_eq!(many.lines().last(), Some("0 passed, 0 failed, 90 skipped"));
}
