//! Stage 5: new flows.

use lb_common::flow::State;
use lb_common::service::Pick;
use lb_common::tcp::{ACK, GIVEN_UP, RST};

use crate::world::{CLIENT, CLIENT_ISN, IDLE, World, member_of, origin, world};

#[test]
fn a_syn_opens_a_flow() {
    world(|lb| {
        let syn = lb.syn(50_000);
        let conn = lb.half_open(50_000);
        assert_eq!((conn.server, conn.nat), (1, lb.nat(0)));
        let flow = lb.flow(&conn);
        assert_eq!(flow.state(), State::HalfOpen);
        assert_eq!((flow.src, flow.dst), (conn.client, lb.vip()));
        assert_eq!((flow.new_src, flow.new_dst), (lb.nat(0), lb.server(1)));
        assert_eq!((flow.member, flow.real), (member_of(1), 1));
        assert_eq!(flow.origin, origin(CLIENT, lb.front));
        assert_eq!(flow.seq, syn.seq + 1);
        assert_eq!(lb.reply(&conn).state(), State::Reply);
        assert_eq!(lb.counts(1), (1, 0, 1));
    });
}

#[test]
fn flows_of_many_clients_do_not_mix() {
    world(|lb| {
        let conns: Vec<_> = (50_000..50_060).map(|port| lb.open(port)).collect();
        for conn in &conns {
            lb.forward(conn, &conn.from_client(ACK).payload("query"));
            lb.forward(conn, &conn.from_server(ACK).payload("answer"));
        }
        for server in 1..=3 {
            assert_eq!(lb.counts(server), (20, 20, 20));
        }
    });
}

#[test]
fn the_same_port_of_two_clients() {
    world(|lb| {
        let one = lb.open(50_000);
        let mut syn = lb.syn(50_000);
        syn.src.set_ip(lb.address(1, 0xc2));
        let two = lb.started_by(&syn);
        assert_ne!((one.server, one.nat), (two.server, two.nat));
    });
}

/// Without connection tracking, nothing else decides whether a SYN starts anew.
#[test]
fn a_client_uses_its_port_again() {
    world(|lb| {
        let old = lb.closed(50_000);
        again(lb, &old);
        let old = lb.open(50_001);
        lb.forward(&old, &old.from_client(RST));
        again(lb, &old);
    });
}

fn again(lb: &World, old: &crate::world::Conn) {
    let total = lb.counts(1).2 + lb.counts(2).2 + lb.counts(3).2;
    let syn = lb.syn(old.client.port()).seq(CLIENT_ISN + 50_000);
    let new = lb.started_by(&syn);
    assert_ne!(new.server, old.server, "the next server in turn");
    assert_eq!(lb.state(&new), State::HalfOpen);
    assert_eq!(lb.flow(&new).seq, syn.seq + 1);
    let now = lb.counts(1).2 + lb.counts(2).2 + lb.counts(3).2;
    assert_eq!(now, total + 1);
    // The old server's last words reach nobody: its flow is gone.
    let late = old.from_server(ACK);
    lb.send(&late)
        .passed(lb_common::verdict::PassReason::NoService);
}

/// It has given up on a server that did not answer: another may.
#[test]
fn a_client_that_gave_up_uses_its_port_again() {
    world(|lb| {
        let old = lb.half_open(50_000);
        again(lb, &old);
        let old = lb.answered(50_001);
        lb.age(&old, GIVEN_UP);
        again(lb, &old);
        assert_eq!(lb.entries().len(), 4);
    });
}

/// What its SYN carried comes again without it (RFC 7413), or with it.
#[test]
fn a_syn_sent_again_stays_with_its_server() {
    world(|lb| {
        let syn = lb.syn(50_000).payload("early data");
        let conn = lb.started_by(&syn);
        for again in [lb.syn(50_000), syn] {
            lb.forward(&conn, &again);
        }
        assert_eq!(lb.counts(1), (1, 0, 1));
    });
}

/// A handshake takes its round trip: until it is done, nobody's SYN ends it, or moves what it has
/// come to.
#[test]
fn a_strangers_syn_does_not_end_a_handshake() {
    world(|lb| {
        let conn = lb.answered(50_000);
        let before = lb.flow(&conn);
        for isn in [CLIENT_ISN + 1, CLIENT_ISN + 0x4000_0000] {
            lb.forward(&conn, &lb.syn(50_000).seq(isn));
            let now = lb.flow(&conn);
            assert_eq!((now.word, now.seq), (before.word, before.seq));
        }
        lb.forward(&conn, &conn.from_client(ACK));
        assert_eq!(lb.state(&conn), State::Open);
        // And none ends an open flow, however long it has been idle.
        lb.age(&conn, IDLE - 100);
        lb.forward(&conn, &lb.syn(50_000).seq(CLIENT_ISN + 0x4000_0000));
        assert_eq!(lb.state(&conn), State::Open);
        assert_eq!(lb.counts(1), (1, 1, 1));
    });
}

#[test]
fn late_segments_of_a_closed_flow_still_reach_the_other_end() {
    world(|lb| {
        let conn = lb.closed(50_000);
        lb.forward(&conn, &conn.from_server(ACK));
        lb.forward(&conn, &conn.from_client(ACK));
        assert_eq!(lb.state(&conn), State::Closed);
    });
}

#[test]
fn weight_of_a_server_gone_keeps_its_flows() {
    world(|lb| {
        let conn = lb.open(50_000);
        lb.listen(Pick::Next, &[2, 3]);
        lb.forward(&conn, &conn.from_client(ACK));
        assert_eq!(lb.counts(1), (1, 1, 1));
        for port in 50_001..50_010 {
            assert_ne!(lb.half_open(port).server, 1);
        }
    });
}
