//! The program that forgets idle flows.

use lb_common::flow::State;
use lb_common::table::SWEEP_BUCKETS;
use lb_common::tcp::{ACK, FIN, RST};
use lb_common::time::ticks;
use lb_tests::plane::{Plane, Sizes};

use crate::world::{Conn, Family, IDLE, World, sized, world};

/// A round over the whole table.
fn round(lb: &World) {
    let sizes = lb.plane.sizes();
    let buckets = sizes.buckets4.max(sizes.buckets6);
    for _ in 0..buckets.div_ceil(SWEEP_BUCKETS) {
        lb.plane.expire().expect("the kernel runs the program");
    }
}

/// A flow in each state, made in the way that flows get there.
fn every_state(lb: &World) -> Vec<(State, Conn)> {
    let client_fin = lb.open(4);
    lb.forward(&client_fin, &client_fin.from_client(FIN | ACK));
    let server_fin = lb.open(5);
    lb.forward(&server_fin, &server_fin.from_server(FIN | ACK));
    let reset = lb.open(7);
    lb.forward(&reset, &reset.from_client(RST));
    vec![
        (State::HalfOpen, lb.half_open(1)),
        (State::Answered, lb.answered(2)),
        (State::Open, lb.open(3)),
        (State::ClientFin, client_fin),
        (State::ServerFin, server_fin),
        (State::Closed, lb.closed(6)),
        (State::Reset, reset),
    ]
}

fn timeout(state: State) -> u32 {
    match state {
        State::HalfOpen | State::Answered => ticks(30),
        State::ClientFin | State::ServerFin => ticks(300),
        State::Closed => ticks(60),
        State::Reset => ticks(10),
        _ => IDLE,
    }
}

#[test]
fn each_state_has_its_time() {
    world(|lb| {
        let flows = every_state(lb);
        for (state, conn) in &flows {
            assert_eq!(lb.state(conn), *state);
            // Ten seconds short of it, but for the shortest.
            lb.age(conn, timeout(*state) - ticks(5));
        }
        round(lb);
        for (state, conn) in &flows {
            assert_eq!(lb.state(conn), *state, "not yet");
        }
        assert_eq!(lb.plane.sweep().expired, 0);
        for (n, (state, conn)) in (1..).zip(&flows) {
            lb.age(conn, timeout(*state) + 10);
            round(lb);
            assert_eq!(lb.state(conn), State::Free, "{state:?}");
            assert_eq!(lb.plane.sweep().expired, n);
            lb.verify();
        }
        assert!(lb.entries().is_empty());
        assert_eq!(lb.plane.sweep().orphans, 0);
    });
}

#[test]
fn traffic_in_either_direction_keeps_a_flow() {
    world(|lb| {
        let conn = lb.open(50_000);
        for index in [lb.flow(&conn).index, lb.reply(&conn).index] {
            lb.age(&conn, IDLE + 10_000);
            lb.set_seen(index, Plane::now());
            round(lb);
            assert_eq!(lb.state(&conn), State::Open);
        }
        lb.age(&conn, IDLE + 10_000);
        lb.forward(&conn, &conn.from_server(ACK));
        round(lb);
        assert_eq!(lb.state(&conn), State::Open);
    });
}

#[test]
fn a_short_idle_timeout_bounds_every_state() {
    world(|lb| {
        for server in 1..=3 {
            lb.change_member(server, |member| member.idle_timeout = ticks(8));
        }
        let flows = every_state(lb);
        for (_, conn) in &flows {
            lb.age(conn, ticks(9));
        }
        round(lb);
        assert!(lb.entries().is_empty());
        assert_eq!(lb.plane.sweep().expired, flows.len() as u64);
    });
}

#[test]
fn a_reply_entry_without_an_owner_is_freed_and_reported() {
    world(|lb| {
        let conn = lb.open(50_000);
        let flow = lb.flow(&conn);
        // What a bug would leave behind: the forward entry gone by itself.
        match lb.family {
            Family::V4 => lb.plane.flows4().set_slot(flow.index, &Default::default()),
            Family::V6 => lb.plane.flows6().set_slot(flow.index, &Default::default()),
        }
        round(lb);
        assert_eq!((lb.plane.sweep().orphans, lb.plane.sweep().expired), (1, 0));
        assert!(lb.entries().is_empty());
        // The counts, which this test has left wrong.
        lb.plane.clear_counts(flow.member).expect("MEMBERS");
        lb.plane.clear_loads();
    });
}

#[test]
fn a_round_covers_tables_of_any_length_and_counts_what_is_in_use() {
    for buckets in [1, 5, 32, 33, 100] {
        let sizes = Sizes {
            buckets4: buckets,
            buckets6: buckets,
            ..Sizes::default()
        };
        sized(sizes, |lb| {
            let conns: Vec<_> = (1..=4).map(|port| lb.open(port)).collect();
            round(lb);
            round(lb);
            let table = usize::from(lb.family == Family::V6);
            assert_eq!(lb.plane.sweep().used[table], 8);
            assert_eq!(lb.plane.sweep().used[1 - table], 0);
            for conn in &conns {
                lb.age(conn, IDLE + 10_000);
            }
            round(lb);
            assert!(lb.entries().is_empty(), "{buckets} buckets");
            round(lb);
            round(lb);
            assert_eq!(lb.plane.sweep().used, [0, 0]);
        });
    }
}
