//! What is not the balancer's business stays the stack's.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lb_tests::balancer::Balancer;
use lb_tests::client::{Chatter, Connection, PATIENCE};
use lb_tests::network::{ETH, Family, Layout};
use lb_tests::ping::ping;
use lb_tests::raw::RawSocket;
use lb_tests::server::Server;

use crate::stage::{SERVICE_PORT, Stage};

const SSH_PORT: u16 = 22;

#[test]
fn own_services_of_the_balancer_keep_working_routed_v4() {
    own_services(Layout::Routed, Family::V4);
}

#[test]
fn own_services_of_the_balancer_keep_working_routed_v6() {
    own_services(Layout::Routed, Family::V6);
}

#[test]
fn own_services_of_the_balancer_keep_working_one_arm() {
    own_services(Layout::OneArm, Family::V4);
}

/// Like ssh to the balancer: its own address and the service's, at a port that is no service.
fn own_services(layout: Layout, family: Family) {
    let stage = Stage::new(layout, family, 1);
    let network = &stage.network;
    for address in [network.balancer_address(family), network.vip(family)] {
        let ssh = SocketAddr::new(address, SSH_PORT);
        let _server = Server::start(&network.balancer, "ssh", ssh).unwrap();
        network.client.block_on(async || {
            let mut connection = Connection::open(ssh).await.unwrap();
            assert_eq!(connection.server(), "ssh");
            connection.stream(1_000_000, 1_000_000, 1).await.unwrap();
        });
        ping(&network.client, address, PATIENCE).unwrap();
    }
    // Out of the balancer's own host, too.
    let server: IpAddr = network.server_address(0, family);
    ping(&network.balancer, server, PATIENCE).unwrap();
    assert_eq!(stage.answers(3).get("s1"), Some(&3));
}

/// A promiscuous port or a flooding switch brings frames for other stations.
#[test]
fn frames_for_other_stations_are_left_alone() {
    if Balancer::skip_rival() {
        return;
    }
    let stage = Stage::new(Layout::Routed, Family::V4, 1);
    let Stage { network, .. } = &stage;
    network.balancer.promiscuous(network.front()).unwrap();

    // A real packet of a real connection, as the client sends it.
    let sent = RawSocket::open(&network.client, ETH).unwrap();
    let open = Chatter::start(&network.client, stage.address).unwrap();
    let for_service = |frame: &[u8]| is_tcp_to(frame, SERVICE_PORT);
    let ours = sent
        .find(PATIENCE, for_service)
        .unwrap()
        .expect("the client sends");
    open.finish().unwrap();
    let mut foreign = ours.clone();
    foreign[5] ^= 0x55;

    // The stack sees the foreign frame as it was, and of our own nothing.
    let seen = RawSocket::open(&network.balancer, network.front()).unwrap();
    let before = stage.lb().verdict("not_our_mac").unwrap();
    sent.send(&ours).unwrap();
    sent.send(&foreign).unwrap();
    let found = seen.find(PATIENCE, for_service).unwrap();
    assert_eq!(found, Some(foreign));
    assert_eq!(
        seen.find(Duration::from_millis(200), for_service).unwrap(),
        None
    );
    assert!(stage.lb().verdict("not_our_mac").unwrap() > before);
}

/// Whether `frame` is IPv4 without options, TCP, to `port`.
fn is_tcp_to(frame: &[u8], port: u16) -> bool {
    frame.len() >= 54
        && frame[12..15] == [0x08, 0x00, 0x45]
        && frame[23] == 6
        && frame[36..38] == port.to_be_bytes()
}
