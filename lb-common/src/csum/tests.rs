use std::vec::Vec;

use proptest::prelude::*;

use super::*;

/// RFC 1071 by the book: the ones'-complement sum, one word after the other.
fn slow(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for word in bytes.chunks(2) {
        sum += u32::from(u16::from_ne_bytes([word[0], *word.get(1).unwrap_or(&0)]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Bytes among which runs of zeros and ones are common: where ones' complement has its corners.
fn bytes(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0), Just(0xff), any::<u8>()];
    proptest::collection::vec(byte, length)
}

proptest! {
    #[test]
    fn sum_is_rfc_1071s(bytes in bytes(0..100)) {
        prop_assert_eq!(fold(sum(&bytes)), slow(&bytes));
    }

    #[test]
    fn fold_keeps_the_sum(sum: u64) {
        let (folded, exact) = (fold(sum), sum % 0xffff);
        prop_assert_eq!(u64::from(folded) % 0xffff, exact);
        // Zero only of zero: a sum of something is never written as nothing.
        prop_assert_eq!(folded == 0, sum == 0);
    }

    /// A packet whose words at `at` change: the updated checksum is the one computed anew, bit by
    /// bit, as long as there is a word that is not zero (version, protocol, ports).
    #[test]
    fn update_is_the_full_sum(
        mut packet in bytes(24..100),
        new in bytes(12..13),
        at in 1_usize..6,
    ) {
        packet[0] = 0x45;
        let before = !slow(&packet);
        let place = at * 2..at * 2 + 12;
        let old = sum(&packet[place.clone()]);
        packet[place].copy_from_slice(&new);
        let expected = !slow(&packet);
        prop_assert_eq!(update(before, delta(old, sum(&new))), expected);
    }

    #[test]
    fn corrections_combine(check: u16, words: [u16; 4]) {
        let [a, b, c, d] = words.map(u64::from);
        let (first, second) = (delta(a, b), delta(c, d));
        let twice = update(update(check, first), second);
        let once = update(check, combine(first, second));
        // 0x0000 and 0xffff are the same number; after a correction it is always written as 0.
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn a_correction_and_its_opposite(words: [u16; 2], header in bytes(20..60)) {
        let mut header = header;
        header[0] = 0x45;
        let check = !slow(&header);
        let [old, new] = words.map(u64::from);
        prop_assert_eq!(update(update(check, delta(old, new)), delta(new, old)), check);
    }

    #[test]
    fn pseudo_headers_of_both_families(length: u16, v4: [u8; 8], v6: [u8; 32]) {
        let be = length.to_be_bytes();
        let mut bytes = v4.to_vec();
        bytes.extend([0, 6, be[0], be[1]]);
        let sum = pseudo_header(&v4[..4], &v4[4..], 6, length.into());
        prop_assert_eq!(fold(sum), slow(&bytes));
        let mut bytes = v6.to_vec();
        bytes.extend([0, 0, be[0], be[1], 0, 0, 0, 6]);
        let sum = pseudo_header(&v6[..16], &v6[16..], 6, length.into());
        prop_assert_eq!(fold(sum), slow(&bytes));
    }
}

/// Every checksum and correction there is would be 2^32: one side whole, the other at its corners.
#[test]
fn update_at_the_corners() {
    for old in [0, 1, 0x00ff, 0x7fff, 0x8000, 0xfffe, 0xffff_u16] {
        for new in [0, 1, 0xff00, 0x7fff, 0x8000, 0xfffe, 0xffff_u16] {
            for rest in 1..=u16::MAX {
                let bytes = |word: u16| {
                    let [a, b] = rest.to_ne_bytes();
                    let [c, d] = word.to_ne_bytes();
                    [a, b, c, d]
                };
                let before = !slow(&bytes(old));
                let after = update(before, delta(old.into(), new.into()));
                assert_eq!(after, !slow(&bytes(new)), "{old:#x} {new:#x} {rest:#x}");
            }
        }
    }
}

/// The worked example of RFC 1624, section 4.
#[test]
fn the_rfcs_example() {
    assert_eq!(update(0xdd2f, delta(0x5555, 0x3285)), 0x0000);
}
