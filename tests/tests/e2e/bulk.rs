//! Every byte arrives, in both directions at once.

use lb_tests::client::Connection;
use lb_tests::network::{Family, Layout};

use crate::stage::Stage;

const SIZE: u64 = 200 * 1000 * 1000;

#[test]
fn bulk_both_ways_routed_v4() {
    bulk(Layout::Routed, Family::V4);
}

#[test]
fn bulk_both_ways_routed_v6() {
    bulk(Layout::Routed, Family::V6);
}

#[test]
fn bulk_both_ways_one_arm_v4() {
    bulk(Layout::OneArm, Family::V4);
}

#[test]
fn bulk_both_ways_one_arm_v6() {
    bulk(Layout::OneArm, Family::V6);
}

fn bulk(layout: Layout, family: Family) {
    let stage = Stage::new(layout, family, 1);
    let address = stage.address;
    stage.network.client.block_on(async || {
        let mut connection = Connection::open(address).await.unwrap();
        connection.stream(SIZE, SIZE, 42).await.unwrap();
        connection.close().await.unwrap();
    });
}
