//! The protocol step by step: threads take turns at every access of shared memory, in thousands of
//! orders. Each is given by its number, so that a failure comes again.

use std::thread;
use std::vec::Vec;

use super::super::{Claim, Expiry, expire, release, transition};
use super::host::{Host, IDLE, Shared, key, reply_key};
use super::turns::Turns;
use crate::flow::State;

const ORDERS: u64 = 3_000;

/// Runs `parts` in each order, on a table with some flows; then `check`s.
fn in_every_order<R: Send>(
    buckets: u32,
    flows: u32,
    parts: &[&(dyn Fn(&Host<'_>) -> R + Sync)],
    check: impl Fn(&Host<'_>, &[R]),
) {
    for order in 0..ORDERS {
        let shared = Shared::new(buckets);
        for number in 0..flows {
            let opened = shared.host().open(100 + number, number, 1);
            assert!(matches!(opened, Claim::Taken(_)));
        }
        let turns = Turns::new(parts.len(), order);
        let results: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..)
                .zip(parts)
                .map(|(thread, part)| {
                    let (shared, turns) = (&shared, &turns);
                    scope.spawn(move || {
                        let _part = turns.join(thread);
                        part(&shared.host_in_turn(turns, thread))
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(thread::ScopedJoinHandle::join)
                .collect()
        });
        let results: Vec<R> = results
            .into_iter()
            .map(|result| result.unwrap_or_else(|_| panic!("order {order}")))
            .collect();
        let host = shared.host();
        let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            host.verify();
            check(&host, &results);
        }));
        assert!(judged.is_ok(), "order {order}");
    }
}

fn close(host: &Host<'_>, number: u32) -> bool {
    host.find(&key(number))
        .is_some_and(|entry| release(host, entry.slot, entry.index, entry.word))
}

fn taken(claims: &[Claim]) -> usize {
    claims
        .iter()
        .filter(|claim| matches!(claim, Claim::Taken(_)))
        .count()
}

/// Two claims of a key while flows beside it come and go, so that both see other free slots.
#[test]
fn a_key_is_taken_once() {
    for buckets in [1, 2] {
        let claim = |host: &Host<'_>| host.open(1, 1, 10);
        let churn = |host: &Host<'_>| {
            close(host, 100);
            host.open(200, 2, 10);
            close(host, 101);
            Claim::Race
        };
        in_every_order(
            buckets,
            2 * buckets,
            &[&claim, &claim, &churn],
            |host, claims| {
                assert!(taken(claims) <= 1, "{claims:?}");
                assert_eq!(host.find(&key(1)).is_some(), taken(claims) == 1);
            },
        );
    }
}

/// A flow is forgotten once, whoever finds it dispensable.
#[test]
fn a_flow_is_released_once() {
    let close = |host: &Host<'_>| close(host, 100);
    let expire = |host: &Host<'_>| {
        let found = (0..host.shared.slots()).map(|index| expire(host, index, 2 * IDLE));
        let found: Vec<_> = found.collect();
        assert!(!found.contains(&Expiry::Orphan));
        found.contains(&Expiry::Expired)
    };
    in_every_order(1, 1, &[&close, &close, &expire], |host, released| {
        assert_eq!(released.iter().filter(|released| **released).count(), 1);
        assert!(host.find(&key(100)).is_none());
    });
}

/// A slot changes hands while it is read: the reader notices.
#[test]
fn what_is_read_is_of_one_piece() {
    let read = |host: &Host<'_>| {
        for number in [100, 100, 200] {
            for key in [key(number), reply_key(number)] {
                if let Some(entry) = host.find(&key) {
                    host.read(&entry, &key);
                }
            }
        }
    };
    let reuse = |host: &Host<'_>| {
        close(host, 100);
        host.open(200, 77, 10);
        close(host, 200);
        host.open(100, 88, 10);
    };
    in_every_order(1, 1, &[&read, &reuse], |_, _| {});
}

/// Flows come, move and go by eviction: keys, twins and counts are exact at the end.
#[test]
fn eviction_among_newcomers() {
    let open = |first: u32| {
        move |host: &Host<'_>| {
            for number in first..first + 3 {
                host.open(number, number, 10);
                if let Some(entry) = host.find(&key(number)) {
                    transition(host, entry.slot, entry.word, State::Open);
                    if let Some(entry) = host.find(&key(number)) {
                        transition(host, entry.slot, entry.word, State::Closed);
                    }
                }
            }
        }
    };
    in_every_order(1, 4, &[&open(1), &open(2), &open(11)], |_, _| {});
}
