use super::*;

fn report(output: &str) -> Report {
    let mut parser = Parser::default();
    for line in output.lines() {
        parser.read(line);
    }
    parser.finish()
}

fn shown(output: &str) -> Vec<&str> {
    let mut parser = Parser::default();
    output.lines().filter(|line| parser.read(line)).collect()
}

#[test]
fn adds_up_several_test_programs() {
    let report = report(
        "running 2 tests\n\
         test csum::tests::odd ... ok\n\
         test csum::tests::even ... ok\n\
         \n\
         test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
         running 2 tests\n\
         test ring::exact ... FAILED\n\
         test ring::empty ... ok\n\
         \n\
         failures:\n\
         \n\
         ---- ring::exact stdout ----\n\
         thread 'ring::exact' panicked\n\
         test not a result ... FAILED\n\
         \n\
         failures:\n    ring::exact\n\
         \n\
         test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 3 filtered out; finished in 1.50s\n",
    );
    assert_eq!((report.passed, report.failed), (3, 1));
    assert_eq!(report.failures, ["ring::exact"]);
    assert!(report.skipped.is_empty());
}

#[test]
fn a_skipped_test_is_not_a_passed_one() {
    let report = report(
        "SKIPPED: redis::pubsub: redis-server is not installed: see docs\n\
         test redis::pubsub ... ok\n\
         test tcp::bulk ... ok\n\
         test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
    );
    assert_eq!((report.passed, report.failed), (1, 0));
    assert_eq!(
        report.skipped.into_iter().collect::<Vec<_>>(),
        [(
            "redis::pubsub".to_owned(),
            "redis-server is not installed: see docs".to_owned()
        )]
    );
}

#[test]
fn a_skipped_test_that_says_so_twice_counts_once() {
    let report = report(
        "SKIPPED: a: no BPF\n\
         test a ... ok\n\
         successes:\n\
         ---- a stdout ----\n\
         SKIPPED: a: no BPF\n\
         test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
    );
    assert_eq!((report.passed, report.skipped.len()), (0, 1));
}

#[test]
fn with_one_thread_the_mark_is_in_the_middle_of_the_line() {
    let report = report(
        "test a::b ... SKIPPED: a::b: no BPF\n\
         ok\n\
         test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
    );
    assert_eq!((report.passed, report.skipped.len()), (0, 1));
}

#[test]
fn ignored_tests_count_as_skipped_with_their_reason() {
    let report = report(
        "test slow ... ignored, takes an hour\n\
         test odd ... ignored\n\
         test quick ... ok\n\
         test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
    );
    assert_eq!((report.passed, report.skipped.len()), (1, 2));
    assert_eq!(report.skipped["slow"], "takes an hour");
}

#[test]
fn what_passed_tests_print_is_not_shown() {
    assert_eq!(
        shown(
            "test a ... ok\n\
             \n\
             successes:\n\
             \n\
             ---- a stdout ----\n\
             noise\n\
             \n\
             successes:\n    a\n\
             \n\
             test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n"
        ),
        [
            "test a ... ok",
            "",
            "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s"
        ]
    );
}

#[test]
fn what_failed_tests_print_is_shown() {
    let output = "successes:\n---- a stdout ----\nnoise\nfailures:\n---- b stdout ----\nwhy\n";
    assert_eq!(shown(output), ["failures:", "---- b stdout ----", "why"]);
}

#[test]
fn lists_names() {
    let output = "redis::get: test\nmod::bench: benchmark\n\n1 test, 1 benchmark\n";
    assert_eq!(listed(output).collect::<Vec<_>>(), ["redis::get"]);
}
