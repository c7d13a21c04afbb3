//! Consistent hashing: when a server leaves, the others' clients stay where they are.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use lb_tests::balancer::Balance;
use lb_tests::client::Connect;
use lb_tests::network::{Family, Layout};
use tokio::task::JoinSet;

use crate::stage::Stage;

const FIRST_PORT: u16 = 20_000;
const TUPLES: u16 = 2_000;
const AT_ONCE: usize = 50;

#[test]
fn maglev_moves_little_more_than_the_share_of_who_left() {
    maglev(Family::V4);
}

#[test]
fn maglev_moves_little_more_than_the_share_of_who_left_v6() {
    maglev(Family::V6);
}

fn maglev(family: Family) {
    let mut stage = Stage::with(Layout::Routed, family, 4, |s| s.balance(Balance::Maglev));
    let before = who_serves(&stage, family);
    let mut shares = BTreeMap::<&str, usize>::new();
    for server in before.values() {
        *shares.entry(server).or_default() += 1;
    }
    assert_eq!(shares.len(), 4, "{shares:?}");
    let share = shares["s2"];

    assert_eq!(
        who_serves(&stage, family),
        before,
        "the same tuple goes to the same server"
    );

    stage.servers[1].stop();
    stage.wait_noticed("s2", false);
    let after = who_serves(&stage, family);
    let moved = before
        .iter()
        .filter(|(port, server)| after[port] != **server)
        .count();
    let most = share + usize::from(TUPLES) / 100;
    assert!(moved <= most, "{moved} of {TUPLES} moved, {share} had to");
    assert!(after.values().all(|server| server != "s2"));

    stage.servers[1].restart(&stage.network.servers[1]).unwrap();
    stage.wait_noticed("s2", true);
    assert_eq!(
        who_serves(&stage, family),
        before,
        "all is as it was when the server is back"
    );
}

/// The server that each source port's connection goes to.
fn who_serves(stage: &Stage, family: Family) -> BTreeMap<u16, String> {
    let address = stage.address;
    let client = stage.network.client_address(family);
    stage.network.client.block_on(async || {
        let mut served = BTreeMap::new();
        let mut asking = JoinSet::new();
        for port in FIRST_PORT..FIRST_PORT + TUPLES {
            if asking.len() == AT_ONCE {
                let (port, server) = asking.join_next().await.unwrap().unwrap();
                served.insert(port, server);
            }
            asking.spawn(async move {
                let from = Some(SocketAddr::new(client, port));
                let connection = Connect {
                    from,
                    ..Connect::default()
                }
                .to(address)
                .await
                .unwrap();
                let server = connection.server().to_owned();
                // Reset, so that the same port can be used again at once.
                connection.reset().unwrap();
                (port, server)
            });
        }
        served.extend(asking.join_all().await);
        served
    })
}
