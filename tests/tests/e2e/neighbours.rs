//! Machines that move to another MAC address.

use lb_tests::client::Chatter;
use lb_tests::netns::{Mac, Namespace};
use lb_tests::network::{ETH, Family, Layout};

use crate::stage::Stage;

const OTHER_MAC: Mac = Mac([0x02, 0, 0, 0xbe, 0xef, 0x01]);

#[test]
fn server_with_another_mac_is_followed_v4() {
    server_moves(Layout::Routed, Family::V4);
}

#[test]
fn server_with_another_mac_is_followed_v6() {
    server_moves(Layout::Routed, Family::V6);
}

#[test]
fn server_with_another_mac_is_followed_one_arm() {
    server_moves(Layout::OneArm, Family::V4);
}

fn server_moves(layout: Layout, family: Family) {
    let stage = Stage::new(layout, family, 1);
    announce_changes(&stage.network.servers[0]);
    let open = Chatter::start(&stage.network.client, stage.address).unwrap();
    open.still_talks().unwrap();
    stage.network.servers[0].set_mac(ETH, OTHER_MAC).unwrap();
    open.still_talks().unwrap();
    open.finish().unwrap();
    stage.answers(5);
}

/// The flow knows the client's MAC address, as replies go back the way its packets came.
#[test]
fn client_with_another_mac_is_followed() {
    let stage = Stage::new(Layout::OneArm, Family::V4, 1);
    announce_changes(&stage.network.client);
    let open = Chatter::start(&stage.network.client, stage.address).unwrap();
    open.still_talks().unwrap();
    stage.network.client.set_mac(ETH, OTHER_MAC).unwrap();
    open.still_talks().unwrap();
    open.finish().unwrap();
}

/// Makes a changed MAC address known as fail-over software does: with gratuitous ARP and
/// unsolicited neighbour advertisements.
fn announce_changes(namespace: &Namespace) {
    namespace
        .sysctl(&format!("net/ipv4/conf/{ETH}/arp_notify"), "1")
        .unwrap();
    namespace
        .sysctl(&format!("net/ipv6/conf/{ETH}/ndisc_notify"), "1")
        .unwrap();
}
