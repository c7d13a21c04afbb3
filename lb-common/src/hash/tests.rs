use std::collections::HashSet;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

fn key() -> HashKey {
    HashKey::new(0x0123_4567_89ab_cdef, 0x0fed_cba9_8765_4320)
}

proptest! {
    #[test]
    fn reduction_is_in_range(hash: u32, count: u32) {
        let reduced = reduce(hash, count);
        prop_assert!(reduced < count || count == 0 && reduced == 0);
    }

    #[test]
    fn reduction_keeps_order_and_reaches_both_ends(count in 1_u32..) {
        prop_assert_eq!(reduce(0, count), 0);
        prop_assert_eq!(reduce(u32::MAX, count), count - 1);
    }

    #[test]
    fn keys_are_odd(add: u64, multiply: u64) {
        prop_assert_eq!(HashKey::new(add, multiply).multiply & 1, 1);
    }
}

/// Pearson's chi-squared of counts that should be equal, per degree of freedom: near 1 for a random
/// function, far above for one that clusters, below for one that is more even than chance.
fn chi_squared(counts: &[u32]) -> f64 {
    let expected = counts.iter().sum::<u32>() as f64 / counts.len() as f64;
    let sum: f64 = counts
        .iter()
        .map(|&count| (f64::from(count) - expected).powi(2))
        .sum();
    sum / expected / (counts.len() - 1) as f64
}

/// Tuples as they come: one client's ports in a row, many clients in a row, ports of a NAT.
fn tuples() -> [Vec<(u32, u32, u32)>; 3] {
    let vip = u32::from_ne_bytes([192, 0, 2, 10]);
    let address = |n: u32| (0x0a00_0000 + n).to_be();
    let ports = |src: u32, dst: u16| u32::from((src as u16).to_be()) | u32::from(dst.to_be()) << 16;
    let one_client = |n: u32| (address(1), vip, ports(1_024 + n, 5_432));
    let many_clients = |n: u32| (address(n), vip, ports(40_000, 5_432));
    let replies = |n: u32| {
        (
            address(11),
            vip,
            ports(5_432, 1_024).rotate_left(16) ^ ports(0, n as u16),
        )
    };
    [
        (0..60_000).map(one_client).collect(),
        (0..60_000).map(many_clients).collect(),
        (0..60_000).map(replies).collect(),
    ]
}

#[test]
fn tuples_spread_over_buckets() {
    for tuples in tuples() {
        for buckets in [1_000_u32, 1_024, 4_099] {
            let mut high = vec![0; buckets as usize];
            let mut low = vec![0; buckets as usize];
            for &(src, dst, ports) in &tuples {
                let hash = flow(key(), src, dst, ports, 6);
                high[reduce((hash >> 32) as u32, buckets) as usize] += 1;
                low[reduce(hash as u32, buckets) as usize] += 1;
            }
            for counts in [high, low] {
                let chi = chi_squared(&counts);
                assert!(chi < 1.3, "{buckets} buckets: {chi}");
            }
        }
    }
}

#[test]
fn tuples_spread_over_rings() {
    for tuples in tuples() {
        for slots in [3_u32, 7, 1_021] {
            let mut counts = vec![0; slots as usize];
            for &(src, dst, ports) in &tuples {
                counts[reduce(ring_tuple(src, dst, ports, 6), slots) as usize] += 1;
            }
            let chi = chi_squared(&counts);
            assert!(chi < 5.0, "{slots} slots: {chi}");
            assert!(slots < 100 || chi < 1.3, "{slots} slots: {chi}");
        }
    }
}

#[test]
fn sources_spread_over_rings() {
    let v4 = |n: u32| ring_source((0x0a00_0000 + n).to_be());
    let v6 = |n: u32| ring_source([0x0000_0000_b80d_0120, u64::from(n.to_be()) << 32]);
    for hash in [&v4 as &dyn Fn(u32) -> u32, &v6] {
        let mut counts = vec![0; 1_021];
        for n in 0..60_000 {
            counts[reduce(hash(n), 1_021) as usize] += 1;
        }
        let chi = chi_squared(&counts);
        // Addresses in a row fall on a lattice: evenly over few slots, less so over many.
        assert!(chi < 5.0, "{chi}");
    }
}

/// Who does not know the key cannot tell which flows share a bucket.
#[test]
fn another_key_places_otherwise() {
    let other = HashKey::new(0x0123_4567_89ab_cdee, 0x0fed_cba9_8765_4321);
    let bucket = |key, port: u32| reduce((flow(key, 1_u32, 2, port, 6) >> 32) as u32, 1_024);
    let same = (0..10_000)
        .filter(|&port| bucket(key(), port) == bucket(other, port))
        .count();
    assert!(
        same < 50,
        "{same} of 10,000 in the same bucket, where 10 are by chance"
    );
}

/// Each input bit reaches each half of the output.
#[test]
fn every_bit_matters() {
    let base = |flip: u32| {
        let mut words = [0x1234_5678_9abc_def0_u64, 42, 0x0fed_cba9_8765_4321, 7];
        let mut ports = 0xdead_beef_u32;
        match flip {
            0..256 => words[(flip / 64) as usize] ^= 1 << (flip % 64),
            256..288 => ports ^= 1 << (flip - 256),
            _ => {}
        }
        let [s0, s1, d0, d1] = words;
        flow(key(), [s0, s1], [d0, d1], ports, 6)
    };
    let plain = base(u32::MAX);
    let mut seen = HashSet::new();
    for flip in 0..288 {
        let hash = base(flip);
        assert_ne!(hash as u32, plain as u32, "bit {flip}, low half");
        assert_ne!(hash >> 32, plain >> 32, "bit {flip}, high half");
        assert!(seen.insert(hash), "bit {flip}");
    }
    assert_ne!(
        flow(key(), 1_u32, 2, 3, 6),
        flow(key(), 1_u32, 2, 3, 17),
        "protocol"
    );
}

/// Both balancers of a pair must choose alike, so that these never change by accident.
#[test]
fn ring_hashes_are_fixed() {
    let (src, dst) = (
        u32::from_ne_bytes([10, 0, 0, 1]),
        u32::from_ne_bytes([192, 0, 2, 10]),
    );
    let ports = crate::flow::ports(40_000_u16.to_be(), 5_432_u16.to_be());
    let v6 = [0x0100_0000_0000_00fd, 0x0100_0000_0000_0000_u64];
    assert_eq!(
        [
            ring_tuple(src, dst, ports, 6),
            ring_source(src),
            ring_tuple(v6, v6, ports, 6),
            ring_source(v6),
        ],
        FIXED
    );
}

const FIXED: [u32; 4] = [1_481_121_661, 158_645_671, 2_446_302_898, 2_756_503_461];
