use proptest::prelude::*;

use super::{count, shares};
use crate::ring::Share;
use crate::ring::maglev::{maglev, table_len};

/// Slots, as a share of all, that change although the server that left did not have them.
fn moved_needlessly(before: &[u16], after: &[u16], left: u16) -> f64 {
    assert_eq!(before.len(), after.len());
    let moved = before
        .iter()
        .zip(after)
        .filter(|(b, a)| **b != left && b != a)
        .count();
    moved as f64 / before.len() as f64
}

fn without(shares: &[Share<u16>], server: u16) -> Vec<Share<u16>> {
    shares
        .iter()
        .copied()
        .filter(|s| s.value != server)
        .collect()
}

#[test]
fn nothing_gives_an_empty_ring() {
    assert!(maglev::<u16>(&[], 1024).is_empty());
    assert!(maglev(&shares(&[0, 0]), 1024).is_empty());
    assert!(maglev(&shares(&[1, 1]), 0).is_empty());
}

#[test]
fn lengths_that_are_no_power_of_four_are_filled_too() {
    for len in [1, 2, 3, 5, 65_521] {
        assert_eq!(maglev(&shares(&[3, 1]), len).len(), len as usize);
    }
}

#[test]
fn a_table_does_not_change_from_version_to_version() {
    assert_eq!(maglev(&shares(&[1, 2, 3]), 16), GOLDEN);
}

#[test]
fn large_pools_keep_to_the_bound() {
    let evens: Vec<u16> = (0..300).map(|i| 1 + i * 7 % 256).collect();
    let one_heavy: Vec<u16> = (0..512).map(|i| if i == 0 { 256 } else { 1 }).collect();
    for (weights, bound) in [(&evens, 0.01), (&one_heavy, 0.02)] {
        let pool = shares(weights);
        let len = table_len(pool.len());
        let before = maglev(&pool, len);
        for left in [0, 100] {
            let after = maglev(&without(&pool, left), len);
            let moved = moved_needlessly(&before, &after, left);
            assert!(
                moved <= bound,
                "{moved} of {} servers, {left} left",
                pool.len()
            );
        }
    }
}

/// Pools as people write them: few servers, equal weights, percentages, or one that dominates.
fn pools() -> impl Strategy<Value = Vec<u16>> {
    let servers = prop_oneof![4 => 2..=10_usize, 1 => 11..=64_usize];
    let weight = prop_oneof![Just(1_u16), Just(100), Just(256), 1..=256_u16];
    prop_oneof![
        (servers.clone(), weight.clone()).prop_map(|(n, w)| vec![w; n]),
        servers.prop_flat_map(move |n| proptest::collection::vec(weight.clone(), n)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn shares_are_exact_to_a_slot(weights in pools()) {
        let len = table_len(weights.len());
        let ring = maglev(&shares(&weights), len);
        prop_assert_eq!(ring.len(), len as usize);
        let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
        for (server, weight) in (0..).zip(&weights) {
            let expected = f64::from(len) * f64::from(*weight) / total;
            let got = count(&ring, server) as f64;
            // Turns that are due at the same moment: at most one a server is early or late.
            prop_assert!((got - expected).abs() <= weights.len() as f64, "{got} for {expected}");
            if weights.iter().all(|w| w == weight) {
                prop_assert!((got - expected).abs() < 1.0, "{got} for {expected}");
            }
        }
    }

    #[test]
    fn a_leaver_moves_its_share_and_at_most_one_percent_more(
        (weights, left) in pools().prop_flat_map(|w| { let n = w.len() as u16; (Just(w), 0..n) }),
    ) {
        let pool = shares(&weights);
        let len = table_len(weights.len());
        let before = maglev(&pool, len);
        let after = maglev(&without(&pool, left), len);
        prop_assert_eq!(count(&after, left), 0);
        let moved = moved_needlessly(&before, &after, left);
        prop_assert!(moved <= 0.01, "{moved} moved besides");
    }

    #[test]
    fn the_order_of_the_servers_does_not_matter(
        weights in pools(),
        shuffled in any::<prop::sample::Index>(),
    ) {
        let mut pool = shares(&weights);
        let ring = maglev(&pool, 4096);
        pool.rotate_left(shuffled.index(weights.len()));
        pool[1..].reverse();
        prop_assert_eq!(maglev(&pool, 4096), ring);
    }
}

const GOLDEN: [u16; 16] = [0, 2, 2, 0, 2, 2, 1, 1, 2, 1, 0, 1, 2, 1, 2, 2];
