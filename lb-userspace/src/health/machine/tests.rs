use super::*;

fn machine(rise: u32, fall: u32) -> Machine {
    let probe = config::Probe {
        kind: config::Kind::Tcp,
        target: "192.0.2.1:5432".parse().unwrap(),
        interval: Duration::from_secs(1),
        fast_interval: Duration::from_millis(600),
        down_interval: Duration::from_secs(5),
        timeout: Duration::from_millis(500),
        rise: NonZeroU32::new(rise).unwrap(),
        fall: NonZeroU32::new(fall).unwrap(),
    };
    Machine::new(&probe, Instant::now())
}

fn good() -> Finding {
    Finding {
        took: Duration::from_micros(420),
        result: Ok("connected"),
    }
}

fn bad() -> Finding {
    let took = Duration::from_micros(300);
    Finding {
        took,
        result: Err(Failure::Refused(took)),
    }
}

fn local() -> Finding {
    Finding {
        took: Duration::ZERO,
        result: Err(Failure::Local("out of descriptors".into())),
    }
}

/// `+` a success, `-` a failure, `?` a probe that could not be made; the answer is the state after
/// each.
fn run(machine: &mut Machine, probes: &str) -> String {
    let now = Instant::now();
    probes
        .chars()
        .map(|probe| {
            machine.observe(
                match probe {
                    '+' => good(),
                    '-' => bad(),
                    _ => local(),
                },
                now,
            );
            match machine.status().health {
                ServerHealth::Up => 'U',
                ServerHealth::Down => 'D',
            }
        })
        .collect()
}

#[test]
fn starts_down_and_one_success_suffices_at_the_start() {
    let mut machine = machine(5, 3);
    assert_eq!(machine.status().health, ServerHealth::Down);
    assert_eq!(machine.status().why, "not checked yet");
    assert_eq!(run(&mut machine, "+"), "U");
}

#[test]
fn after_a_failed_start_rise_counts() {
    assert_eq!(run(&mut machine(3, 3), "-+++"), "DDDU");
}

#[test]
fn rise_and_fall_count_consecutive_results_only() {
    assert_eq!(run(&mut machine(2, 3), "+--+--+---"), "UUUUUUUUUD");
    assert_eq!(run(&mut machine(2, 1), "-+-+-++"), "DDDDDDU");
}

#[test]
fn a_probe_that_this_host_could_not_make_says_nothing_of_the_server() {
    // Neither does it break a row of failures, nor does it count in one.
    assert_eq!(run(&mut machine(2, 3), "+-?-?????-"), "UUUUUUUUUD");
    assert_eq!(run(&mut machine(2, 3), "?+"), "DU");
}

#[test]
fn transitions_are_told_once_with_reason_and_count() {
    let mut machine = machine(2, 2);
    let start = Instant::now();
    let up = machine.observe(good(), start).unwrap();
    assert_eq!(up.to, ServerHealth::Up);
    assert_eq!(up.reason, "connected in 0.4 ms (1 of 1)");
    assert_eq!(machine.observe(bad(), start), None);
    let later = start + Duration::from_secs(7);
    let down = machine.observe(bad(), later).unwrap();
    assert_eq!(down.reason, "connection refused after 0.3 ms (2 of 2)");
    assert_eq!(machine.observe(bad(), later + Duration::from_secs(1)), None);
    let status = machine.status();
    assert_eq!(
        (status.since, status.failures, status.successes),
        (later, 3, 0)
    );
    assert_eq!(status.why, down.reason);
}

#[test]
fn a_server_that_is_down_from_the_start_is_told_of() {
    let mut machine = machine(2, 3);
    let down = machine.observe(bad(), Instant::now()).unwrap();
    assert_eq!(down.to, ServerHealth::Down);
    assert_eq!(down.reason, "connection refused after 0.3 ms (1 of 1)");
    assert_eq!(machine.observe(bad(), Instant::now()), None);
}

#[test]
fn failures_read_as_sentences() {
    assert_eq!(
        Failure::Timeout(Duration::from_millis(500)).to_string(),
        "no answer within 500ms"
    );
    assert_eq!(Failure::HostUnreachable.to_string(), "no route to host");
}

#[test]
fn the_time_to_the_next_probe_depends_on_what_is_known() {
    let [steady, deciding, down] = [1_000, 600, 5_000].map(Duration::from_millis);
    let mut machine = machine(2, 2);
    assert_eq!(machine.interval(), down, "before the first probe");
    for (probe, interval) in [
        (good(), steady),
        (bad(), deciding),
        (good(), steady),
        (bad(), deciding),
        (bad(), down),
        (bad(), down),
        (good(), deciding),
        (bad(), down),
        (good(), deciding),
        (good(), steady),
    ] {
        machine.observe(probe, Instant::now());
        assert_eq!(machine.interval(), interval);
    }
}
