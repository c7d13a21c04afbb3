use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn since_counts_across_the_wrap(then: u32, age in 0..=u32::MAX / 2) {
        prop_assert_eq!(since(then.wrapping_add(age), then), age);
    }

    #[test]
    fn what_is_later_is_no_age(now: u32, ahead in 1..=u32::MAX / 2) {
        prop_assert_eq!(since(now, now.wrapping_add(ahead)), 0);
    }

    #[test]
    fn ticks_are_never_short(seconds in 0_u32..4_000_000) {
        let nanos = u64::from(ticks(seconds)) * TICK_NANOS;
        let exact = u64::from(seconds) * 1_000_000_000;
        prop_assert!((exact..exact + TICK_NANOS).contains(&nanos));
    }

    #[test]
    fn a_tick_is_2_to_the_20_nanoseconds(nanos: u64) {
        prop_assert_eq!(u64::from(tick(nanos)), nanos / TICK_NANOS % (1 << 32));
    }
}
