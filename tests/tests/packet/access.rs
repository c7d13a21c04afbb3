//! Who may open a flow: the access list of the service.

use std::net::IpAddr;

use lb_common::service::Pick;
use lb_common::tcp::{ACK, RST};
use lb_common::verdict::DropReason;
use lb_tests::packet::Packet;
use lb_userspace::access::{AccessList, Prefix, trie};
use lb_userspace::model;

use crate::world::{CLIENT, FRONT, Family, World, world};

/// Where lists are written.
const LISTS: [u32; 2] = [1_000, 2_000];

/// The prefix of this length that the client's address `host` is in.
fn around(lb: &World, host: u16, length: u8) -> Prefix {
    // Lengths are said as for IPv4; an IPv6 prefix leaves as many bits open.
    let length = match lb.family {
        Family::V4 => length,
        Family::V6 => 96 + length,
    };
    Prefix::containing(lb.address(1, host), length).unwrap()
}

/// Everybody.
fn everybody(lb: &World) -> Prefix {
    Prefix::containing(lb.address(1, 0), 0).unwrap()
}

/// Writes a list of the world's family and gives what a service says to refer to it.
fn write(lb: &World, base: u32, allow: Option<&[Prefix]>, deny: &[Prefix]) -> u32 {
    let list = AccessList {
        allow: allow.map(<[Prefix]>::to_vec),
        deny: deny.to_vec(),
    };
    let family = match lb.family {
        Family::V4 => model::Family::V4,
        Family::V6 => model::Family::V6,
    };
    lb.plane.set_access(base, &trie(&list, family));
    base + 1
}

/// Gives the service a list.
fn guard(lb: &mut World, allow: Option<&[Prefix]>, deny: &[Prefix]) {
    lb.access = write(lb, LISTS[0], allow, deny);
    lb.listen(Pick::Next, &[1, 2, 3]);
}

fn syn_of(lb: &World, host: u16) -> Packet {
    let mut syn = lb.syn(50_000);
    syn.src.set_ip(lb.address(1, host));
    syn
}

#[track_caller]
fn admitted(lb: &World, host: u16) {
    lb.started_by(&syn_of(lb, host));
}

/// Answered with a RST, at once, and counted.
#[track_caller]
fn denied(lb: &World, host: u16) {
    let syn = syn_of(lb, host);
    let mut answer = Packet::new(FRONT, CLIENT, syn.dst, syn.src)
        .ack(syn.seq + 1)
        .flags(RST | ACK);
    answer.window = 0;
    lb.send(&syn).refused(DropReason::AccessDenied, &answer);
}

#[test]
fn only_who_is_allowed() {
    world(|lb| {
        let allow = [around(lb, 0x40, 28), around(lb, 0x91, 32)];
        guard(lb, Some(&allow), &[]);
        for host in [0x40, 0x4f, 0x91] {
            admitted(lb, host);
        }
        for host in [0x3f, 0x50, 0x90, 0x92, 1] {
            denied(lb, host);
        }
        assert_eq!(lb.entries().len(), 6);
    });
}

#[test]
fn everybody_but_who_is_denied() {
    world(|lb| {
        let deny = [around(lb, 0x40, 28), around(lb, 0x91, 32)];
        guard(lb, None, &deny);
        for host in [0x40, 0x4f, 0x91] {
            denied(lb, host);
        }
        for host in [0x3f, 0x50, 0x90, 0x92, 1] {
            admitted(lb, host);
        }
    });
}

#[test]
fn the_longest_prefix_decides_and_a_tie_denies() {
    world(|lb| {
        let allow = [
            around(lb, 0x40, 24),
            around(lb, 0x66, 32),
            around(lb, 0x80, 28),
        ];
        let deny = [
            everybody(lb),
            around(lb, 0x60, 27),
            around(lb, 0x80, 28),
            around(lb, 0x91, 32),
        ];
        guard(lb, Some(&allow), &deny);
        for host in [0x40, 0x5f, 0x66, 0x90] {
            admitted(lb, host);
        }
        // In the longer deny; in both lists with one length; alone.
        for host in [0x60, 0x65, 0x7f, 0x80, 0x8f, 0x91] {
            denied(lb, host);
        }
    });
}

#[test]
fn a_list_of_everybody_and_of_nobody() {
    world(|lb| {
        let everybody = [everybody(lb)];
        guard(lb, Some(&everybody), &[]);
        admitted(lb, 0x40);
        guard(lb, None, &everybody);
        denied(lb, 0x41);
        guard(lb, Some(&everybody), &everybody);
        denied(lb, 0x42);
    });
}

#[test]
fn open_flows_go_on_when_their_client_is_denied() {
    world(|lb| {
        let mut conn = lb.open(50_000);
        let deny = [everybody(lb)];
        guard(lb, None, &deny);
        let segment = conn.from_client(ACK).payload("still here");
        lb.forward(&conn, &segment);
        conn.client_next += 10;
        let answer = conn.from_server(ACK).payload("so am I");
        lb.send(&answer)
            .to_client(conn.server, &conn.at_client(&answer));
        // Its next connection is refused.
        denied(lb, 0x40);
    });
}

#[test]
fn one_write_of_the_service_switches_lists() {
    world(|lb| {
        let one = [around(lb, 0x40, 32)];
        guard(lb, Some(&one), &[]);
        admitted(lb, 0x40);
        denied(lb, 0x41);
        // The new list is written; nothing has changed yet.
        let other = [around(lb, 0x41, 32)];
        let new = write(lb, LISTS[1], Some(&other), &[]);
        denied(lb, 0x41);
        lb.access = new;
        lb.listen(Pick::Next, &[1, 2, 3]);
        admitted(lb, 0x41);
        denied(lb, 0x42);
        // And off.
        lb.access = 0;
        lb.listen(Pick::Next, &[1, 2, 3]);
        admitted(lb, 0x42);
    });
}

#[test]
fn a_list_that_is_not_there_admits_nobody() {
    world(|lb| {
        lb.access = lb.plane.access_nodes() + 1;
        lb.listen(Pick::Next, &[1, 2, 3]);
        lb.send(&syn_of(lb, 0x40)).dropped(DropReason::BadRing);
    });
}

#[test]
fn what_opens_no_flow_is_answered_as_ever() {
    world(|lb| {
        let deny = [everybody(lb)];
        guard(lb, None, &deny);
        let segment = lb.from_client(50_000).seq(1_000).ack(2_000).flags(ACK);
        let mut answer = Packet::new(FRONT, CLIENT, segment.dst, segment.src)
            .seq(2_000)
            .flags(RST);
        answer.window = 0;
        lb.send(&segment).refused(DropReason::NoFlow, &answer);
    });
}

#[test]
fn a_hundred_thousand_prefixes() {
    let sizes = lb_tests::plane::Sizes {
        access: 200_000,
        ..Default::default()
    };
    crate::world::sized(sizes, |lb| {
        let number = |i: u32| i.wrapping_mul(2_654_435_761);
        let family = lb.family;
        let far = |i| -> IpAddr {
            match family {
                Family::V4 => std::net::Ipv4Addr::from_bits(number(i) | 0x8000_0000).into(),
                Family::V6 => {
                    std::net::Ipv6Addr::from_bits(0x2000_u128 << 112 | u128::from(number(i)) << 80)
                        .into()
                }
            }
        };
        let length = if family == Family::V4 { 24 } else { 48 };
        let mut allow: Vec<_> = (0..100_000)
            .map(|i| Prefix::containing(far(i), length).unwrap())
            .collect();
        allow.push(around(lb, 0x40, 32));
        guard(lb, Some(&allow), &[]);
        admitted(lb, 0x40);
        denied(lb, 0x41);
        let mut syn = lb.syn(50_000);
        syn.src.set_ip(far(77_777));
        lb.started_by(&syn);
    });
}
