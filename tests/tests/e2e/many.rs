//! Many connections at once.

use std::collections::BTreeMap;

use lb_tests::client::Connection;
use lb_tests::network::{Family, Layout};
use tokio::task::JoinSet;

use crate::stage::Stage;

const CONNECTIONS: usize = 1000;

#[test]
fn thousand_connections_at_once_routed_v4() {
    thousand(Layout::Routed, Family::V4);
}

#[test]
fn thousand_connections_at_once_routed_v6() {
    thousand(Layout::Routed, Family::V6);
}

#[test]
fn thousand_connections_at_once_one_arm_v4() {
    thousand(Layout::OneArm, Family::V4);
}

/// All are open before the first one talks; each then hears its own words back, and no other's.
fn thousand(layout: Layout, family: Family) {
    let stage = Stage::new(layout, family, 3);
    let address = stage.address;
    let tally = stage.network.client.block_on(async || {
        let mut opening = JoinSet::new();
        for _ in 0..CONNECTIONS {
            opening.spawn(async move { Connection::open(address).await.unwrap() });
        }
        let open = opening.join_all().await;

        let mut talking = JoinSet::new();
        for (number, mut connection) in open.into_iter().enumerate() {
            talking.spawn(async move {
                let server = connection.server().to_owned();
                connection.start_echo().await.unwrap();
                let message = format!("this is connection {number}");
                connection.round_trip(message.as_bytes()).await.unwrap();
                connection.close().await.unwrap();
                server
            });
        }
        let mut tally = BTreeMap::<String, usize>::new();
        for server in talking.join_all().await {
            *tally.entry(server).or_default() += 1;
        }
        tally
    });
    // In turn, also when they come all together.
    for (server, count) in &tally {
        assert!(
            count.abs_diff(CONNECTIONS / 3) <= 1,
            "{server} has {count}: {tally:?}"
        );
    }
    assert_eq!(tally.values().sum::<usize>(), CONNECTIONS);
}
