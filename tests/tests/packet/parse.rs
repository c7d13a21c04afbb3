//! Stage 2: packets that are no plain TCP segment, or contradict themselves.
//!
//! Where they are for an address of a service they are dropped and counted; anybody else's are the
//! stack's to judge.

use lb_common::verdict::{DropReason, PassReason};
use lb_tests::packet::{ETHERNET, Packet};
use lb_tests::plane::Sizes;

use crate::world::{Family, World, world, world_of};

/// What makes a good packet a bad one, and what it is then.
type Case = (&'static str, fn(&mut Vec<u8>), Expected);

#[derive(Clone, Copy)]
enum Expected {
    Drop(DropReason),
    Pass(PassReason),
}

use Expected::{Drop, Pass};

const V4: &[Case] = &[
    ("version 5", |f| f[14] = 0x55, Drop(DropReason::BadIpHeader)),
    ("version 6", |f| f[14] = 0x65, Drop(DropReason::BadIpHeader)),
    (
        "header of 16 bytes",
        |f| f[14] = 0x44,
        Drop(DropReason::BadIpHeader),
    ),
    (
        "header of 0 bytes",
        |f| f[14] = 0x40,
        Drop(DropReason::BadIpHeader),
    ),
    ("options", |f| f[14] = 0x46, Drop(DropReason::IpOptions)),
    (
        "as many options as fit",
        |f| f[14] = 0x4f,
        Drop(DropReason::IpOptions),
    ),
    (
        "total length 0",
        |f| length4(f, 0),
        Drop(DropReason::BadIpHeader),
    ),
    (
        "total length below header",
        |f| length4(f, 19),
        Drop(DropReason::BadIpHeader),
    ),
    (
        "total length without TCP",
        |f| length4(f, 20),
        Drop(DropReason::BadTcpHeader),
    ),
    (
        "total length cuts TCP header",
        |f| length4(f, 39),
        Drop(DropReason::BadTcpHeader),
    ),
    (
        "total length cuts TCP options",
        |f| length4(f, 47),
        Drop(DropReason::BadTcpHeader),
    ),
    (
        "total length beyond frame",
        |f| length4(f, 49),
        Drop(DropReason::Truncated),
    ),
    (
        "total length 65535",
        |f| length4(f, 65_535),
        Drop(DropReason::Truncated),
    ),
    (
        "data offset 0",
        |f| f[46] = 0x00,
        Drop(DropReason::BadTcpHeader),
    ),
    (
        "data offset 16 bytes",
        |f| f[46] = 0x40,
        Drop(DropReason::BadTcpHeader),
    ),
    (
        "data offset beyond packet",
        |f| f[46] = 0x80,
        Drop(DropReason::BadTcpHeader),
    ),
    (
        "data offset 60 bytes",
        |f| f[46] = 0xf0,
        Drop(DropReason::BadTcpHeader),
    ),
    (
        "first fragment",
        |f| f[20] = 0x20,
        Drop(DropReason::Fragment),
    ),
    (
        "middle fragment",
        |f| f[20..22].copy_from_slice(&[0x20, 0xb9]),
        Drop(DropReason::Fragment),
    ),
    (
        "last fragment",
        |f| f[20..22].copy_from_slice(&[0x00, 0xb9]),
        Drop(DropReason::Fragment),
    ),
    (
        "fragment with options",
        |f| (f[14], f[20]) = (0x46, 0x20),
        Drop(DropReason::Fragment),
    ),
    ("UDP", |f| f[23] = 17, Pass(PassReason::NotTcp)),
    (
        "UDP fragment",
        |f| (f[20], f[23]) = (0x20, 17),
        Pass(PassReason::NotTcp),
    ),
    ("VRRP", |f| f[23] = 112, Pass(PassReason::NotTcp)),
    ("ICMP", |f| f[23] = 1, Pass(PassReason::Icmp)),
    (
        "ICMP with options",
        |f| (f[14], f[23]) = (0x46, 1),
        Pass(PassReason::Icmp),
    ),
];

const V6: &[Case] = &[
    ("version 4", |f| f[14] = 0x40, Drop(DropReason::BadIpHeader)),
    ("version 7", |f| f[14] = 0x70, Drop(DropReason::BadIpHeader)),
    (
        "payload length 0",
        |f| length6(f, 0),
        Drop(DropReason::BadTcpHeader),
    ),
    (
        "payload length cuts TCP header",
        |f| length6(f, 19),
        Drop(DropReason::BadTcpHeader),
    ),
    (
        "payload length cuts TCP options",
        |f| length6(f, 27),
        Drop(DropReason::BadTcpHeader),
    ),
    (
        "payload length beyond frame",
        |f| length6(f, 29),
        Drop(DropReason::Truncated),
    ),
    (
        "payload length 65535",
        |f| length6(f, 65_535),
        Drop(DropReason::Truncated),
    ),
    (
        "data offset 0",
        |f| f[66] = 0x00,
        Drop(DropReason::BadTcpHeader),
    ),
    (
        "data offset 16 bytes",
        |f| f[66] = 0x40,
        Drop(DropReason::BadTcpHeader),
    ),
    (
        "data offset beyond packet",
        |f| f[66] = 0x80,
        Drop(DropReason::BadTcpHeader),
    ),
    (
        "data offset 60 bytes",
        |f| f[66] = 0xf0,
        Drop(DropReason::BadTcpHeader),
    ),
    (
        "hop-by-hop options",
        |f| f[20] = 0,
        Drop(DropReason::IpOptions),
    ),
    (
        "routing header",
        |f| f[20] = 43,
        Drop(DropReason::IpOptions),
    ),
    (
        "destination options",
        |f| f[20] = 60,
        Drop(DropReason::IpOptions),
    ),
    (
        "authentication header",
        |f| f[20] = 51,
        Drop(DropReason::IpOptions),
    ),
    (
        "mobility header",
        |f| f[20] = 135,
        Drop(DropReason::IpOptions),
    ),
    ("fragment", |f| f[20] = 44, Drop(DropReason::Fragment)),
    ("UDP", |f| f[20] = 17, Pass(PassReason::NotTcp)),
    ("VRRP", |f| f[20] = 112, Pass(PassReason::NotTcp)),
    ("no next header", |f| f[20] = 59, Pass(PassReason::NotTcp)),
    ("ICMPv6", |f| f[20] = 58, Pass(PassReason::Icmp)),
];

fn length4(frame: &mut [u8], length: u16) {
    frame[16..18].copy_from_slice(&length.to_be_bytes());
}

fn length6(frame: &mut [u8], length: u16) {
    frame[18..20].copy_from_slice(&length.to_be_bytes());
}

/// Every case twice: for the service's address, and for one that is nobody's here.
fn run(lb: &World, cases: &[Case]) {
    for &(name, spoil, expected) in cases {
        println!("{name}");
        let mut frame = lb.syn(50_000).bytes();
        spoil(&mut frame);
        match expected {
            Drop(reason) => lb.send_frame(&frame).dropped(reason),
            Pass(reason) => lb.send_frame(&frame).passed(reason),
        }
        let mut frame = elsewhere(lb).bytes();
        spoil(&mut frame);
        match expected {
            Drop(_) => lb.send_frame(&frame).passed(PassReason::NoService),
            Pass(reason) => lb.send_frame(&frame).passed(reason),
        }
    }
    assert!(lb.entries().is_empty());
}

/// A SYN to an address of ours that no service has.
fn elsewhere(lb: &World) -> Packet {
    let mut syn = lb.syn(50_000);
    syn.dst = (lb.address(1, 1), syn.dst.port()).into();
    syn
}

#[test]
fn bad_ipv4() {
    world_of(Family::V4, Sizes::default(), |lb| run(lb, V4));
}

#[test]
fn bad_ipv6() {
    world_of(Family::V6, Sizes::default(), |lb| run(lb, V6));
}

#[test]
fn a_frame_cut_off_anywhere() {
    world(|lb| {
        let syn = lb.syn(50_000).payload("0123456789");
        let frame = syn.bytes();
        let other = elsewhere(lb).payload("0123456789").bytes();
        for length in ETHERNET..frame.len() {
            let (cut, other) = (
                lb.send_frame(&frame[..length]),
                lb.send_frame(&other[..length]),
            );
            if length < syn.transport() {
                // Whom it is for is not known.
                cut.passed(PassReason::NotIp);
                other.passed(PassReason::NotIp);
            } else {
                cut.dropped(DropReason::Truncated);
                other.passed(PassReason::NoService);
            }
        }
        assert!(lb.entries().is_empty());
        lb.started_by(&syn);
    });
}

#[test]
fn a_short_frame_of_another_protocol_passes() {
    world(|lb| {
        let syn = lb.syn(50_000);
        let mut frame = syn.bytes();
        let protocol = if lb.family == Family::V4 { 23 } else { 20 };
        frame.truncate(syn.transport() + 8);
        frame[protocol] = 17;
        lb.send_frame(&frame).passed(PassReason::NotTcp);
        frame[protocol] = if lb.family == Family::V4 { 1 } else { 58 };
        lb.send_frame(&frame).passed(PassReason::Icmp);
    });
}

#[test]
fn padding_is_no_part_of_the_packet() {
    world(|lb| {
        let mut syn = lb.syn(50_000);
        syn.options.clear();
        let mut frame = syn.bytes();
        frame.extend([0xaa; 6]);
        let outcome = lb.send_frame(&frame);
        let at_server = Packet {
            from: crate::world::BACK,
            to: crate::world::server_mac(1),
            src: lb.nat(0),
            dst: lb.server(1),
            hops: 63,
            ..syn.clone()
        };
        assert!(outcome.ran.frame.ends_with(&[0xaa; 6]));
        outcome.to_server(1, &at_server);
    });
}

#[test]
fn other_ports_and_addresses_are_the_stacks() {
    world(|lb| {
        for port in [22, 5_431, 5_433, 0] {
            let mut syn = lb.syn(50_000);
            syn.dst.set_port(port);
            lb.send(&syn).passed(PassReason::NoService);
        }
        lb.send(&elsewhere(lb)).passed(PassReason::NoService);
        // A server's segment that no flow knows: the balancer's own connection, for one.
        let conn = lb.open(50_000);
        let mut other = conn.from_server(lb_common::tcp::ACK);
        other.dst.set_port(39_999);
        lb.send(&other).passed(PassReason::NoService);
    });
}
