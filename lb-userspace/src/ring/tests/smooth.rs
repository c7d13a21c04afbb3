use proptest::prelude::*;

use super::{count, shares};
use crate::ring::smooth::{MAX_LEN, smooth_round_robin};

/// The ring with servers as letters, in order of appearance.
fn ring(weights: &[u16]) -> String {
    let mut seen = Vec::new();
    let letter = |server| {
        let place = seen.iter().position(|s| *s == server).unwrap_or_else(|| {
            seen.push(server);
            seen.len() - 1
        });
        char::from(b'a' + place as u8)
    };
    smooth_round_robin(&shares(weights))
        .into_iter()
        .map(letter)
        .collect()
}

/// Servers that follow themselves, from the end to the start included.
fn repeats(ring: &[u16]) -> usize {
    let next = ring.iter().cycle().skip(1);
    ring.iter().zip(next).filter(|(a, b)| a == b).count()
}

#[test]
fn nothing_gives_an_empty_ring() {
    assert!(smooth_round_robin::<u16>(&[]).is_empty());
    assert!(smooth_round_robin(&shares(&[0, 0])).is_empty());
}

#[test]
fn a_server_of_weight_zero_is_left_out() {
    assert_eq!(smooth_round_robin(&shares(&[0, 7, 0])), [1]);
}

#[test]
fn equal_weights_take_turns_whatever_the_weight() {
    for weight in [1, 100, 256] {
        let mut ring = smooth_round_robin(&shares(&[weight; 3]));
        assert_eq!(ring.len(), 3);
        ring.sort_unstable();
        assert_eq!(ring, [0, 1, 2]);
    }
}

#[test]
fn weights_are_interleaved() {
    assert_eq!(ring(&[5, 1, 1]), "aabacaa");
    assert_eq!(ring(&[3, 2]), "ababa");
    // nginx's own order ends as it starts here, and a would come twice in a row.
    let repeats_in = |weights: &[u16]| repeats(&smooth_round_robin(&shares(weights)));
    assert_eq!(repeats_in(&[2, 1, 1]), 0);
    assert_eq!(repeats_in(&[4, 3, 1]), 0);
}

#[test]
fn a_long_ring_is_cut_to_size_and_keeps_everybody() {
    let weights: Vec<u16> = (0..100).map(|i| if i < 40 { 251 } else { 1 }).collect();
    let ring = smooth_round_robin(&shares(&weights));
    assert!(ring.len() <= MAX_LEN, "{}", ring.len());
    let total: usize = weights.iter().map(|w| usize::from(*w)).sum();
    for (server, weight) in (0..).zip(&weights) {
        let got = count(&ring, server);
        assert!(got >= 1);
        let expected = usize::from(*weight) * MAX_LEN / total;
        assert!(got.abs_diff(expected) <= 1, "{got} for {expected}");
    }
}

#[test]
fn more_servers_than_the_ring_is_long_have_a_slot_each() {
    let weights: Vec<u16> = (0..5000).map(|i| 1 + i % 2).collect();
    assert_eq!(smooth_round_robin(&shares(&weights)).len(), 5000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_server_has_its_weight_in_slots(
        weights in proptest::collection::vec(0..=256_u16, 1..16),
    ) {
        let ring = smooth_round_robin(&shares(&weights));
        let total: usize = weights.iter().map(|w| usize::from(*w)).sum();
        for (server, weight) in (0..).zip(&weights) {
            prop_assert_eq!(count(&ring, server) * total, usize::from(*weight) * ring.len());
        }
    }

    #[test]
    fn nobody_comes_twice_in_a_row_if_that_can_be_avoided(
        weights in proptest::collection::vec(1..=40_u16, 2..10),
    ) {
        let ring = smooth_round_robin(&shares(&weights));
        let most = (0..weights.len() as u16).map(|server| count(&ring, server)).max().unwrap();
        if 2 * most <= ring.len() {
            prop_assert_eq!(repeats(&ring), 0, "{:?}", ring);
        }
    }

    #[test]
    fn no_server_waits_much_longer_than_its_share_asks(
        weights in proptest::collection::vec(1..=40_u16, 2..10),
    ) {
        let ring = smooth_round_robin(&shares(&weights));
        for server in 0..weights.len() as u16 {
            let share = count(&ring, server) as f64 / ring.len() as f64;
            let mut taken = 0.0;
            for (turn, slot) in (1..).zip(&ring) {
                taken += f64::from(u8::from(*slot == server));
                let lag = f64::from(turn) * share - taken;
                prop_assert!(lag.abs() < 2.0, "server {server} is {lag} behind at {turn}");
            }
        }
    }

    #[test]
    fn the_order_of_the_servers_does_not_matter(
        weights in proptest::collection::vec(0..=20_u16, 2..10),
        by in 0..10_usize,
    ) {
        let mut pool = shares(&weights);
        let ring = smooth_round_robin(&pool);
        pool.rotate_left(by % weights.len());
        prop_assert_eq!(smooth_round_robin(&pool), ring);
    }
}
