use super::*;

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn a_step_that_fails_shows_what_the_command_said() {
    let error = run(
        "a step",
        &mut shell("echo the reason >&2; exit 3"),
        Duration::from_secs(10),
    )
    .expect_err("the command fails");
    assert!(error.to_string().contains("the reason"), "{error}");
}

#[test]
fn a_step_that_hangs_is_stopped() {
    let start = Instant::now();
    let error = run(
        "a step",
        &mut shell("exec sleep 60"),
        Duration::from_millis(300),
    )
    .expect_err("the command hangs");
    assert!(error.to_string().contains("stopped"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_step_cannot_wait_for_answers() {
    run(
        "a step",
        &mut shell("! read answer"),
        Duration::from_secs(10),
    )
    .expect("input is closed");
}

#[test]
fn a_step_does_not_wait_for_what_it_started() {
    let start = Instant::now();
    run("a step", &mut shell("sleep 20 &"), Duration::from_secs(15)).expect("the command ends");
    assert!(start.elapsed() < Duration::from_secs(15));
}
