//! Stage 1: which frames are for us at all.

use lb_common::service::Port;
use lb_common::verdict::PassReason;
use lb_tests::netns::Mac;
use lb_tests::packet::Packet;

use crate::world::{BACK, world};

#[test]
fn frames_for_other_stations_pass() {
    world(|lb| {
        for to in [
            Mac([0xff; 6]),
            Mac([0x01, 0, 0x5e, 0, 0, 0x12]),
            Mac([0x02, 0, 0, 0, 0x01, 0x02]),
            Mac([0x03, 0, 0, 0, 0x01, 0x01]),
            Mac([0x02, 0, 0, 1, 0x01, 0x01]),
        ] {
            let syn = Packet {
                to,
                ..lb.syn(50_000)
            };
            lb.send(&syn).passed(PassReason::NotOurMac);
        }
        assert!(lb.entries().is_empty());
    });
}

#[test]
fn our_address_on_another_interface_is_not_ours_here() {
    world(|lb| {
        let syn = Packet {
            to: BACK,
            ..lb.syn(50_000)
        };
        lb.send_on(lb.front, &syn.bytes())
            .passed(PassReason::NotOurMac);
    });
}

#[test]
fn what_is_not_ip_passes() {
    world(|lb| {
        // ARP; VLAN tags; LLDP; IEEE 802.3 lengths.
        for ethertype in [0x0806_u16, 0x8100, 0x88a8, 0x88cc, 0x0040] {
            let mut frame = lb.syn(50_000).bytes();
            frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
            lb.send_frame(&frame).passed(PassReason::NotIp);
        }
    });
}

#[test]
fn a_bare_ethernet_header_passes() {
    world(|lb| {
        let frame = lb.syn(50_000).bytes();
        lb.send_frame(&frame[..14]).passed(PassReason::NotIp);
    });
}

#[test]
fn frames_on_an_interface_not_described_pass() {
    world(|lb| {
        lb.plane.set_port(lb.front, Port::default()).expect("PORTS");
        let syn = lb.syn(50_000);
        lb.send(&syn).passed(PassReason::UnknownInterface);
    });
}
