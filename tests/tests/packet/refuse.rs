//! Answers to segments that nobody is there for: RFC 9293, section 3.10.7.1.

use lb_common::service::Pick;
use lb_common::tcp::{ACK, FIN, RST};
use lb_common::verdict::DropReason;
use lb_tests::packet::Packet;

use crate::world::{CLIENT, FRONT, PSH, World, world};

/// The RST to a segment of the client's.
pub(crate) fn rst(segment: &Packet, seq: u32, ack: u32, flags: u8) -> Packet {
    let mut rst = Packet::new(FRONT, CLIENT, segment.dst, segment.src)
        .seq(seq)
        .ack(ack)
        .flags(flags);
    rst.window = 0;
    rst
}

fn without_server(lb: &mut World) {
    lb.listen(Pick::Next, &[]);
}

#[test]
fn a_syn_without_a_server() {
    world(|lb| {
        without_server(lb);
        let syn = lb.syn(50_000);
        let answer = rst(&syn, 0, syn.seq + 1, RST | ACK);
        lb.send(&syn).refused(DropReason::NoServer, &answer);
        assert!(lb.entries().is_empty());
        lb.listen(Pick::Next, &[1]);
        lb.half_open(50_000);
    });
}

#[test]
fn a_syn_with_data_without_a_server() {
    world(|lb| {
        without_server(lb);
        let syn = lb.syn(50_000).payload("early data");
        let answer = rst(&syn, 0, syn.seq + 11, RST | ACK);
        lb.send(&syn).refused(DropReason::NoServer, &answer);
    });
}

#[test]
fn segments_that_no_flow_knows() {
    world(|lb| {
        let segment = |flags| lb.from_client(50_000).seq(1_000).ack(2_000).flags(flags);
        // With ACK: at the position that it acknowledges.
        for flags in [ACK, PSH | ACK, FIN | ACK] {
            for payload in ["", "x", "data"] {
                let segment = segment(flags).payload(payload);
                let answer = rst(&segment, 2_000, 0, RST);
                lb.send(&segment).refused(DropReason::NoFlow, &answer);
            }
        }
        // Without: zero, and acknowledges all of the segment.
        for (flags, payload, end) in [
            (0, "", 1_000),
            (0, "data", 1_004),
            (FIN, "", 1_001),
            (FIN | PSH, "odd", 1_004),
        ] {
            let segment = segment(flags).payload(payload);
            let answer = rst(&segment, 0, end, RST | ACK);
            lb.send(&segment).refused(DropReason::NoFlow, &answer);
        }
        // Whatever else stood in the headers is gone.
        let mut segment = segment(ACK);
        segment.class = 0xb8;
        segment.label = 0x4321;
        segment.hops = 1;
        segment.urgent = 9;
        segment.options = vec![1; 40];
        let answer = rst(&segment, 2_000, 0, RST);
        lb.send(&segment).refused(DropReason::NoFlow, &answer);
        assert!(lb.entries().is_empty());
    });
}

#[test]
fn sequence_numbers_wrap() {
    world(|lb| {
        without_server(lb);
        let syn = lb.syn(50_000).seq(u32::MAX);
        let answer = rst(&syn, 0, 0, RST | ACK);
        lb.send(&syn).refused(DropReason::NoServer, &answer);
    });
}

#[test]
fn a_rst_is_never_answered() {
    world(|lb| {
        for flags in [RST, RST | ACK, RST | FIN] {
            let segment = lb.from_client(50_000).flags(flags);
            lb.send(&segment).dropped(DropReason::NoFlow);
        }
    });
}

#[test]
fn an_open_flow_outlives_its_servers_leaving_the_ring() {
    world(|lb| {
        let conn = lb.open(50_000);
        without_server(lb);
        lb.forward(&conn, &conn.from_client(ACK).payload("still here"));
        lb.forward(&conn, &conn.from_server(ACK).payload("so am I"));
        // A retransmitted SYN of a flow is a segment of it.
        let half = lb.syn(50_000);
        lb.send(&half)
            .to_server(conn.server, &conn.at_server(&half));
    });
}
