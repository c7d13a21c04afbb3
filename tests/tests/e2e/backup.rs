//! Backup servers.

use lb_tests::client::Chatter;
use lb_tests::network::{Family, Layout};

use crate::stage::Stage;

#[test]
fn backup_takes_over_when_no_other_is_up_and_hands_back() {
    let mut stage = Stage::with(Layout::Routed, Family::V4, 3, |mut service| {
        service.backends[2].backup = true;
        service
    });
    let tally = stage.answers(10);
    assert!(
        !tally.contains_key("s3"),
        "a backup is not used while others are up: {tally:?}"
    );

    stage.servers[0].stop();
    stage.wait_noticed("s1", false);
    let tally = stage.answers(10);
    assert_eq!(
        tally.get("s2"),
        Some(&10),
        "one that is up is enough: {tally:?}"
    );

    stage.servers[1].stop();
    stage.wait_noticed("s2", false);
    let tally = stage.answers(10);
    assert_eq!(tally.get("s3"), Some(&10), "{tally:?}");

    // A connection to the backup lasts; new ones go back.
    let lasting = Chatter::start(&stage.network.client, stage.address).unwrap();
    stage.servers[0].restart(&stage.network.servers[0]).unwrap();
    stage.wait_noticed("s1", true);
    let tally = stage.answers(10);
    assert_eq!(tally.get("s1"), Some(&10), "{tally:?}");
    lasting.still_talks().unwrap();
    assert_eq!(lasting.server(), "s3");
    lasting.finish().unwrap();
}
