//! Stage 6: what segments do to their flow.

use lb_common::flow::State;
use lb_common::tcp::{ACK, FIN, RST, SYN, WINDOW};
use lb_tests::netns::Mac;
use lb_tests::packet::Packet;
use lb_tests::plane::{Plane, Verdict};

use crate::world::{CLIENT, CLIENT_ISN, Conn, PSH, SERVER_ISN, World, origin, world};

/// Sends a segment, which is forwarded whatever it does to the flow.
#[track_caller]
fn after(lb: &World, conn: &Conn, segment: &Packet) -> State {
    lb.forward(conn, segment);
    lb.state(conn)
}

#[test]
fn a_handshake_opens_the_flow() {
    world(|lb| {
        let mut conn = lb.half_open(50_000);
        assert_eq!(lb.state(&conn), State::HalfOpen);
        let answer = conn.from_server(SYN | ACK);
        assert_eq!(after(lb, &conn, &answer), State::Answered);
        assert_eq!(lb.flow(&conn).ack, SERVER_ISN + 1, "what proves the client");
        assert_eq!(lb.reply(&conn).seq, SERVER_ISN + 1);
        assert_eq!(lb.counts(1), (1, 0, 1));
        conn.server_next += 1;
        assert_eq!(after(lb, &conn, &conn.from_client(ACK)), State::Open);
        assert_eq!(lb.counts(1), (1, 1, 1));
    });
}

#[test]
fn only_the_servers_isn_proves_the_client() {
    world(|lb| {
        let conn = lb.answered(50_000);
        for wrong in [SERVER_ISN, SERVER_ISN + 2, 0, conn.client_next] {
            let segment = conn.from_client(ACK).ack(wrong);
            assert_eq!(
                after(lb, &conn, &segment),
                State::Answered,
                "ack {wrong:#x}"
            );
        }
        // The right number without the flag.
        assert_eq!(after(lb, &conn, &conn.from_client(PSH)), State::Answered);
        assert_eq!(lb.counts(1), (1, 0, 1));
        // The handshake's last segment may be lost: data proves as well.
        let data = conn.from_client(ACK | PSH).payload("query");
        assert_eq!(after(lb, &conn, &data), State::Open);
    });
}

#[test]
fn an_ack_before_the_servers_answer_proves_nothing() {
    world(|lb| {
        let conn = lb.half_open(50_000);
        let ack = conn.from_client(ACK).ack(SERVER_ISN + 1);
        assert_eq!(after(lb, &conn, &ack), State::HalfOpen);
        let zero = conn.from_client(ACK).ack(0);
        assert_eq!(after(lb, &conn, &zero), State::HalfOpen);
    });
}

#[test]
fn handshake_segments_may_come_again() {
    world(|lb| {
        let mut conn = lb.half_open(50_000);
        assert_eq!(after(lb, &conn, &lb.syn(50_000)), State::HalfOpen);
        let answer = conn.from_server(SYN | ACK);
        assert_eq!(after(lb, &conn, &answer), State::Answered);
        assert_eq!(after(lb, &conn, &lb.syn(50_000)), State::Answered);
        assert_eq!(after(lb, &conn, &answer), State::Answered);
        conn.server_next += 1;
        assert_eq!(after(lb, &conn, &conn.from_client(ACK)), State::Open);
        assert_eq!(after(lb, &conn, &answer), State::Open);
        assert_eq!(after(lb, &conn, &lb.syn(50_000)), State::Open);
        assert_eq!(lb.counts(1), (1, 1, 1));
        assert_eq!(lb.flow(&conn).seq, CLIENT_ISN + 1);
    });
}

#[test]
fn both_fins_close_in_either_order() {
    world(|lb| {
        for (port, client_first) in [(50_000, true), (50_001, false)] {
            let conn = lb.open(port);
            let client = (conn.from_client(FIN | ACK), State::ClientFin);
            let server = (conn.from_server(FIN | ACK), State::ServerFin);
            let [first, second] = if client_first {
                [client, server]
            } else {
                [server, client]
            };
            assert_eq!(after(lb, &conn, &first.0), first.1);
            assert_eq!(after(lb, &conn, &first.0), first.1, "retransmitted");
            assert_eq!(lb.counts(conn.server), (1, 1, 1));
            assert_eq!(after(lb, &conn, &second.0), State::Closed);
            assert_eq!(lb.counts(conn.server), (1, 0, 1));
            assert_eq!(after(lb, &conn, &first.0), State::Closed, "retransmitted");
            assert_eq!(after(lb, &conn, &conn.from_client(ACK)), State::Closed);
        }
    });
}

#[test]
fn a_fin_may_end_the_handshake() {
    world(|lb| {
        let conn = lb.answered(50_000);
        let fin = conn.from_client(FIN | ACK);
        assert_eq!(after(lb, &conn, &fin), State::ClientFin);
        assert_eq!(lb.counts(1), (1, 1, 1));
    });
}

#[test]
fn a_fin_before_the_handshake_is_nothing() {
    world(|lb| {
        let conn = lb.half_open(50_000);
        assert_eq!(after(lb, &conn, &conn.from_client(FIN)), State::HalfOpen);
        let conn = lb.answered(50_001);
        let unproved = conn.from_client(FIN | ACK).ack(7);
        assert_eq!(after(lb, &conn, &unproved), State::Answered);
    });
}

/// The position that the receiver acknowledged last, and the one after all that was sent.
#[test]
fn a_rst_resets_only_at_the_exact_position() {
    world(|lb| {
        let mut port = 50_000;
        let mut fresh = || {
            port += 1;
            let mut conn = lb.open(port);
            // Data in flight both ways, nothing acknowledged yet.
            let query = conn.from_client(ACK | PSH).payload([7; 100]);
            lb.forward(&conn, &query);
            let answer = conn.from_server(ACK | PSH).payload([8; 200]);
            lb.forward(&conn, &answer);
            conn.client_next += 100;
            conn.server_next += 200;
            conn
        };
        for offset in [-101_i32, -99, -1, 1, 1_000, 0x4000_0000] {
            let conn = fresh();
            let rst = conn
                .from_client(RST)
                .seq(conn.client_next.wrapping_add_signed(offset));
            assert_eq!(after(lb, &conn, &rst), State::Open, "client {offset}");
            let seq = conn.server_next.wrapping_add_signed(offset - 100);
            assert_eq!(
                after(lb, &conn, &conn.from_server(RST).seq(seq)),
                State::Open,
                "server"
            );
            assert_eq!(
                lb.flow(&conn).seq,
                conn.client_next,
                "a RST moves no position"
            );
        }
        for flags in [RST, RST | ACK] {
            for behind in [0, 100] {
                let conn = fresh();
                let rst = conn.from_client(flags).seq(conn.client_next - behind);
                assert_eq!(after(lb, &conn, &rst), State::Reset, "client {behind}");
            }
            for behind in [0, 200] {
                let conn = fresh();
                let rst = conn.from_server(flags).seq(conn.server_next - behind);
                assert_eq!(after(lb, &conn, &rst), State::Reset, "server {behind}");
                assert_eq!(after(lb, &conn, &conn.from_client(ACK)), State::Reset);
            }
        }
    });
}

#[test]
fn a_clients_rst_neither_closes_nor_moves_what_it_has_not_proved() {
    world(|lb| {
        for conn in [lb.half_open(50_000), lb.answered(50_001)] {
            let before = lb.flow(&conn);
            for seq in [CLIENT_ISN, CLIENT_ISN + 1, 0] {
                let rst = conn.from_client(RST).seq(seq);
                assert_eq!(after(lb, &conn, &rst), before.state());
            }
            let now = lb.flow(&conn);
            assert_eq!(
                (now.word, now.seq, now.ack),
                (before.word, before.seq, before.ack)
            );
        }
    });
}

#[test]
fn a_server_refuses_a_connection() {
    world(|lb| {
        let conn = lb.half_open(50_000);
        let wrong = conn.from_server(RST | ACK).seq(0).ack(CLIENT_ISN + 2);
        assert_eq!(after(lb, &conn, &wrong), State::HalfOpen);
        let no_ack = conn.from_server(RST).seq(0);
        assert_eq!(after(lb, &conn, &no_ack), State::HalfOpen);
        let refusal = conn.from_server(RST | ACK).seq(0);
        assert_eq!(after(lb, &conn, &refusal), State::Reset);
        assert_eq!(lb.counts(1), (1, 0, 1));
    });
}

/// A server that remembers an earlier connection from the same port: RFC 9293, section 3.10.7.4.
#[test]
fn a_challenge_the_clients_rst_and_its_second_syn() {
    world(|lb| {
        let mut conn = lb.half_open(50_000);
        let challenge = conn.from_server(ACK).seq(0x7777).ack(0x5555);
        assert_eq!(after(lb, &conn, &challenge), State::HalfOpen);
        let rst = conn.from_client(RST).seq(0x5555).ack(0);
        assert_eq!(after(lb, &conn, &rst), State::HalfOpen);
        assert_eq!(after(lb, &conn, &lb.syn(50_000)), State::HalfOpen);
        let answer = conn.from_server(SYN | ACK);
        assert_eq!(after(lb, &conn, &answer), State::Answered);
        conn.server_next += 1;
        assert_eq!(after(lb, &conn, &conn.from_client(ACK)), State::Open);
    });
}

#[test]
fn positions_follow_the_traffic() {
    world(|lb| {
        let mut conn = lb.open(50_000);
        lb.forward(&conn, &conn.from_client(ACK).payload([1; 1_000]));
        conn.client_next += 1_000;
        assert_eq!(lb.flow(&conn).seq, conn.client_next);
        lb.forward(&conn, &conn.from_server(ACK).payload([2; 333]));
        conn.server_next += 333;
        assert_eq!(lb.reply(&conn).seq, conn.server_next);
        assert_eq!(lb.reply(&conn).ack, conn.client_next);
        lb.forward(&conn, &conn.from_client(ACK));
        assert_eq!(lb.flow(&conn).ack, conn.server_next);
        // Older segments, and jumps too far to believe, are forwarded without effect.
        let (flow, reply) = (lb.flow(&conn), lb.reply(&conn));
        for far in [500_u32.wrapping_neg(), WINDOW + 1, 0x8000_0000] {
            let mut segment = conn.from_client(ACK);
            segment.seq = segment.seq.wrapping_add(far);
            segment.ack = segment.ack.wrapping_add(far);
            lb.forward(&conn, &segment);
            let mut segment = conn.from_server(ACK);
            segment.seq = segment.seq.wrapping_add(far);
            segment.ack = segment.ack.wrapping_add(far);
            lb.forward(&conn, &segment);
        }
        assert_eq!(
            (lb.flow(&conn).seq, lb.flow(&conn).ack),
            (flow.seq, flow.ack)
        );
        assert_eq!(
            (lb.reply(&conn).seq, lb.reply(&conn).ack),
            (reply.seq, reply.ack)
        );
    });
}

#[test]
fn each_direction_notes_when_it_was_used() {
    world(|lb| {
        let conn = lb.open(50_000);
        lb.age(&conn, 10_000);
        let old = lb.flow(&conn).seen;
        lb.forward(&conn, &conn.from_client(ACK));
        assert!(Plane::now().wrapping_sub(lb.flow(&conn).seen) < 5_000);
        assert_eq!(lb.reply(&conn).seen, old);
        lb.forward(&conn, &conn.from_server(ACK));
        assert!(Plane::now().wrapping_sub(lb.reply(&conn).seen) < 5_000);
    });
}

#[test]
fn replies_follow_a_client_to_another_mac_address() {
    world(|lb| {
        let mut conn = lb.open(50_000);
        let router = Mac([0x02, 0, 0, 0, 0x01, 0xc2]);
        conn.client_mac = router;
        lb.forward(&conn, &conn.from_client(ACK).payload("from elsewhere"));
        assert_eq!(lb.flow(&conn).origin, origin(router, lb.front));
        lb.forward(&conn, &conn.from_server(ACK));
    });
}

#[test]
fn replies_follow_a_client_to_another_interface() {
    world(|lb| {
        let conn = lb.open(50_000);
        let mut segment = conn.from_client(ACK);
        segment.to = crate::world::BACK;
        // In by the back interface and out by it.
        let outcome = lb.send(&segment);
        assert_eq!(outcome.ran.verdict, Verdict::Tx);
        outcome.to_server(1, &conn.at_server(&segment));
        let answer = conn.from_server(ACK);
        let mut at_client = conn.at_client(&answer);
        at_client.from = crate::world::BACK;
        let outcome = lb.send(&answer);
        assert_eq!(outcome.ran.verdict, Verdict::Tx);
        outcome.to_client(1, &at_client);
        assert_eq!(lb.flow(&conn).origin, origin(CLIENT, lb.back));
    });
}

/// Nothing that a stranger sends, who knows addresses and ports but no sequence number, may send
/// replies astray or shorten the flow's life.
#[test]
fn a_strangers_segments_move_nothing() {
    world(|lb| {
        let conn = lb.open(50_000);
        let before = lb.flow(&conn);
        for flags in [ACK, FIN | ACK, FIN, RST, SYN] {
            let mut forged = conn.from_client(flags);
            forged.from = Mac([0x02, 0, 0, 0, 0x01, 0x66]);
            forged.seq = forged.seq.wrapping_add(0x6000_0000);
            forged.ack = forged.ack.wrapping_add(0x6000_0000);
            lb.forward(&conn, &forged);
            let now = lb.flow(&conn);
            assert_eq!(now.state(), State::Open, "flags {flags:#x}");
            assert_eq!(now.origin, before.origin, "flags {flags:#x}");
            assert_eq!(
                (now.seq, now.ack),
                (before.seq, before.ack),
                "flags {flags:#x}"
            );
        }
        lb.forward(&conn, &conn.from_server(ACK));
    });
}
