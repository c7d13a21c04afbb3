//! Stages 7 and 8: the packet as its receiver sees it, and where it goes out.
//!
//! Every forwarded packet of every case is compared byte by byte; here are the values at which
//! rewriting could go wrong.

use lb_common::tcp::{ACK, SYN};
use lb_common::verdict::DropReason;
use lb_tests::netns::Mac;
use lb_tests::packet::{ETHERNET, Packet};
use lb_tests::plane::{Sizes, Verdict};

use crate::world::{BACK, Conn, FRONT, Family, MTU, PSH, World, server_mac, world, world_of};

#[test]
fn payloads_of_every_length_up_to_a_few_words_and_the_largest() {
    world(|lb| {
        let conn = lb.open(50_000);
        let header = conn.from_client(ACK).ip_length();
        let largest = MTU as usize - header;
        for length in (0..40).chain([largest - 1, largest]) {
            let data: Vec<u8> = (0..length).map(|i| (i * 7 + 1) as u8).collect();
            lb.forward(&conn, &conn.from_client(ACK | PSH).payload(data.clone()));
            lb.forward(&conn, &conn.from_server(ACK | PSH).payload(data));
        }
    });
}

#[test]
fn payloads_of_one_value() {
    world(|lb| {
        let conn = lb.open(50_000);
        for value in [0x00, 0xff, 0x80, 0x01] {
            for length in [1, 2, 3, 64, 1_001] {
                lb.forward(&conn, &conn.from_client(ACK).payload(vec![value; length]));
                lb.forward(&conn, &conn.from_server(ACK).payload(vec![value; length]));
            }
        }
    });
}

/// A checksum that becomes 0x0000 is where one's complement has two ways to write a number.
#[test]
fn tcp_checksums_of_zero_before_or_after() {
    world(|lb| {
        let conn = lb.open(50_000);
        for side in [Conn::from_client, Conn::from_server] {
            let segment = |word: u16| side(&conn, ACK).payload(word.to_be_bytes());
            let received = |word| {
                let segment = segment(word);
                if segment.to == FRONT {
                    conn.at_server(&segment)
                } else {
                    conn.at_client(&segment)
                }
            };
            let zero_in = (0..=u16::MAX).find(|&word| tcp_checksum(&segment(word)) == 0);
            let zero_out = (0..=u16::MAX).find(|&word| tcp_checksum(&received(word)) == 0);
            for word in [zero_in, zero_out] {
                lb.forward(&conn, &segment(word.expect("some word makes the sum zero")));
            }
        }
    });
}

#[test]
fn ip_checksums_of_zero_before_or_after() {
    world_of(Family::V4, Sizes::default(), |lb| {
        let conn = lb.open(50_000);
        for side in [Conn::from_client, Conn::from_server] {
            let segment = |id: u16| {
                let mut segment = side(&conn, ACK);
                segment.label = id.into();
                segment
            };
            let received = |id| {
                let segment = segment(id);
                if segment.to == FRONT {
                    conn.at_server(&segment)
                } else {
                    conn.at_client(&segment)
                }
            };
            let zero_in = (0..=u16::MAX).find(|&id| ip_checksum(&segment(id)) == 0);
            let zero_out = (0..=u16::MAX).find(|&id| ip_checksum(&received(id)) == 0);
            for id in [zero_in, zero_out] {
                lb.forward(&conn, &segment(id.expect("some id makes the sum zero")));
            }
        }
    });
}

fn tcp_checksum(packet: &Packet) -> u16 {
    let at = packet.transport() + 16;
    let frame = packet.bytes();
    u16::from_be_bytes([frame[at], frame[at + 1]])
}

fn ip_checksum(packet: &Packet) -> u16 {
    let frame = packet.bytes();
    u16::from_be_bytes([frame[ETHERNET + 10], frame[ETHERNET + 11]])
}

/// What was wrong stays wrong by as much: the receiver finds out, not we.
#[test]
fn a_wrong_checksum_is_not_mended() {
    world(|lb| {
        let conn = lb.open(50_000);
        let segment = conn.from_client(ACK).payload("damaged");
        let mut frame = segment.bytes();
        let last = frame.len() - 1;
        frame[last] ^= 0xff;
        let outcome = lb.send_frame(&frame);
        assert_eq!(outcome.ran.verdict, Verdict::Redirect);
        let error = Packet::parse(&outcome.ran.frame).expect_err("still damaged");
        assert!(error.to_string().contains("TCP checksum"), "{error:#}");
    });
}

#[test]
fn everything_else_in_the_headers_stays() {
    world(|lb| {
        let conn = lb.open(50_000);
        for side in [Conn::from_client, Conn::from_server] {
            let mut segment = side(&conn, ACK | PSH | 0xe0).payload("urgent");
            segment.class = 0xb9;
            segment.label = 0xbeef;
            segment.hops = 255;
            segment.window = 1;
            segment.urgent = 6;
            // Timestamps (RFC 7323), padded.
            segment.options = vec![1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8];
            lb.forward(&conn, &segment);
            segment.fragment = 0;
            lb.forward(&conn, &segment);
        }
    });
}

#[test]
fn hops_run_out() {
    world(|lb| {
        let conn = lb.open(50_000);
        for side in [Conn::from_client, Conn::from_server] {
            for hops in [0, 1] {
                let segment = side(&conn, ACK).hops(hops);
                lb.send(&segment).dropped(DropReason::TtlExceeded);
            }
            lb.forward(&conn, &side(&conn, ACK).hops(2));
        }
    });
}

#[test]
fn longer_than_the_way_out_takes() {
    world(|lb| {
        let conn = lb.open(50_000);
        let header = conn.from_client(ACK).ip_length();
        for (side, out) in [
            (Conn::from_client as fn(&Conn, u8) -> Packet, lb.back),
            (Conn::from_server, lb.front),
        ] {
            let fits = side(&conn, ACK).payload(vec![1; MTU as usize - header]);
            let exceeds = side(&conn, ACK).payload(vec![1; MTU as usize - header + 1]);
            lb.forward(&conn, &fits);
            lb.send(&exceeds).dropped(DropReason::MtuExceeded);
            assert!(out != 0);
        }
        // The two ways have a size each.
        lb.set_port(lb.front, FRONT, 1_000);
        lb.forward(&conn, &conn.from_client(ACK).payload(vec![1; 1_400]));
        let answer = conn.from_server(ACK).payload(vec![1; 1_400]);
        lb.send(&answer).dropped(DropReason::MtuExceeded);
    });
}

#[test]
fn a_server_that_moves_is_followed() {
    world(|lb| {
        let conn = lb.open(50_000);
        let moved = Mac([0x02, 0, 0, 0, 0x02, 0x99]);
        let mut real = lb.real(conn.server);
        let [a, b, c, d, e, f] = moved.0;
        real.ethernet[0] = u32::from_ne_bytes([a, b, c, d]);
        real.ethernet[1] = u32::from_ne_bytes([e, f, BACK.0[0], BACK.0[1]]);
        lb.plane.set_real(conn.server, real).expect("REALS");
        let segment = conn.from_client(ACK);
        let at_server = Packet {
            to: moved,
            ..conn.at_server(&segment)
        };
        lb.send(&segment).to_server(conn.server, &at_server);
    });
}

/// Server behind the interface that clients come by.
fn one_arm(lb: &mut World, server: u16) {
    let mut real = lb.real(server);
    real.ifindex = lb.front;
    real.ethernet[1] = u32::from_ne_bytes([0x02, server_mac(server).0[5], FRONT.0[0], FRONT.0[1]]);
    real.ethernet[2] = u32::from_ne_bytes([FRONT.0[2], FRONT.0[3], FRONT.0[4], FRONT.0[5]]);
    lb.plane.set_real(server, real).expect("REALS");
}

#[test]
fn one_interface_for_all() {
    world(|lb| {
        one_arm(lb, 1);
        // What is sent out where it came in needs no entry in the map of interfaces to send by.
        lb.plane.forbid_tx(lb.front).expect("TX_PORTS");
        let syn = lb.syn(50_000);
        let outcome = lb.send(&syn);
        assert_eq!(outcome.ran.verdict, Verdict::Tx);
        let at_server = Packet {
            from: FRONT,
            to: server_mac(1),
            src: lb.nat(0),
            dst: lb.server(1),
            hops: 63,
            ..syn.clone()
        };
        outcome.to_server(1, &at_server);
        let mut answer = Packet::new(server_mac(1), FRONT, lb.server(1), lb.nat(0))
            .seq(5)
            .ack(syn.seq + 1)
            .flags(SYN | ACK);
        answer.hops = 60;
        let outcome = lb.send(&answer);
        assert_eq!(outcome.ran.verdict, Verdict::Tx);
        let at_client = Packet {
            from: FRONT,
            to: syn.from,
            src: lb.vip(),
            dst: syn.src,
            hops: 59,
            ..answer.clone()
        };
        outcome.to_client(1, &at_client);
    });
}

/// A redirect names its interface: it works as long as that very one may send.
#[test]
fn each_direction_leaves_by_its_interface() {
    world(|lb| {
        let conn = lb.open(50_000);
        lb.plane.forbid_tx(lb.front).expect("TX_PORTS");
        lb.forward(&conn, &conn.from_client(ACK));
        lb.send(&conn.from_server(ACK))
            .dropped_late(DropReason::RedirectFailed);
        lb.plane.allow_tx(lb.front).expect("TX_PORTS");
        lb.plane.forbid_tx(lb.back).expect("TX_PORTS");
        lb.forward(&conn, &conn.from_server(ACK));
        lb.send(&conn.from_client(ACK))
            .dropped_late(DropReason::RedirectFailed);
    });
}

#[test]
fn a_client_on_an_interface_that_is_no_longer_ours() {
    world(|lb| {
        let conn = lb.open(50_000);
        let port = lb_common::service::Port::default();
        lb.plane.set_port(lb.front, port).expect("PORTS");
        lb.send(&conn.from_server(ACK))
            .dropped(DropReason::RedirectFailed);
    });
}
