use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::csum::{pseudo_header, sum};

/// Words as bytes in memory order.
fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    std::array::from_fn(|i| u32::from_ne_bytes(std::array::from_fn(|j| bytes[i * 4 + j])))
}

/// What a checksum over all of `bytes` that includes its own field comes to.
fn verifies(bytes: u64) -> bool {
    csum::fold(bytes) == 0xffff
}

/// A transport segment whose checksum at `at` is right for the pseudo-header of `addresses`.
fn segment(mut data: Vec<u8>, at: usize, src: &[u8], dst: &[u8], protocol: u8) -> Vec<u8> {
    data[at..at + 2].fill(0);
    let length = data.len() as u32;
    let check = !csum::fold(sum(&data) + pseudo_header(src, dst, protocol, length));
    data[at..at + 2].copy_from_slice(&check.to_ne_bytes());
    data
}

proptest! {
    #[test]
    fn ipv4_headers(src: [u8; 4], dst: [u8; 4], protocol: u8, class: u8, length: u16) {
        let [a] = words(&src);
        let [b] = words(&dst);
        let header = bytes(&ipv4(a, b, protocol, class, length));
        let long = length.to_be_bytes();
        prop_assert_eq!(&header[..10], &[0x45, class, long[0], long[1], 0, 0, 0x40, 0, 64, protocol]);
        prop_assert_eq!(&header[12..16], &src);
        prop_assert_eq!(&header[16..], &dst);
        prop_assert!(verifies(sum(&header)));
    }

    #[test]
    fn ipv6_headers(
        src: [u8; 16], dst: [u8; 16], next: u8, class: u8, label in 0_u32..1 << 20, payload: u16,
    ) {
        let header = bytes(&ipv6(words(&src), words(&dst), next, class, label, payload));
        let first = 6 << 28 | u32::from(class) << 20 | label;
        prop_assert_eq!(&header[..4], &first.to_be_bytes());
        prop_assert_eq!(&header[4..6], &payload.to_be_bytes());
        prop_assert_eq!(&header[6..8], &[next, 64]);
        prop_assert_eq!(&header[8..24], &src);
        prop_assert_eq!(&header[24..], &dst);
    }

    /// GUE over IPv6 around an IPv4 packet with valid checksums: the checksum that was computed
    /// without the payload is the one over everything.
    #[test]
    fn udp_checksum_around_ipv4(
        outer: [[u8; 16]; 2], inner: [[u8; 4]; 2], head: [u8; 12], hash: u32, options in 0_usize..11,
        data in proptest::collection::vec(any::<u8>(), 20..200),
    ) {
        let tcp = segment(data, 16, &inner[0], &inner[1], 6);
        let mut packet = Vec::from(head);
        packet[0] = 0x45 + options as u8;
        packet[9] = 6;
        packet[10..12].fill(0);
        packet.extend(inner.concat());
        packet.extend((0..options * 4).map(|i| i as u8));
        let check = !csum::fold(sum(&packet));
        packet[10..12].copy_from_slice(&check.to_ne_bytes());
        packet.extend(&tcp);
        let ([src], [dst]) = (words(&inner[0]), words(&inner[1]));
        let without_reading = sum_of_ipv4(src, dst, 6, tcp.len() as u16);
        check_udp(&outer, hash, &packet, without_reading)?;
    }

    #[test]
    fn udp_checksum_around_ipv6(
        outer: [[u8; 16]; 2], inner: [[u8; 16]; 2], head: [u8; 6], hops: u8, hash: u32,
        data in proptest::collection::vec(any::<u8>(), 20..200),
    ) {
        let tcp = segment(data, 16, &inner[0], &inner[1], 6);
        let mut packet = Vec::from(head);
        packet[0] = 0x60;
        packet.extend([6, hops]);
        packet.extend(inner.concat());
        packet.extend(&tcp);
        let without_reading = sum_of_ipv6(words(&packet), 6, tcp.len() as u16);
        check_udp(&outer, hash, &packet, without_reading)?;
    }

    /// Only the spread bits are the flow's.
    #[test]
    fn sources_stay_in_their_prefix(prefix: [u8; 16], bits in 0_u32..=32, hash: u32) {
        let spread = (1_u64 << bits) as u32;
        let spread = if bits == 32 { u32::MAX } else { spread - 1 }.to_be();
        let address = source(words(&prefix), spread, hash);
        let (is, was) = (bytes(&address), u128::from_be_bytes(prefix));
        let is = u128::from_be_bytes(is.try_into().unwrap());
        prop_assert_eq!(is >> bits, was >> bits);
        let other = source(words(&prefix), spread, !hash);
        let other = u128::from_be_bytes(bytes(&other).try_into().unwrap());
        prop_assert_eq!((is ^ other) & ((1 << bits) - 1), (1 << bits) - 1);
    }

    #[test]
    fn labels_and_ports(hash: u32) {
        prop_assert!((1..1 << 20).contains(&flow_label(hash)));
        prop_assert!(source_port(hash) >= 49_152);
    }
}

/// The outer UDP datagram around `packet`, verified over every byte of it.
fn check_udp(
    outer: &[[u8; 16]; 2],
    hash: u32,
    packet: &[u8],
    without_reading: u16,
) -> Result<(), TestCaseError> {
    let length = packet.len() as u16 + UDP as u16;
    let port = source_port(hash);
    let check = udp_check_v6(
        words(&outer[0]),
        words(&outer[1]),
        port,
        length,
        without_reading,
    );
    let mut datagram = bytes(&udp(port, length, check));
    prop_assert_eq!(&datagram[..2], &port.to_be_bytes());
    prop_assert_eq!(&datagram[2..4], &6080_u16.to_be_bytes());
    prop_assert_eq!(&datagram[4..6], &length.to_be_bytes());
    datagram.extend(packet);
    let pseudo = pseudo_header(&outer[0], &outer[1], PROTOCOL_UDP, length.into());
    prop_assert!(verifies(sum(&datagram) + pseudo));
    prop_assert!(check != 0);
    Ok(())
}

#[test]
fn label_zero_is_none() {
    assert_eq!(flow_label(0xfff0_0000), 1);
}

#[test]
fn what_tunnels_add() {
    let sizes = |mode| [overhead(mode, 4), overhead(mode, 6)];
    assert_eq!(sizes(Mode::Ipip), [20, 40]);
    assert_eq!(sizes(Mode::Gue), [28, 48]);
    assert_eq!(sizes(Mode::Nat), [0, 0]);
    assert_eq!(inner_mtu(1500, Mode::Gue, 6), 1452);
    assert_eq!(inner_mtu(10, Mode::Gue, 6), 0);
}

#[test]
fn gue_headers() {
    assert_eq!(gue([0x45, 0, 1, 2]), Gue::Direct(PROTOCOL_IPV4));
    assert_eq!(gue([0x6f, 9, 1, 2]), Gue::Direct(PROTOCOL_IPV6));
    assert_eq!(gue([0, 41, 0, 0]), Gue::Header(PROTOCOL_IPV6));
    // A control message, a header with words to follow, flags, versions of nothing.
    for head in [
        [0x20, 0, 0, 0],
        [1, 4, 0, 0],
        [0, 4, 0x80, 0],
        [0x50, 4, 0, 0],
        [0x80, 4, 0, 0],
    ] {
        assert_eq!(gue(head), Gue::Unknown, "{head:x?}");
    }
}

/// RFC 6040, figure 4: rows are the inner mark, columns the outer one.
#[test]
fn congestion_marks() {
    const NOT: Option<u8> = Some(0);
    let (e0, e1, ce) = (Some(2), Some(1), Some(3));
    let marks = [0, 2, 1, 3];
    let figure = [
        [NOT, NOT, NOT, None],
        [e0, e0, e1, ce],
        [e1, e1, e1, ce],
        [ce, ce, ce, ce],
    ];
    for (row, inner) in figure.iter().zip(marks) {
        for (expected, outer) in row.iter().zip(marks) {
            // Each end's DSCP is its own.
            let class = decapsulated_class(0xb8 | inner, 0x20 | outer);
            assert_eq!(
                class,
                expected.map(|mark| 0xb8 | mark),
                "{inner} in {outer}"
            );
        }
    }
}
