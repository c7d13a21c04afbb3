//! Flows whose server refuses or ignores them.

use lb_common::flow::State;
use lb_common::service::{Pick, REDISPATCHES};
use lb_common::tcp::{ACK, RST, SYN};
use lb_common::time::ticks;
use lb_common::verdict::DropReason;
use lb_tests::plane::Sizes;

use crate::world::{CLIENT_ISN, Conn, World, member_of, sized, world};

/// A service whose flows may leave a server, and would all be sent to the same one.
fn moving(test: impl Fn(&mut World) + Sync) {
    let sizes = Sizes {
        redispatch: true,
        ..Sizes::default()
    };
    sized(sizes, |lb| {
        lb.listen(Pick::First, &[1, 2, 3]);
        for server in 1..=3 {
            lb.change_member(server, |member| member.redispatches = REDISPATCHES);
        }
        test(lb);
    });
}

fn failed(lb: &World, server: u16) -> u64 {
    lb.plane.counts(member_of(server)).failed_total
}

/// The server's answer to a SYN that nobody listens for.
fn refusal(conn: &Conn) -> lb_tests::packet::Packet {
    conn.from_server(RST | ACK).seq(0)
}

#[test]
fn a_refused_flow_goes_to_the_next_server_and_the_next() {
    moving(|lb| {
        for server in 1..=2 {
            let conn = lb.half_open(50_000);
            assert_eq!(conn.server, server);
            lb.send(&refusal(&conn)).dropped(DropReason::Withheld);
            assert_eq!(lb.state(&conn), State::Refused);
            assert_eq!(lb.plane.gauge(server), 0, "it takes no place there");
            // It may be sent twice.
            lb.send(&refusal(&conn)).dropped(DropReason::Withheld);
            assert_eq!(failed(lb, server), 1);
        }
        // The client is told by the last.
        let conn = lb.half_open(50_000);
        assert_eq!(conn.server, 3);
        lb.forward(&conn, &refusal(&conn));
        assert_eq!(lb.state(&conn), State::Reset);
        assert_eq!(failed(lb, 3), 1);
        // After that, everything begins anew.
        assert_eq!(lb.half_open(50_000).server, 1);
    });
}

#[test]
fn one_that_is_taken_at_last() {
    moving(|lb| {
        let conn = lb.half_open(50_000);
        lb.send(&refusal(&conn)).dropped(DropReason::Withheld);
        let conn = lb.open(50_000);
        assert_eq!((conn.server, lb.state(&conn)), (2, State::Open));
        lb.forward(&conn, &conn.from_client(ACK).payload("query"));
        lb.forward(&conn, &conn.from_server(ACK).payload("answer"));
    });
}

#[test]
fn a_reset_that_answers_no_syn_of_ours_is_nothing() {
    moving(|lb| {
        let conn = lb.half_open(50_000);
        let other = refusal(&conn).ack(CLIENT_ISN + 2);
        lb.forward(&conn, &other);
        assert_eq!(lb.state(&conn), State::HalfOpen);
        assert_eq!(failed(lb, 1), 0);
    });
}

#[test]
fn without_redispatch_the_client_is_told_at_once() {
    world(|lb| {
        let conn = lb.half_open(50_000);
        lb.forward(&conn, &refusal(&conn));
        assert_eq!(lb.state(&conn), State::Reset);
        assert_eq!(failed(lb, conn.server), 1, "it is counted all the same");
    });
}

#[test]
fn a_reset_after_the_answer_is_the_servers_own_affair() {
    moving(|lb| {
        let conn = lb.answered(50_000);
        lb.forward(&conn, &conn.from_server(RST | ACK));
        assert_eq!(failed(lb, 1), 0);
        let conn = lb.open(50_001);
        lb.forward(&conn, &conn.from_server(RST | ACK));
        assert_eq!(lb.state(&conn), State::Reset);
        assert_eq!(failed(lb, 1), 0);
    });
}

#[test]
fn an_unanswered_flow_goes_from_server_to_server() {
    moving(|lb| {
        let mut conn = lb.half_open(50_000);
        assert_eq!(conn.server, 1);
        // A duplicate follows it.
        lb.send(&lb.syn(50_000))
            .to_server(1, &conn.at_server(&lb.syn(50_000)));
        for (next, left) in [(2, 1), (3, 2)] {
            lb.age(&conn, ticks(1));
            conn = lb.half_open(50_000);
            assert_eq!((conn.server, failed(lb, left)), (next, 1));
            assert_eq!(lb.counts(left).0, 0, "nothing is left there");
        }
        // When all were tried, one of them is better than none.
        lb.age(&conn, ticks(1));
        assert_eq!(lb.half_open(50_000).server, 1);
    });
}

#[test]
fn an_answered_flow_stays() {
    moving(|lb| {
        let conn = lb.answered(50_000);
        lb.age(&conn, ticks(3));
        let syn = lb.syn(50_000);
        lb.send(&syn).to_server(1, &conn.at_server(&syn));
        lb.forward(&conn, &conn.from_client(ACK));
        assert_eq!(lb.state(&conn), State::Open);
        lb.age(&conn, ticks(3));
        lb.send(&syn).to_server(1, &conn.at_server(&syn));
        assert_eq!(failed(lb, 1), 0);
    });
}

#[test]
fn with_one_server_there_is_nowhere_to_go() {
    moving(|lb| {
        lb.listen(Pick::First, &[1]);
        let conn = lb.half_open(50_000);
        lb.age(&conn, ticks(1));
        assert_eq!(lb.half_open(50_000).server, 1);
        // The agent says so.
        lb.change_member(1, |member| member.redispatches = 0);
        let conn = lb.half_open(50_001);
        lb.age(&conn, ticks(1));
        let syn = lb.syn(50_001);
        lb.send(&syn).to_server(1, &conn.at_server(&syn));
        lb.forward(&conn, &refusal(&conn));
        let late = conn.from_server(SYN | ACK);
        lb.forward(&conn, &late);
    });
}

#[test]
fn a_full_server_is_no_refuge() {
    moving(|lb| {
        lb.change_member(2, |member| member.maxconn = 1);
        lb.plane.set_gauge(2, 1);
        let conn = lb.half_open(50_000);
        lb.send(&refusal(&conn)).dropped(DropReason::Withheld);
        assert_eq!(lb.half_open(50_000).server, 3);
        lb.plane.set_gauge(2, 0);
    });
}
