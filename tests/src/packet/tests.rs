use lb_common::csum;

use super::*;

fn sample(v6: bool, payload: &[u8]) -> Packet {
    let (src, dst) = if v6 {
        ("[fd00::1]:40000", "[fd00::2]:5432")
    } else {
        ("10.0.0.1:40000", "10.0.0.2:5432")
    };
    let mut packet = Packet::new(
        Mac([2, 0, 0, 0, 0, 1]),
        Mac([2, 0, 0, 0, 0, 2]),
        src.parse().expect("an address"),
        dst.parse().expect("an address"),
    );
    packet.options = vec![2, 4, 5, 0xb4];
    packet.class = 0x10;
    packet.label = 0x1234;
    packet.seq(7).ack(9).flags(0x12).payload(payload)
}

#[test]
fn what_was_built_is_read_back() {
    for v6 in [false, true] {
        for payload in [&b""[..], b"x", b"odd", b"even", &[0xff; 999]] {
            let packet = sample(v6, payload);
            let mut frame = packet.bytes();
            assert_eq!(Packet::parse(&frame).expect("valid"), packet);
            frame.extend([0xaa; 6]);
            assert_eq!(Packet::parse(&frame).expect("padding is no part"), packet);
        }
    }
}

#[test]
fn a_wrong_byte_anywhere_is_noticed() {
    for v6 in [false, true] {
        let packet = sample(v6, b"odd");
        let frame = packet.bytes();
        for at in 0..frame.len() {
            let mut wrong = frame.clone();
            wrong[at] ^= 0x40;
            match Packet::parse(&wrong) {
                // No checksum covers Ethernet addresses; traffic class, label and hop limit of IPv6.
                Ok(other) => assert_ne!(other, packet, "byte {at}"),
                Err(_) => continue,
            }
        }
    }
}

#[test]
fn checksums_agree_with_the_data_paths() {
    for v6 in [false, true] {
        for length in 0..40 {
            let packet = sample(v6, &vec![0xe7; length]);
            let frame = packet.bytes();
            let (header, segment) = frame.split_at(packet.transport());
            let addresses = if v6 { &header[22..54] } else { &header[26..34] };
            let (src, dst) = addresses.split_at(addresses.len() / 2);
            let sum = csum::pseudo_header(src, dst, 6, segment.len() as u32) + csum::sum(segment);
            assert_eq!(csum::fold(sum), 0xffff, "{length} bytes");
        }
    }
}

/// The example of RFC 1071, section 3.
#[test]
fn the_rfcs_example() {
    let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(!checksum(&[&bytes]), 0xddf2);
}
