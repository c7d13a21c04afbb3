//! Stage 4: servers and services that have as many flows as they may.

use std::sync::atomic::{AtomicU64, Ordering};

use lb_common::service::{Pick, RESET_WHEN_FULL};
use lb_common::tcp::{ACK, RST};
use lb_common::verdict::DropReason;
use lb_tests::plane::Verdict;

use crate::race::{each_family, on_two_processors};
use crate::refuse::rst;
use crate::world::{SERVICE_GAUGE, World, world};

fn maxconn(lb: &mut World, servers: &[u16], most: u32) {
    for &server in servers {
        lb.change_member(server, |member| member.maxconn = most);
    }
}

#[test]
fn a_full_server_is_passed_over() {
    world(|lb| {
        for pick in [
            Pick::Next,
            Pick::HashTuple,
            Pick::HashSource,
            Pick::Random,
            Pick::LeastFlows,
            Pick::First,
        ] {
            lb.listen(pick, &[1, 2, 1, 1, 3, 2]);
            maxconn(lb, &[1, 2], 2);
            for port in 50_000..50_020 {
                lb.half_open(port);
            }
            assert!(lb.counts(1).0 <= 2 && lb.counts(2).0 <= 2, "{pick:?}");
            assert!(lb.counts(3).0 >= 16, "{pick:?}");
            for flow in lb.entries() {
                let past = flow.seen.wrapping_sub(lb_common::time::ticks(60));
                lb.set_seen(flow.index, past);
            }
            for _ in 0..4 {
                lb.plane.expire().expect("the kernel runs the program");
            }
            lb.verify();
        }
    });
}

#[test]
fn all_servers_are_full() {
    world(|lb| {
        maxconn(lb, &[1, 2, 3], 1);
        let conns: Vec<_> = (50_000..50_003).map(|port| lb.half_open(port)).collect();
        let syn = lb.syn(50_003);
        lb.send(&syn).dropped(DropReason::ServersFull);
        lb.change_service(|service| service.flags = RESET_WHEN_FULL);
        let answer = rst(&syn, 0, syn.seq + 1, RST | ACK);
        lb.send(&syn).refused(DropReason::ServersFull, &answer);
        // Flows that there are go on.
        lb.forward(&conns[0], &conns[0].from_client(ACK));
        // The end of one makes room.
        lb.forward(&conns[1], &conns[1].from_server(RST | ACK).seq(0));
        assert_eq!(lb.half_open(50_003).server, conns[1].server);
    });
}

#[test]
fn the_service_is_full() {
    world(|lb| {
        lb.change_service(|service| service.max_flows = 2);
        let conns: Vec<_> = (50_000..50_002).map(|port| lb.open(port)).collect();
        let syn = lb.syn(50_002);
        lb.send(&syn).dropped(DropReason::ServiceFull);
        lb.change_service(|service| service.flags = RESET_WHEN_FULL);
        let answer = rst(&syn, 0, syn.seq + 1, RST | ACK);
        lb.send(&syn).refused(DropReason::ServiceFull, &answer);
        assert_eq!(lb.plane.gauge(SERVICE_GAUGE), 2);
        lb.forward(&conns[0], &conns[0].from_client(RST));
        lb.half_open(50_002);
        lb.send(&lb.syn(50_003)).refused(
            DropReason::ServiceFull,
            &rst(&lb.syn(50_003), 0, syn.seq + 1, RST | ACK),
        );
    });
}

/// The other address family's flows, and other services' on the same server, count as well.
#[test]
fn flows_of_others_count() {
    world(|lb| {
        maxconn(lb, &[1, 2, 3], 5);
        lb.plane.set_gauge(1, 5);
        lb.plane.set_gauge(2, 5);
        lb.plane.set_gauge(3, 4);
        assert_eq!(lb.half_open(50_000).server, 3);
        lb.send(&lb.syn(50_001)).dropped(DropReason::ServersFull);
        lb.plane.set_gauge(1, 0);
        lb.plane.set_gauge(2, 0);
        lb.plane.set_gauge(3, 1);
    });
}

/// What was reserved for a flow that could not be made is given back.
#[test]
fn no_place_is_lost_when_a_flow_cannot_be_made() {
    world(|lb| {
        lb.listen(Pick::Next, &[1]);
        lb.snat(&[(lb.nat_address(), 40_000..=40_000)]);
        maxconn(lb, &[1], 2);
        lb.half_open(50_000);
        for _ in 0..5 {
            lb.send(&lb.syn(50_001)).dropped(DropReason::NoSourcePort);
        }
        assert_eq!(lb.plane.gauge(1), 1);
        lb.change_member(1, |member| member.real = 99);
        lb.send(&lb.syn(50_001)).dropped(DropReason::BadRing);
        assert_eq!(lb.plane.gauge(SERVICE_GAUGE), 1);
    });
}

/// Two processors want the same last places: as many flows are made as there are places.
#[test]
fn two_processors_never_exceed_a_limit() {
    each_family(64, |lb| {
        lb.listen(Pick::First, &[1, 2]);
        maxconn(lb, &[1], 7);
        maxconn(lb, &[2], 11);
        for _ in 0..30 {
            let made = AtomicU64::new(0);
            {
                let lb = &*lb;
                on_two_processors(|cpu| {
                    for n in 0..40 {
                        let syn = lb.syn(50_000 + cpu as u16 * 1_000 + n);
                        let ran = lb.plane.run(lb.front, &syn.bytes());
                        let ran = ran.expect("the kernel runs the program");
                        let went = ran.verdict == Verdict::Redirect;
                        made.fetch_add(u64::from(went), Ordering::Relaxed);
                        assert!(lb.counts(1).0 <= 7 && lb.counts(2).0 <= 11);
                    }
                });
            }
            assert_eq!(made.load(Ordering::Relaxed), 18);
            assert_eq!((lb.plane.gauge(1), lb.plane.gauge(2)), (7, 11));
            lb.verify();
            for flow in lb.entries() {
                let past = flow.seen.wrapping_sub(lb_common::time::ticks(60));
                lb.set_seen(flow.index, past);
            }
            for _ in 0..4 {
                lb.plane.expire().expect("the kernel runs the program");
            }
            lb.verify();
            assert_eq!((lb.plane.gauge(1), lb.plane.gauge(2)), (0, 0));
        }
    });
}
