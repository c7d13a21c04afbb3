//! `lb decap`: what comes out of tunnels, and what is left alone.

use std::net::{IpAddr, SocketAddr};

use lb_common::decap::Fate;
use lb_common::tcp::ACK;
use lb_tests::netns::Mac;
use lb_tests::packet::tunnel::Tunnel;
use lb_tests::packet::{ETHERNET, Packet, fix_ip_checksum};
use lb_tests::plane::decap::DecapPlane;
use lb_tests::plane::{Ran, Verdict, ports};
use lb_tests::skip::skip;

const BALANCER: Mac = Mac([2, 0, 0, 0, 0, 1]);
const SERVER: Mac = Mac([2, 0, 0, 0, 0, 2]);

/// The server's addresses: its own, the service's, and one that is for nothing of ours.
const OWN: [&str; 2] = ["10.0.2.11", "fd00:2::11"];
const VIP: [&str; 2] = ["10.0.1.10", "fd00:1::10"];
const OTHER: [&str; 2] = ["10.0.2.12", "fd00:2::12"];
const FROM: [&str; 2] = ["198.18.7.7", "100::7:7"];
const CLIENT: [&str; 2] = ["10.0.1.100", "fd00:1::100"];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A segment of a client's for `to`.
fn segment(family: usize, to: [&str; 2]) -> Packet {
    let src = SocketAddr::new(ip(CLIENT[family]), 50_000);
    let dst = SocketAddr::new(ip(to[family]), 5432);
    let mut packet = Packet::new(BALANCER, SERVER, src, dst)
        .flags(ACK)
        .payload("what the client said");
    packet.hops = 63;
    packet.class = 0xb8;
    packet
}

fn tunnel(family: usize) -> Tunnel {
    Tunnel::ipip(BALANCER, SERVER, ip(FROM[family]), ip(OWN[family]))
}

/// The tunnels that there are: both kinds around both families inside both families.
fn all() -> impl Iterator<Item = (Tunnel, Fate, usize)> {
    [0, 1].into_iter().flat_map(|outside| {
        [0, 1].into_iter().flat_map(move |inside| {
            [
                (tunnel(outside), Fate::Ipip, inside),
                (tunnel(outside).gue(50_001), Fate::Gue, inside),
            ]
        })
    })
}

struct Server {
    plane: DecapPlane,
    port: u32,
}

/// Runs a case on a server that takes tunnels from [`FROM`] only, if `strict`.
fn server(from: Option<&str>, test: impl Fn(&Server) + Sync) {
    if !nix::unistd::geteuid().is_root() {
        return skip("needs root");
    }
    let ports = ports::shared().expect("a namespace with two interfaces");
    ports.namespace.run(|| {
        let here = [OWN, VIP].concat().into_iter().map(ip).collect::<Vec<_>>();
        let inside = VIP.map(ip);
        let plane = DecapPlane::load(&here, &inside, from.map(ip)).expect("the program loads");
        let port = ports.front;
        test(&Server { plane, port });
    });
}

impl Server {
    /// What becomes of a frame, and how that is counted.
    fn get(&self, frame: &[u8]) -> (Ran, Option<Fate>) {
        let before = self.plane.fates().unwrap();
        let ran = self.plane.run(self.port, frame).unwrap();
        let mut moved = self.plane.fates().unwrap();
        moved.retain(|fate| !before.contains(fate));
        assert!(moved.len() <= 1, "{moved:?}");
        (ran, moved.first().map(|(fate, _)| *fate))
    }

    /// The stack gets this frame, counted so.
    #[track_caller]
    fn delivers(&self, frame: &[u8], fate: Fate, expected: &[u8]) {
        let (ran, counted) = self.get(frame);
        assert_eq!((ran.verdict, counted), (Verdict::Pass, Some(fate)));
        assert_eq!(ran.frame, expected);
    }

    #[track_caller]
    fn leaves(&self, frame: &[u8], fate: Option<Fate>) {
        let (ran, counted) = self.get(frame);
        assert_eq!((ran.verdict, counted), (Verdict::Pass, fate));
        assert_eq!(ran.frame, frame, "the stack's frame was changed");
    }

    #[track_caller]
    fn drops(&self, frame: &[u8], fate: Fate) {
        let (ran, counted) = self.get(frame);
        assert_eq!((ran.verdict, counted), (Verdict::Drop, Some(fate)));
    }
}

#[test]
fn every_kind_around_every_family() {
    server(None, |server| {
        for (tunnel, kind, inside) in all() {
            for length in [0, 1, 2, 999, 1_400] {
                let packet = segment(inside, VIP).payload(vec![7; length]);
                let frame = tunnel.wrap(&packet.bytes());
                server.delivers(&frame, kind, &packet.bytes());
            }
        }
    });
}

/// Short frames are padded on the wire: what is behind the packet stays there.
#[test]
fn padding_is_left() {
    server(None, |server| {
        let packet = segment(0, VIP);
        let mut frame = tunnel(0).wrap(&packet.bytes());
        frame.extend([0; 9]);
        let expected = [packet.bytes(), vec![0; 9]].concat();
        server.delivers(&frame, Fate::Ipip, &expected);
    });
}

#[test]
fn gue_with_a_header_of_its_own() {
    server(None, |server| {
        for outside in [0, 1] {
            for (inside, protocol) in [(0, 4), (1, 41)] {
                let packet = segment(inside, VIP).bytes();
                let frame = tunnel(outside)
                    .gue(50_001)
                    .wrap_after(&[0, protocol, 0, 0], &packet);
                server.delivers(&frame, Fate::Gue, &packet);
            }
        }
    });
}

#[test]
fn gue_that_is_not_understood_is_the_stacks() {
    server(None, |server| {
        let packet = segment(0, VIP).bytes();
        // A control message, a longer header, flags, another version, another protocol.
        for head in [
            [0x20, 0, 0, 0],
            [1, 4, 0, 0],
            [0, 4, 0x80, 0],
            [0x80, 4, 0, 0],
            [0, 6, 0, 0],
        ] {
            let frame = tunnel(0).gue(50_001).wrap_after(&head, &packet);
            server.leaves(&frame, Some(Fate::Unusual));
        }
    });
}

#[test]
fn what_is_no_tunnel_is_not_touched() {
    server(None, |server| {
        for inside in [0, 1] {
            server.leaves(&segment(inside, VIP).bytes(), None);
            let mut datagram = tunnel(inside).gue(50_001).wrap(&segment(0, VIP).bytes());
            // Another port: somebody's datagram.
            datagram[tunnel(inside).offset() + 3] ^= 1;
            server.leaves(&datagram, None);
        }
        let mut arp = segment(0, VIP).bytes();
        arp[13] = 6;
        server.leaves(&arp, None);
        server.leaves(&[0; ETHERNET], None);
    });
}

/// A server that forwards packets must not become anybody's way around a filter.
#[test]
fn only_what_is_for_this_host_comes_out() {
    server(None, |server| {
        for (tunnel, _, inside) in all() {
            for to in [OTHER, OWN, CLIENT] {
                let frame = tunnel.wrap(&segment(inside, to).bytes());
                server.leaves(&frame, Some(Fate::ForOthers));
            }
            let elsewhere = Tunnel {
                dst: ip(OTHER[usize::from(tunnel.dst.is_ipv6())]),
                ..tunnel
            };
            let frame = elsewhere.wrap(&segment(inside, VIP).bytes());
            server.leaves(&frame, Some(Fate::ForOthers));
        }
    });
}

#[test]
fn only_from_whom_was_named() {
    for family in [0, 1] {
        server(Some(FROM[family]), |server| {
            for (tunnel, kind, inside) in all() {
                let packet = segment(inside, VIP).bytes();
                let frame = tunnel.wrap(&packet);
                if usize::from(tunnel.src.is_ipv6()) == family {
                    server.delivers(&frame, kind, &packet);
                } else {
                    server.drops(&frame, Fate::Refused);
                }
            }
        });
    }
}

/// RFC 6040, and the inner header's checksum is right afterwards.
#[test]
fn congestion_on_the_way_is_told_to_the_receiver() {
    server(None, |server| {
        for (mut tunnel, kind, inside) in all() {
            for (inner, outer, becomes) in [
                (0b10, 0b11, Some(0b11)),
                (0b10, 0b01, Some(0b01)),
                (0b01, 0b11, Some(0b11)),
                (0b11, 0b00, Some(0b11)),
                (0b00, 0b10, Some(0b00)),
                (0b00, 0b11, None),
            ] {
                let mut packet = segment(inside, VIP);
                packet.class = 0xb8 | inner;
                tunnel.class = 0x20 | outer;
                let frame = tunnel.wrap(&packet.bytes());
                match becomes {
                    Some(mark) => {
                        packet.class = 0xb8 | mark;
                        server.delivers(&frame, kind, &packet.bytes());
                    }
                    None => server.drops(&frame, Fate::Congestion),
                }
            }
        }
    });
}

#[test]
fn fragments_and_options_are_the_stacks() {
    server(None, |server| {
        let packet = segment(0, VIP).bytes();
        for fragment in [0x2000, 0x0001] {
            let in_pieces = Tunnel {
                fragment,
                ..tunnel(0)
            };
            server.leaves(&in_pieces.wrap(&packet), Some(Fate::Unusual));
            server.leaves(&in_pieces.clone().gue(50_001).wrap(&packet), None);
        }
        let mut options = tunnel(0).wrap(&packet);
        options[ETHERNET] = 0x46;
        server.leaves(&options, Some(Fate::Unusual));
    });
}

#[test]
fn headers_that_contradict_each_other() {
    server(None, |server| {
        for (tunnel, _, inside) in all() {
            let good = tunnel.wrap(&segment(inside, VIP).bytes());
            let inner = tunnel.offset();
            let broken = |at: usize, value: u8| {
                let mut frame = good.clone();
                frame[at] = value;
                if tunnel.src.is_ipv4() {
                    fix_ip_checksum(&mut frame);
                }
                frame
            };
            // The inner packet is longer than the outer one.
            let length = if inside == 0 { inner + 2 } else { inner + 4 };
            server.drops(&broken(length, 0xff), Fate::Malformed);
            if tunnel.gue.is_none() {
                // What it is is not what the outer header said.
                server.drops(&broken(inner, 0x55), Fate::Malformed);
            } else {
                server.leaves(&broken(inner, 0x55), Some(Fate::Unusual));
                // UDP is longer, or shorter, than it can be.
                server.drops(&broken(inner - 4, 0xff), Fate::Malformed);
                let mut short = broken(inner - 4, 0);
                short[inner - 3] = 11;
                server.drops(&short, Fate::Malformed);
            }
            // The outer packet is longer than the frame.
            let cut = &good[..good.len() - 1];
            server.drops(cut, Fate::Malformed);
            // The frame ends in the inner header.
            let cut = &good[..inner + 12];
            let (ran, _) = server.get(cut);
            assert!(ran.frame == cut, "changed");
        }
        let mut sum = tunnel(0).wrap(&segment(0, VIP).bytes());
        sum[ETHERNET + 10] ^= 1;
        server.drops(&sum, Fate::Malformed);
        // An inner header shorter than IPv4's, a length shorter than the header.
        for (at, value) in [(0, 0x44), (3, 19)] {
            let mut inner = segment(0, VIP).bytes();
            inner[ETHERNET + at] = value;
            if at == 3 {
                inner[ETHERNET + 2] = 0;
            }
            server.drops(&tunnel(0).wrap(&inner), Fate::Malformed);
        }
    });
}
