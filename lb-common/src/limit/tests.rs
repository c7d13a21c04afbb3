use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

/// 100 a second, 200 at once, banned for two minutes.
const LIMIT: Limit = Limit {
    interval: SECOND / 100,
    burst: 2 * SECOND,
    ban: 120 * SECOND,
};

#[test]
fn a_full_bucket_gives_exactly_its_burst_at_once() {
    let now = 5 * SECOND;
    let mut full_at = 0;
    for flow in 0..200 {
        full_at = take(full_at, now, &LIMIT).unwrap_or_else(|| panic!("flow {flow} was refused"));
    }
    assert_eq!(take(full_at, now, &LIMIT), None);
    // One token has grown, and not two.
    let later = now + LIMIT.interval;
    let full_at = take(full_at, later, &LIMIT).unwrap();
    assert_eq!(take(full_at, later, &LIMIT), None);
}

#[test]
fn a_bucket_holds_no_more_than_its_burst_however_long_it_rests() {
    let now = u64::MAX / 2;
    let mut full_at = 17;
    let mut taken = 0;
    while let Some(next) = take(full_at, now, &LIMIT) {
        full_at = next;
        taken += 1;
    }
    assert_eq!(taken, 200);
}

#[test]
fn a_bucket_of_one() {
    let limit = Limit {
        interval: 3_600 * SECOND,
        burst: 3_600 * SECOND,
        ban: 0,
    };
    let full_at = take(0, 7, &limit).unwrap();
    assert_eq!(take(full_at, 7, &limit), None);
    assert_eq!(take(full_at, full_at - 1, &limit), None);
    assert!(take(full_at, full_at, &limit).is_some());
}

#[test]
fn the_end_of_time_refuses_and_does_not_wrap() {
    assert_eq!(take(u64::MAX, 0, &LIMIT), None);
    assert!(take(u64::MAX, u64::MAX, &LIMIT).is_some());
    let banned = Standing::banned(u64::MAX - 1, &LIMIT);
    assert_eq!(banned.banned_until(), Some(u64::MAX));
    let standing = Standing(u64::MAX - 1).after_completed(u64::MAX, LIMIT.interval);
    assert_eq!(standing.banned_until(), None);
}

#[test]
fn forged_flows_do_not_ban_and_completed_ones_do() {
    let now = SECOND;
    let mut standing = Standing(0);
    assert!(!standing.deserves_ban(now, &LIMIT));
    for _ in 0..99 {
        standing = standing.after_completed(now, LIMIT.interval);
        assert!(!standing.deserves_ban(now, &LIMIT));
    }
    standing = standing.after_completed(now, LIMIT.interval);
    assert!(standing.deserves_ban(now, &LIMIT));
    // They count for as long as their tokens take to grow again.
    assert!(!standing.deserves_ban(now + LIMIT.interval, &LIMIT));
    assert!(!standing.deserves_ban(now, &Limit { ban: 0, ..LIMIT }));
}

#[test]
fn a_ban_lasts_its_time_and_is_not_shortened_by_flows() {
    let now = 9 * SECOND;
    let banned = Standing::banned(now, &LIMIT);
    let until = banned.banned_until().unwrap();
    assert!((now + LIMIT.ban..=now + LIMIT.ban + 1).contains(&until));
    assert_eq!(banned.after_completed(now, LIMIT.interval), banned);
    assert!(!banned.deserves_ban(now, &LIMIT));
}

#[test]
fn who_owes_least_is_forgotten_first_and_bans_never() {
    let now = SECOND;
    let owes = |full_at, standing: Standing| {
        let source = Source {
            full_at,
            standing: standing.0,
            ..Source::default()
        };
        source.debt(now)
    };
    assert_eq!(owes(now - 1, Standing(0)), Some(0));
    assert_eq!(owes(now + 5, Standing(0)), Some(5));
    assert_eq!(owes(now + 5, Standing(now + 8)), Some(8));
    let banned = Standing::banned(now, &LIMIT);
    assert_eq!(owes(0, banned), None);
    let over = Standing::banned(0, &Limit { ban: 1, ..LIMIT });
    assert_eq!(owes(0, over), Some(0));
}

proptest! {
    /// Whatever comes when: in any stretch of time no more flows than the bucket holds and what has
    /// grown meanwhile.
    #[test]
    fn never_more_than_burst_and_rate(
        pauses in prop::collection::vec(0..20_000_000_u64, 1..400),
        tokens in 1..50_u64,
    ) {
        let limit = Limit { interval: SECOND / 100, burst: tokens * SECOND / 100, ban: 0 };
        let start = 3 * SECOND;
        let (mut now, mut full_at, mut taken) = (start, 0, 0);
        for pause in pauses {
            now += pause;
            let most = tokens + (now - start) / limit.interval;
            match take(full_at, now, &limit) {
                Some(next) => {
                    full_at = next;
                    taken += 1;
                }
                // Refused only if there really is no token left.
                None => prop_assert!(taken + 1 >= tokens),
            }
            prop_assert!(taken <= most, "{taken} of {most}");
        }
    }

    #[test]
    fn identities_are_no_marks(add: u64, multiply: u64, address: u64, service: u16, buckets: u32) {
        let identity = identity(HashKey::new(add, multiply), address, service.into());
        prop_assert!(identity != FREE && identity != CLAIMED);
        prop_assert!(place(identity, buckets.max(1)) < buckets.max(1));
    }
}
