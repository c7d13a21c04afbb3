//! The challenge: sources prove themselves before anything is kept for them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use lb_common::challenge::{self, Memory, Proof, Seen, When};
use lb_common::flow::{FlowKey, State, ports};
use lb_common::hash::reduce;
use lb_common::load::Load;
use lb_common::map::{PROOF_LINES, SYNS_MAX};
use lb_common::service::Pick;
use lb_common::tcp::{ACK, RST, SYN};
use lb_common::time::ticks;
use lb_common::verdict::DropReason;
use lb_tests::packet::Packet;
use lb_tests::plane::{COOKIE_KEY, Plane, Sizes, Verdict};

use crate::world::{Conn, FRONT, Family, World, key_address, sized};

/// A world that challenges every new source.
fn always(test: impl Fn(&mut World) + Sync) {
    let challenge = When::Always;
    sized(
        Sizes {
            challenge,
            ..Sizes::default()
        },
        test,
    );
}

/// A world that challenges under pressure, with so many buckets.
fn pressed(buckets: u32, test: impl Fn(&mut World) + Sync) {
    let sizes = Sizes {
        buckets4: buckets,
        buckets6: buckets,
        challenge: When::Pressed,
        ..Sizes::default()
    };
    sized(sizes, test);
}

/// Runs `$body` with `$key` as the flow key of a client's segment, whatever the family.
macro_rules! with_key {
    ($packet:expr, |$key:ident| $body:expr) => {{
        let (src, dst) = (key_address($packet.src.ip()), key_address($packet.dst.ip()));
        let ports = ports($packet.src.port().to_be(), $packet.dst.port().to_be());
        if $packet.src.is_ipv4() {
            let $key = FlowKey {
                src: src[3],
                dst: dst[3],
                ports,
            };
            $body
        } else {
            let (src, dst) = (lb_common::addr::widen(src), lb_common::addr::widen(dst));
            let $key = FlowKey { src, dst, ports };
            $body
        }
    }};
}

/// Sends a SYN that is challenged; gives what the client answers.
#[track_caller]
fn challenged(lb: &World, syn: &Packet) -> Packet {
    let outcome = lb.send(syn);
    assert_eq!(outcome.ran.verdict, Verdict::Tx, "{outcome:?}");
    let answer = outcome.packet();
    let now = Plane::now();
    assert!(
        with_key!(syn, |key| challenge::proves(
            COOKIE_KEY, &key, now, answer.ack
        )),
        "{answer:?} carries no cookie"
    );
    assert_ne!(answer.ack, syn.seq.wrapping_add(1), "the client takes it");
    let mut expected = Packet::new(FRONT, syn.from, syn.dst, syn.src)
        .seq(0)
        .ack(answer.ack)
        .flags(SYN | ACK);
    expected.window = 0;
    outcome.refused(DropReason::Challenged, &expected);
    // As a client in SYN-SENT does: RFC 9293, section 3.10.7.3.
    Packet::new(syn.from, FRONT, syn.src, syn.dst)
        .seq(answer.ack)
        .flags(RST)
}

/// A client's source proves itself.
fn proved(lb: &World, client: SocketAddr) {
    let syn = syn_from(lb, client);
    let rst = challenged(lb, &syn);
    lb.send(&rst).dropped(DropReason::Proof);
}

fn syn_from(lb: &World, client: SocketAddr) -> Packet {
    Packet {
        src: client,
        ..lb.syn(1)
    }
}

/// Another source than [`World::client`]'s.
fn stranger(lb: &World, port: u16) -> SocketAddr {
    (lb.address(9, 0x77), port).into()
}

#[test]
fn nothing_is_kept_for_a_source_that_proves_nothing() {
    always(|lb| {
        for port in 50_000..50_100 {
            challenged(lb, &lb.syn(port));
        }
        assert!(lb.entries().is_empty());
        assert_eq!(lb.counts(1), (0, 0, 0));
        proved(lb, lb.client(50_000));
        let conn = lb.open(50_000);
        assert_eq!(conn.nat, lb.nat(conn.nat.port() - lb.nat(0).port()));
        assert_eq!(lb.entries().len(), 2);
    });
}

#[test]
fn a_proof_is_its_sources_whatever_the_port() {
    always(|lb| {
        proved(lb, lb.client(50_000));
        lb.open(50_000);
        lb.open(50_001);
        challenged(lb, &syn_from(lb, stranger(lb, 50_000)));
    });
}

#[test]
fn of_ipv6_sources_the_site_counts() {
    always(|lb| {
        let (near, far) = match lb.client(1).ip() {
            IpAddr::V4(_) => (lb.address(1, 0xc2), lb.address(2, 0xc1)),
            IpAddr::V6(v6) => {
                let mut segments = v6.segments();
                segments[7] ^= 0x1234;
                segments[5] = 0x77;
                let near = Ipv6Addr::from(segments);
                segments[3] ^= 1;
                (near.into(), Ipv6Addr::from(segments).into())
            }
        };
        proved(lb, lb.client(50_000));
        challenged(lb, &syn_from(lb, (far, 50_000).into()));
        let near = syn_from(lb, (near, 50_000).into());
        match lb.family {
            Family::V4 => drop(challenged(lb, &near)),
            Family::V6 => drop(lb.started_by(&near)),
        }
    });
}

#[test]
fn who_has_not_seen_the_cookie_proves_nothing() {
    always(|lb| {
        let rst = challenged(lb, &lb.syn(50_000));
        for wrong in [
            rst.clone().seq(rst.seq.wrapping_add(1)),
            rst.clone().seq(rst.seq.wrapping_sub(2)),
            rst.clone().seq(0),
            Packet {
                src: lb.client(50_001),
                ..rst.clone()
            },
            Packet {
                src: stranger(lb, 50_000),
                ..rst.clone()
            },
        ] {
            lb.send(&wrong).dropped(DropReason::BadProof);
        }
        // A RST that acknowledges is not what a client in SYN-SENT sends.
        lb.send(&rst.clone().flags(RST | ACK))
            .dropped(DropReason::NoFlow);
        challenged(lb, &lb.syn(50_000));
        challenged(lb, &syn_from(lb, stranger(lb, 50_000)));
    });
}

#[test]
fn a_stray_rst_where_nobody_was_challenged_is_just_that() {
    pressed(64, |lb| {
        let rst = lb.from_client(50_000).seq(1).flags(RST);
        lb.send(&rst).dropped(DropReason::NoFlow);
    });
}

/// The same for a program that never challenges.
#[test]
fn without_challenges_nothing_proves() {
    sized(Sizes::default(), |lb| {
        let cookie = with_key!(lb.syn(1), |key| challenge::cookie(
            COOKIE_KEY,
            &key,
            Plane::now(),
            0
        ));
        let rst = lb.from_client(1).seq(cookie).flags(RST);
        lb.send(&rst).dropped(DropReason::NoFlow);
    });
}

#[test]
fn a_proof_ends() {
    always(|lb| {
        proved(lb, lb.client(50_000));
        let now = Plane::now();
        let source = source_of(lb, lb.client(50_000));
        let line = reduce((source >> 32) as u32, PROOF_LINES);
        assert!(lb.plane.proofs(line).contains(&Proof::new(source, now)));
        // A minute later.
        let mut proofs = [Proof::default(); 8];
        proofs[3] = Proof::new(source, now.wrapping_sub(ticks(90)));
        lb.plane.set_proofs(line, proofs);
        challenged(lb, &lb.syn(50_001));
        // One connection left.
        proofs = [Proof::default(); 8];
        proofs[3] = Proof(Proof::new(source, now).0 & !0xffff | 1);
        lb.plane.set_proofs(line, proofs);
        lb.half_open(50_001);
        challenged(lb, &lb.syn(50_002));
    });
}

/// A crowd of other sources in the same line of the table: the oldest makes way.
#[test]
fn proofs_have_a_bounded_table() {
    always(|lb| {
        let source = source_of(lb, lb.client(50_000));
        let line = reduce((source >> 32) as u32, PROOF_LINES);
        let now = Plane::now();
        let others = std::array::from_fn(|place| {
            let age = ticks(if place == 6 { 50 } else { 10 });
            Proof::new(place as u64 + 1, now.wrapping_sub(age))
        });
        lb.plane.set_proofs(line, others);
        proved(lb, lb.client(50_000));
        let proofs = lb.plane.proofs(line);
        assert!(proofs[6].is_of(source), "{proofs:?}");
        assert_eq!(proofs.iter().filter(|proof| proof.is_of(source)).count(), 1);
        lb.half_open(50_000);
    });
}

/// Where something swallows the challenge.
#[test]
fn a_syn_that_comes_again_in_time_passes() {
    always(|lb| {
        let syn = lb.syn(50_000);
        challenged(lb, &syn);
        challenged(lb, &syn);
        age_syn(lb, &syn, 1_100);
        // Another connection of the same ends.
        challenged(lb, &syn.clone().seq(syn.seq + 1));
        lb.started_by(&syn);
        // It proves nothing about others of its source.
        challenged(lb, &lb.syn(50_001));
    });
}

#[test]
fn a_syn_that_comes_again_late_is_challenged_anew() {
    always(|lb| {
        let syn = lb.syn(50_000);
        challenged(lb, &syn);
        age_syn(lb, &syn, 12_000);
        challenged(lb, &syn);
        age_syn(lb, &syn, 3_000);
        lb.started_by(&syn);
    });
}

/// A flood may send each of its SYNs twice.
#[test]
fn only_so_many_syns_that_come_again_pass() {
    always(|lb| {
        let allowed = challenge::repeats_allowed(lb.plane.sizes().buckets4, 1) as usize;
        assert_eq!(allowed, 3);
        let syns: Vec<_> = (0..20).map(|n| lb.syn(50_000 + n)).collect();
        for syn in &syns {
            challenged(lb, syn);
            age_syn(lb, syn, 1_500);
        }
        let passed = |syn: &&Packet| lb.send(syn).ran.verdict == Verdict::Redirect;
        let passed = syns.iter().filter(passed).count();
        // The second may end while they come.
        assert!((allowed..=2 * allowed).contains(&passed), "{passed} passed");
    });
}

#[test]
fn flows_that_are_there_are_not_challenged() {
    always(|lb| {
        proved(lb, lb.client(50_000));
        let conns = [lb.half_open(50_000), lb.answered(50_001), lb.open(50_002)];
        let source = source_of(lb, lb.client(50_000));
        let line = reduce((source >> 32) as u32, PROOF_LINES);
        lb.plane.set_proofs(line, [Proof::default(); 8]);
        lb.forward(&conns[0], &lb.syn(50_000));
        lb.forward(&conns[1], &conns[1].from_client(ACK));
        lb.forward(&conns[2], &conns[2].from_client(ACK));
        lb.forward(&conns[2], &conns[2].from_server(ACK));
    });
}

#[test]
fn a_table_is_pressed_when_unproved_flows_hold_a_quarter_of_it() {
    // 224 flows: a quarter is 56.
    pressed(64, |lb| {
        let mut conns: Vec<_> = (0..56).map(|n| lb.half_open(50_000 + n)).collect();
        challenged(lb, &lb.syn(51_000));
        // One proves itself by going on, one is refused: there is room for two, less a quarter of
        // what the open one takes.
        let Some(first) = conns.pop() else {
            panic!("there are 56");
        };
        open_up(lb, first);
        lb.half_open(51_000);
        challenged(lb, &lb.syn(51_001));
        let Some(second) = conns.pop() else {
            panic!("there are 55");
        };
        let refusal = second.from_server(RST | ACK);
        lb.send(&refusal)
            .to_client(second.server, &second.at_client(&refusal));
        assert_eq!(lb.state(&second), State::Reset);
        lb.half_open(51_001);
        challenged(lb, &lb.syn(51_002));
        // Who is proved passes, even so.
        proved(lb, lb.client(51_002));
        lb.open(51_003);
    });
}

#[test]
fn open_flows_leave_less_to_unproved_ones() {
    pressed(64, |lb| {
        for n in 0..80 {
            lb.open(50_000 + n);
        }
        // A quarter of 144.
        for n in 0..36 {
            lb.half_open(51_000 + n);
        }
        challenged(lb, &lb.syn(52_000));
    });
}

#[test]
fn source_ports_are_pressed_like_a_table() {
    // A hundred ports towards each server, a table for thousands of flows.
    pressed(4_096, |lb| {
        lb.listen(Pick::Next, &[1]);
        for n in 0..32 {
            lb.half_open(50_000 + n);
        }
        challenged(lb, &lb.syn(51_000));
        // Other servers are not.
        lb.listen(Pick::Next, &[2]);
        lb.half_open(51_000);
    });
}

#[test]
fn loads_go_down_as_flows_do() {
    pressed(64, |lb| {
        lb.listen(Pick::Next, &[1]);
        let half = lb.half_open(50_000);
        let open = lb.open(50_001);
        let closed = lb.closed(50_002);
        let expected = Load {
            open: 1,
            unproved: 1,
        };
        assert_eq!(lb.plane.real_load(1), expected);
        for conn in [&half, &open, &closed] {
            lb.age(conn, ticks(3_700));
        }
        for _ in 0..64 / lb_common::table::SWEEP_BUCKETS {
            lb.plane.expire().expect("the kernel runs the program");
        }
        assert_eq!(lb.plane.real_load(1), Load::default());
        assert!(lb.entries().is_empty());
    });
}

/// The client's handshake done.
fn open_up(lb: &World, mut conn: Conn) -> Conn {
    let answer = conn.from_server(SYN | ACK);
    lb.forward(&conn, &answer);
    conn.server_next = conn.server_next.wrapping_add(1);
    lb.forward(&conn, &conn.from_client(ACK));
    assert_eq!(lb.state(&conn), State::Open);
    conn
}

fn source_of(lb: &World, client: SocketAddr) -> u64 {
    with_key!(syn_from(lb, client), |key| challenge::source(
        COOKIE_KEY, key.src
    ))
}

/// Makes a challenged SYN be so many milliseconds ago.
#[track_caller]
fn age_syn(lb: &mut World, syn: &Packet, millis: u32) {
    let hash = with_key!(syn, |key| challenge::syn(COOKIE_KEY, &key, syn.seq));
    let place = reduce((hash >> 32) as u32, SYNS_MAX);
    let now = Plane::now();
    let memory = lb.plane.challenged_syn(place);
    assert_eq!(memory.look(hash, now), Seen::Known);
    let then = now.wrapping_sub(ticks(1) * millis / 1_000);
    let Seen::New(older) = Memory::default().look(hash, then) else {
        panic!("an empty memory knows nothing");
    };
    lb.plane.set_challenged_syn(place, older);
}
