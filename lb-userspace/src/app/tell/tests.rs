use super::*;
use crate::desired::{Algorithm, DesiredRing, DesiredService};
use crate::model::{Family, PoolName, ServerKey, ServerName, ServiceHalf, ServiceName};
use crate::neighbour::{Hop, Link};

fn network(mac: Option<u8>) -> Network {
    let mut network = Network::default();
    let link = Link {
        name: "eth1".to_owned(),
        mac: [2, 0, 0, 0, 0, 1],
        mtu: 1500,
    };
    network.links.insert(3, link);
    let mac = mac.map(|last| [2, 0, 0, 0, 0, last]);
    network.hops.insert(
        server(),
        Hop {
            ifindex: 3,
            source: server(),
            mac,
        },
    );
    network
}

fn server() -> IpAddr {
    "10.0.5.10".parse().unwrap()
}

fn said(old: &Network, new: &Network) -> Vec<Line> {
    changes(old, new, &[server()])
}

#[test]
fn nothing_new_is_nothing_to_say() {
    assert_eq!(said(&network(Some(9)), &network(Some(9))), []);
}

#[test]
fn a_server_that_moves_or_falls_silent_is_told_of() {
    let moved = "next hop of server 10.0.5.10 is 02:00:00:00:00:0a on eth1";
    let lines = said(&network(Some(9)), &network(Some(10)));
    assert_eq!(lines, [Line::Info(moved.to_owned())]);
    let silent =
        "next hop of server 10.0.5.10 on eth1 no longer answers (it was 02:00:00:00:00:09)";
    assert_eq!(
        said(&network(Some(9)), &network(None)),
        [Line::Warn(silent.to_owned())]
    );
}

#[test]
fn a_route_that_goes_is_bad_news() {
    let mut without = network(None);
    without.hops.clear();
    let gone = "no route to server 10.0.5.10 any more";
    assert_eq!(
        said(&network(Some(9)), &without),
        [Line::Warn(gone.to_owned())]
    );
}

#[test]
fn a_server_behind_an_interface_that_is_not_ours_is_bad_news() {
    let mut elsewhere = network(Some(9));
    elsewhere.hops.get_mut(&server()).unwrap().ifindex = 7;
    let lines = said(&network(Some(9)), &elsewhere);
    assert!(
        matches!(&lines[..], [Line::Warn(line)] if line.contains("interface 7 (where lb is not"))
    );
}

#[test]
fn interfaces_that_come_and_go_are_told_of() {
    let lines = said(
        &network(Some(9)),
        &Network {
            links: Default::default(),
            ..network(Some(9))
        },
    );
    assert_eq!(lines, [Line::Warn("interface eth1 is gone".to_owned())]);
    let mut other = network(Some(9));
    other.links.get_mut(&3).unwrap().mtu = 9000;
    let text = "interface eth1: MAC address 02:00:00:00:00:01, MTU 9000";
    assert_eq!(
        said(&network(Some(9)), &other),
        [Line::Info(text.to_owned())]
    );
}

fn serving(servers: &[&str]) -> DesiredState {
    let key = |name: &&str| ServerKey {
        pool: PoolName::new("pg"),
        server: ServerName::new(*name),
    };
    let shares = servers.iter().map(|name| (key(name), 100)).collect();
    let service = DesiredService {
        listen: Default::default(),
        idle_timeout: 0,
        access: None,
        limit: lb_common::limit::Limit::default(),
        blind: false,
        members: Default::default(),
        ring: DesiredRing {
            algorithm: Algorithm::RoundRobin,
            shares,
            order: Default::default(),
        },
        maxconn: Default::default(),
        policy: Default::default(),
    };
    let half = ServiceHalf {
        service: ServiceName::new("rw"),
        family: Family::V4,
    };
    DesiredState {
        services: [(half, service)].into(),
        ..Default::default()
    }
}

#[test]
fn who_gets_new_connections_is_told_when_it_changes() {
    let both = serving(&["pg1", "pg2"]);
    let first = shares(&DesiredState::default(), &both);
    let text = "service rw: new connections go to pg/pg1, pg/pg2";
    assert_eq!(first, [Line::Info(text.to_owned())]);
    assert_eq!(shares(&both, &both), []);
    let none = "service rw: no server is left, new connections are refused";
    assert_eq!(shares(&both, &serving(&[])), [Line::Warn(none.to_owned())]);
    let nine = serving(&["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    let lines = shares(&both, &nine);
    assert!(
        matches!(&lines[..], [Line::Info(text)] if text.ends_with("pg/8, 1 more")),
        "{lines:?}"
    );
}
