use super::*;

const LENGTH: Duration = Duration::from_secs(30);

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// Plays the whole story with the check's results a little late.
fn told(failures: Vec<Failure>) -> Story {
    let mut story = Story::new("db2", LENGTH);
    let mut up = true;
    for tenth in 0..300 {
        let now = seconds(f64::from(tenth) / 10.0);
        if tenth == 86 {
            up = false;
        }
        if tenth == 184 {
            up = true;
        }
        let due = match tenth {
            80 => Some(Act::Kill),
            180 => Some(Act::Revive),
            _ => None,
        };
        assert_eq!(story.next_act(now), due, "at {now:?}");
        story.observe(now, up);
    }
    story.end(LENGTH, failures);
    story
}

#[test]
fn events_come_in_order_and_once() {
    let events = told(Vec::new()).events();
    let times: Vec<&str> = events.iter().map(|event| &event[..7]).collect();
    assert_eq!(times, ["  8.0 s", "  8.6 s", " 18.0 s", " 18.4 s"]);
}

#[test]
fn summary_tells_when_the_last_client_failed() {
    let failure = |at, open| Failure {
        at: seconds(at),
        open,
    };
    let story = told(vec![
        failure(8.001, true),
        failure(8.55, false),
        failure(20.0, false),
    ]);
    let summary = story.summary(&Totals::default(), &[], &[]);
    assert!(
        summary.contains("1 connections broke with it, 1 attempts"),
        "{summary}"
    );
    assert!(summary.contains("550 ms after its death"), "{summary}");
    assert!(
        summary.contains("1 failures had nothing to do with it"),
        "{summary}"
    );
    assert!(summary.contains("found up about 400 ms later"), "{summary}");
    assert!(summary.contains("dropped none"), "{summary}");
}

#[test]
fn interrupted_story_says_so_and_claims_nothing() {
    let mut story = Story::new("db2", LENGTH);
    story.interrupt("Ctrl-C");
    story.end(seconds(3.0), Vec::new());
    let summary = story.summary(&Totals::default(), &[], &[]);
    assert!(
        summary.starts_with("Ended by Ctrl-C after 3.0 s"),
        "{summary}"
    );
    assert!(summary.contains("ended before db2 was to die"), "{summary}");
    assert!(!summary.contains("moved"), "{summary}");
}
