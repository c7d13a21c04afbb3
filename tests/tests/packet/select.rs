//! Stage 4: which server a new flow gets, and why it may get none.

use std::net::{IpAddr, SocketAddr};

use lb_common::flow::ports;
use lb_common::hash;
use lb_common::service::{Member, Pick, Real, SnatSource};
use lb_common::tcp::{ACK, FIN, RST, SYN};
use lb_common::verdict::DropReason;

use crate::world::{RING, World, key_address, member_of, world};

/// The servers of the next flows.
fn servers(lb: &World, client_ports: std::ops::Range<u16>) -> Vec<u16> {
    client_ports.map(|port| lb.half_open(port).server).collect()
}

#[test]
fn in_turn_is_exactly_in_turn() {
    world(|lb| {
        assert_eq!(servers(lb, 50_000..50_007), [1, 2, 3, 1, 2, 3, 1]);
    });
}

#[test]
fn a_ring_may_hold_a_server_more_than_once() {
    world(|lb| {
        lb.listen(Pick::Next, &[3, 1, 3, 2]);
        assert_eq!(servers(lb, 50_000..50_008), [3, 1, 3, 2, 3, 1, 3, 2]);
    });
}

#[test]
fn segments_of_a_flow_take_no_turn() {
    world(|lb| {
        let conn = lb.open(50_000);
        lb.forward(&conn, &conn.from_client(ACK).payload("query"));
        lb.send(&lb.syn(50_000))
            .to_server(1, &conn.at_server(&lb.syn(50_000)));
        assert_eq!(servers(lb, 50_001..50_003), [2, 3]);
    });
}

#[test]
fn by_tuple_is_the_hash_that_the_agent_computes() {
    world(|lb| {
        let ring: Vec<u16> = (0..31).map(|i| 1 + i % 3).collect();
        lb.listen(Pick::HashTuple, &ring);
        for port in 50_000..50_040 {
            let client = lb.client(port);
            let hash = tuple_hash(client, lb.vip());
            let expected = ring[hash::reduce(hash, 31) as usize];
            assert_eq!(lb.half_open(port).server, expected, "client {client}");
        }
    });
}

#[test]
fn by_source_is_the_same_for_all_ports() {
    world(|lb| {
        let ring: Vec<u16> = (0..31).map(|i| 1 + i % 3).collect();
        lb.listen(Pick::HashSource, &ring);
        for host in 1..40 {
            let address = lb.address(9, host);
            let expected = ring[hash::reduce(source_hash(address), 31) as usize];
            for port in [50_000, 60_000] {
                let mut syn = lb.syn(port);
                syn.src = (address, port).into();
                assert_eq!(lb.started_by(&syn).server, expected, "client {address}");
            }
        }
    });
}

pub(crate) fn tuple_hash(client: SocketAddr, service: SocketAddr) -> u32 {
    let ports = ports(client.port().to_be(), service.port().to_be());
    match (words(client.ip()), words(service.ip())) {
        ((src, None), (dst, None)) => hash::ring_tuple(src, dst, ports, 6),
        ((_, Some(src)), (_, Some(dst))) => hash::ring_tuple(src, dst, ports, 6),
        _ => panic!("two families"),
    }
}

fn source_hash(client: IpAddr) -> u32 {
    match words(client) {
        (src, None) => hash::ring_source(src),
        (_, Some(src)) => hash::ring_source(src),
    }
}

/// An address as flows hold it: IPv4, or IPv6.
fn words(address: IpAddr) -> (u32, Option<[u64; 2]>) {
    let key = key_address(address);
    (
        key[3],
        address.is_ipv6().then(|| lb_common::addr::widen(key)),
    )
}

#[test]
fn only_a_plain_syn_opens() {
    world(|lb| {
        for flags in [SYN | ACK, SYN | FIN, SYN | RST, SYN | FIN | RST | ACK] {
            let segment = lb.from_client(50_000).flags(flags);
            lb.send(&segment).dropped(DropReason::BadFlags);
        }
        assert!(lb.entries().is_empty());
        // Flags of congestion notification (RFC 3168) are no objection; nor is data (RFC 7413).
        let syn = lb.syn(50_000).flags(SYN | 0xc0).payload("early");
        lb.started_by(&syn);
    });
}

/// Each is dropped, leaves nothing behind and takes no turn from others for good.
fn dropped_until_mended(
    reason: DropReason,
    spoil: impl Fn(&mut World) + Sync,
    mend: impl Fn(&mut World) + Sync,
) {
    world(|lb| {
        lb.listen(Pick::Next, &[1]);
        spoil(lb);
        lb.send(&lb.syn(50_000)).dropped(reason);
        assert!(lb.entries().is_empty());
        assert_eq!(lb.counts(1), (0, 0, 0));
        mend(lb);
        lb.half_open(50_000);
    });
}

#[test]
fn no_neighbour() {
    dropped_until_mended(
        DropReason::NoNeighbour,
        |lb| set(lb, |real| real.ifindex = 0),
        |lb| lb.set_server(1),
    );
}

#[test]
fn no_nat_source() {
    dropped_until_mended(
        DropReason::NoSnat,
        |lb| set(lb, |real| real.snat_count = 0),
        |lb| lb.set_server(1),
    );
}

#[test]
fn a_server_of_the_other_family() {
    dropped_until_mended(
        DropReason::BadRing,
        |lb| set(lb, |real| real.family = 10 - real.family),
        |lb| lb.set_server(1),
    );
}

#[test]
fn a_member_not_in_use() {
    dropped_until_mended(
        DropReason::BadRing,
        |lb| {
            lb.plane
                .set_member(member_of(1), Member::default())
                .expect("MEMBERS");
        },
        |lb| lb.set_server(1),
    );
}

#[test]
fn a_ring_slot_with_a_wild_member() {
    dropped_until_mended(
        DropReason::BadRing,
        |lb| lb.plane.set_ring(RING, &[u32::MAX]).expect("RING"),
        |lb| lb.listen(Pick::Next, &[1]),
    );
}

#[test]
fn a_server_whose_nat_sources_lie_outside_the_map() {
    dropped_until_mended(
        DropReason::NoSourcePort,
        |lb| set(lb, |real| real.snat_base = u32::MAX),
        |lb| lb.set_server(1),
    );
}

fn set(lb: &mut World, change: impl Fn(&mut Real)) {
    let mut real = lb.real(1);
    change(&mut real);
    lb.plane.set_real(1, real).expect("REALS");
}

#[test]
fn a_way_lost_stops_open_flows_too_until_it_is_back() {
    world(|lb| {
        lb.listen(Pick::Next, &[1]);
        let conn = lb.open(50_000);
        set(lb, |real| real.ifindex = 0);
        lb.send(&conn.from_client(ACK))
            .dropped(DropReason::NoNeighbour);
        lb.set_server(1);
        lb.forward(&conn, &conn.from_client(ACK));
    });
}

#[test]
fn a_wide_nat_range_is_no_trouble() {
    world(|lb| {
        let source = SnatSource {
            addr: key_address(lb.nat_address()),
            port_low: 0,
            port_high: u16::MAX,
        };
        lb.plane.set_snat(0, &[source]).expect("SNAT");
        lb.plane.set_port_cursor(1, 65_534).expect("PORT_CURSORS");
        assert_eq!(lb.half_open(50_000).nat.port(), 65_535);
    });
}
