//! Stage 4: algorithms that look at how busy servers are, and pools too long to be searched whole.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::service::{Member, Pick, SEARCH};
use lb_common::tcp::{ACK, FIN, RST};

use crate::world::{RING, SERVICE_ID, World, world};

/// The servers of the next flows.
fn servers(lb: &World, client_ports: std::ops::Range<u16>) -> Vec<u16> {
    client_ports.map(|port| lb.half_open(port).server).collect()
}

fn weigh(lb: &mut World, weights: [u16; 3]) {
    for (server, weight) in (1..).zip(weights) {
        lb.change_member(server, |member| member.weight = weight);
    }
}

#[test]
fn the_fewest_flows_win() {
    world(|lb| {
        lb.listen(Pick::LeastFlows, &[1, 2, 3]);
        let conns: Vec<_> = (50_000..50_006).map(|port| lb.open(port)).collect();
        for server in 1..=3 {
            assert_eq!(lb.counts(server).0, 2, "even at first");
        }
        // Server 2 loses both of its connections, one by RST and one by FIN.
        let of_two: Vec<_> = conns.iter().filter(|conn| conn.server == 2).collect();
        lb.forward(of_two[0], &of_two[0].from_client(RST));
        let mut last = of_two[1].clone();
        lb.forward(&last, &last.from_client(FIN | ACK));
        last.client_next += 1;
        lb.forward(&last, &last.from_server(FIN | ACK));
        assert_eq!(servers(lb, 51_000..51_002), [2, 2]);
        let mut next = servers(lb, 51_002..51_005);
        next.sort_unstable();
        assert_eq!(next, [1, 2, 3]);
    });
}

/// Half-open flows count: else all of a burst would find the same server idle.
#[test]
fn a_burst_of_syns_is_shared_out() {
    world(|lb| {
        lb.listen(Pick::LeastFlows, &[1, 2, 3]);
        for port in 50_000..50_030 {
            lb.half_open(port);
        }
        for server in 1..=3 {
            assert_eq!(lb.counts(server).0, 10);
        }
    });
}

#[test]
fn flows_are_held_against_weights() {
    world(|lb| {
        lb.listen(Pick::LeastFlows, &[1, 2, 3]);
        weigh(lb, [1, 3, 0]);
        for port in 50_000..50_040 {
            lb.half_open(port);
        }
        assert_eq!([1, 2, 3].map(|server| lb.counts(server).0), [10, 30, 0]);
    });
}

/// The largest numbers that can be: nothing overflows, the right one wins.
#[test]
fn many_flows_and_large_weights() {
    world(|lb| {
        lb.listen(Pick::LeastFlows, &[1, 2, 3]);
        weigh(lb, [u16::MAX, u16::MAX, 1]);
        let most = u64::from(u32::MAX) - 1;
        for (gauge, flows) in [(1, most), (2, most - 1), (3, 70_000)] {
            lb.plane.set_gauge(gauge, flows);
        }
        // (2^32 - 1) / 65535 = 65537 and a bit less for server 2; 70001 for server 3.
        let port = 50_000;
        assert_eq!(lb.half_open(port).server, 2);
        for (gauge, flows) in [(1, 0), (2, 1), (3, 0)] {
            lb.plane.set_gauge(gauge, flows);
        }
    });
}

/// Flows that another service has on a server count there as well.
#[test]
fn a_server_is_as_busy_as_all_services_make_it() {
    world(|lb| {
        lb.listen(Pick::LeastFlows, &[1, 2, 3]);
        lb.plane.set_gauge(1, 5);
        lb.plane.set_gauge(3, 5);
        assert_eq!(servers(lb, 50_000..50_005), [2; 5]);
        lb.plane.set_gauge(1, 0);
        lb.plane.set_gauge(3, 0);
    });
}

#[test]
fn the_first_takes_all_until_it_is_full() {
    world(|lb| {
        lb.listen(Pick::First, &[2, 1, 3]);
        lb.change_member(2, |member| member.maxconn = 3);
        lb.change_member(1, |member| member.maxconn = 2);
        let conns: Vec<_> = (50_000..50_007).map(|port| lb.half_open(port)).collect();
        let servers: Vec<_> = conns.iter().map(|conn| conn.server).collect();
        assert_eq!(servers, [2, 2, 2, 1, 1, 3, 3]);
        // A place that becomes free is taken first.
        lb.forward(&conns[1], &conns[1].from_server(RST | ACK).seq(0));
        assert_eq!(lb.half_open(60_000).server, 2);
        assert_eq!(lb.half_open(60_001).server, 3);
    });
}

#[test]
fn chance_follows_the_ring() {
    world(|lb| {
        lb.listen(Pick::Random, &[1, 1, 1, 2]);
        let mut seen = BTreeMap::<u16, u32>::new();
        for round in 0..8 {
            for port in 0..50 {
                *seen
                    .entry(lb.half_open(50_000 + round * 50 + port).server)
                    .or_default() += 1;
            }
            if round % 2 == 1 {
                expire(lb);
            }
        }
        // 400 throws of 3 in 4: 300, standard deviation 8.7; six of them.
        let first = seen[&1];
        assert!((248..=352).contains(&first), "{seen:?}");
        assert_eq!(first + seen[&2], 400);
    });
}

/// Makes room in the small table, and for source ports.
fn expire(lb: &World) {
    for flow in lb.entries() {
        lb.set_seen(
            flow.index,
            flow.seen.wrapping_sub(lb_common::time::ticks(60)),
        );
    }
    for _ in 0..4 {
        lb.plane.expire().expect("the kernel runs the program");
    }
    assert!(lb.entries().is_empty());
}

/// Members of a pool that is longer than the search: all are server 1 by other names, so that
/// nothing but the choice is looked at.
const LONG: u16 = 1_000;
const FIRST_MEMBER: u16 = 2_000;
const FIRST_GAUGE: u16 = 3_000;

fn long_pool(lb: &mut World, pick: Pick) {
    for number in 0..LONG {
        let member = Member {
            real: 1,
            service: SERVICE_ID,
            weight: 1,
            gauge: FIRST_GAUGE + number,
            service_gauge: 0,
            ..lb.member(1)
        };
        lb.plane
            .set_member(FIRST_MEMBER + number, member)
            .expect("MEMBERS");
    }
    let ring: Vec<u32> = (0..LONG).map(|n| (FIRST_MEMBER + n).into()).collect();
    lb.plane.set_ring(RING, &ring).expect("RING");
    lb.listen(pick, &[]);
    lb.change_service(|service| {
        service.ring_len = LONG.into();
        service.gauge = 0;
    });
}

/// The number in the long pool of the next flow's member.
fn next(lb: &World, port: u16) -> Option<u16> {
    lb.plane
        .run(lb.front, &lb.syn(port).bytes())
        .expect("the kernel runs the program");
    let flow = lb.find(lb.client(port))?;
    Some(flow.member - FIRST_MEMBER)
}

#[test]
fn a_long_pool_is_searched_in_turns() {
    world(|lb| {
        long_pool(lb, Pick::LeastFlows);
        for number in 0..LONG {
            lb.plane.set_gauge(FIRST_GAUGE + number, 5);
        }
        // The one idle server is found before the search has come round.
        for idle in [0, 127, 128, 500, 999] {
            lb.plane.set_gauge(FIRST_GAUGE + idle, 0);
            let rounds = u32::from(LONG).div_ceil(SEARCH) as u16 + 1;
            let found = (0..rounds).any(|port| next(lb, 50_000 + port) == Some(idle));
            assert!(found, "{idle}");
            expire(lb);
            lb.plane.set_gauge(FIRST_GAUGE + idle, 5);
        }
    });
}

#[test]
fn the_first_of_a_long_pool() {
    world(|lb| {
        long_pool(lb, Pick::First);
        let full = |lb: &mut World, numbers: std::ops::Range<u16>| {
            for number in numbers {
                lb.plane.set_gauge(FIRST_GAUGE + number, 1);
                let id = FIRST_MEMBER + number;
                let member = lb.plane.member(id).expect("MEMBERS");
                let member = Member {
                    maxconn: 1,
                    ..member
                };
                lb.plane.set_member(id, member).expect("MEMBERS");
            }
        };
        full(lb, 0..100);
        assert_eq!(next(lb, 50_000), Some(100));
        expire(lb);
        // They fill up one after the other: the search follows.
        full(lb, 100..700);
        let found = (0..20).find_map(|port| next(lb, 50_100 + port));
        assert_eq!(found, Some(700));
        assert_eq!(next(lb, 50_200), Some(700), "and stays");
        // Room at the very beginning is seen at once,
        lb.plane.set_gauge(FIRST_GAUGE + 3, 0);
        assert_eq!(next(lb, 50_201), Some(3));
        // and further on within a few flows: each looks at 128 of 572 more.
        expire(lb);
        lb.plane.set_gauge(FIRST_GAUGE + 3, 1);
        lb.plane.set_gauge(FIRST_GAUGE + 300, 0);
        let seen: BTreeSet<_> = (0..60).filter_map(|port| next(lb, 50_300 + port)).collect();
        assert_eq!(seen, BTreeSet::from([300, 700]));
        expire(lb);
    });
}
