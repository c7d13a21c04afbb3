use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::ring::slices::{GRACE, Slice, Slices};

#[test]
fn room_that_was_given_back_is_one_piece_again() {
    let mut slices = Slices::new(30);
    let [a, b, c] = [10, 10, 10].map(|len| slices.allocate(len).unwrap());
    assert_eq!(slices.allocate(1), None);
    slices.free(a);
    slices.free(c);
    assert_eq!(slices.allocate(11), None);
    slices.free(b);
    assert_eq!(slices.allocate(30).unwrap().len(), 30);
}

#[test]
fn an_empty_slice_needs_no_room() {
    let mut slices = Slices::new(0);
    let none = slices.allocate(0).unwrap();
    assert!(none.is_empty());
    slices.free(none);
    assert_eq!(slices.allocate(1), None);
}

#[test]
fn a_slice_that_readers_saw_rests_before_it_is_used_again() {
    let mut slices = Slices::new(10);
    let start = Instant::now();
    let slice = slices.allocate(10).unwrap();
    slices.free_after_grace(slice, start);
    assert_eq!(slices.next_settling(), Some(start + GRACE));
    assert!(
        slices
            .settle(start + GRACE - Duration::from_nanos(1))
            .is_empty()
    );
    assert_eq!(slices.allocate(1), None);
    assert_eq!(slices.settle(start + GRACE), [0]);
    assert_eq!(slices.available(), 10);
    assert_eq!(slices.next_settling(), None);
}

#[derive(Clone, Debug)]
enum Action {
    Allocate(u32),
    Free(usize),
    Rest(usize),
    Wait(u64),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        3 => (0..40_u32).prop_map(Action::Allocate),
        1 => any::<usize>().prop_map(Action::Free),
        1 => any::<usize>().prop_map(Action::Rest),
        1 => (0..2000_u64).prop_map(Action::Wait),
    ];
    proptest::collection::vec(action, 1..200)
}

proptest! {
    #[test]
    fn slices_never_overlap_and_nothing_is_lost(actions in actions()) {
        const LEN: u32 = 200;
        let mut slices = Slices::new(LEN);
        let mut now = Instant::now();
        let mut held: Vec<Slice> = Vec::new();
        let mut resting: Vec<(Instant, u32, u32)> = Vec::new();
        for action in actions {
            match action {
                Action::Allocate(len) => held.extend(slices.allocate(len)),
                Action::Free(i) if !held.is_empty() => {
                    let slice = held.swap_remove(i % held.len());
                    slices.free(slice);
                }
                Action::Rest(i) if !held.is_empty() => {
                    let slice = held.swap_remove(i % held.len());
                    if !slice.is_empty() {
                        resting.push((now + GRACE, slice.base(), slice.len()));
                    }
                    slices.free_after_grace(slice, now);
                }
                Action::Free(_) | Action::Rest(_) => {}
                Action::Wait(millis) => {
                    now += Duration::from_millis(millis);
                    let freed = slices.settle(now);
                    resting.retain(|(until, base, _)| {
                        assert_eq!(*until <= now, freed.contains(base));
                        *until > now
                    });
                }
            }
            let mut used: Vec<(u32, u32)> = held.iter().map(|s| (s.base(), s.len())).collect();
            used.extend(resting.iter().map(|(_, base, len)| (*base, *len)));
            used.retain(|(_, len)| *len > 0);
            used.sort_unstable();
            for pair in used.windows(2) {
                prop_assert!(pair[0].0 + pair[0].1 <= pair[1].0, "{used:?}");
            }
            let total: u32 = used.iter().map(|(_, len)| len).sum();
            prop_assert!(used.iter().all(|(base, len)| base + len <= LEN));
            prop_assert_eq!(slices.available(), LEN - total);
        }
    }
}
