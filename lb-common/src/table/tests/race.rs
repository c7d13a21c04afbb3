//! Threads at work on few slots and many keys, with expiry at the same time.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::vec::Vec;

use super::super::{Claim, Expiry, expire, release, transition};
use super::host::{Host, Shared, key, reply_key};
use crate::flow::State;

const THREADS: u64 = 2;
const STEPS: u32 = 500_000;
/// 64 slots: 32 flows.
const BUCKETS: u32 = 8;
const KEYS: u32 = 40;

#[test]
fn no_duplicate_no_torn_read_exact_counts() {
    let shared = Shared::new(BUCKETS);
    let clock = AtomicU32::new(1);
    let (opened, races) = (AtomicU64::new(0), AtomicU64::new(0));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let expiry = scope.spawn(|| {
            let host = shared.host();
            let mut orphans = 0;
            while !done.load(Ordering::Relaxed) {
                let now = clock.fetch_add(1, Ordering::Relaxed);
                for index in 0..shared.slots() {
                    orphans += u32::from(expire(&host, index, now) == Expiry::Orphan);
                }
            }
            orphans
        });
        let workers: Vec<_> = (1..=THREADS)
            .map(|seed| {
                let (shared, clock, opened, races) = (&shared, &clock, &opened, &races);
                scope.spawn(move || {
                    let (taken, lost) = work(&shared.slow_host(seed), clock, seed);
                    opened.fetch_add(taken, Ordering::Relaxed);
                    races.fetch_add(lost, Ordering::Relaxed);
                })
            })
            .collect();
        let results: Vec<_> = workers
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect();
        done.store(true, Ordering::Relaxed);
        assert_eq!(expiry.join().expect("expiry runs to the end"), 0, "orphans");
        for result in results {
            result.expect("a worker runs to the end");
        }
    });
    let host = shared.host();
    host.verify();
    let held = shared.flows.load(Ordering::SeqCst) as u64;
    let released = shared.released.load(Ordering::SeqCst);
    assert_eq!(opened.load(Ordering::SeqCst), held + released);
    assert!(
        opened.load(Ordering::SeqCst) > 10_000,
        "too little happened"
    );
}

/// Opens, reads, moves and releases flows; how many it opened, and how often it lost a race.
fn work(host: &Host<'_>, clock: &AtomicU32, seed: u64) -> (u64, u64) {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (mut opened, mut races) = (0, 0);
    for step in 0..STEPS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // Every other time one of two keys, so that both threads are often at the same.
        let keys = if random >> 20 & 1 == 0 { 2 } else { KEYS };
        let number = 1 + (random >> 32) as u32 % keys;
        let now = clock.load(Ordering::Relaxed);
        // Unlike any other of this thread's or the other's.
        let mark = step << 1 | seed as u32 & 1;
        match random % 8 {
            0..4 => match host.open(number, mark, now) {
                Claim::Taken(_) => {
                    opened += 1;
                    alone(host, number);
                }
                Claim::Race => races += 1,
                Claim::Exists(_) | Claim::Full => {}
            },
            4 | 5 => {
                for key in [key(number), reply_key(number)] {
                    if let Some(entry) = host.find(&key) {
                        host.read(&entry, &key);
                    }
                }
            }
            which => {
                let Some(entry) = host.find(&key(number)) else {
                    continue;
                };
                if which == 6 {
                    let states = [
                        State::Open,
                        State::ClientFin,
                        State::Closed,
                        State::HalfOpen,
                    ];
                    let to = states[(random >> 8) as usize % 4];
                    transition(host, entry.slot, entry.word, to);
                } else {
                    release(host, entry.slot, entry.index, entry.word);
                }
            }
        }
    }
    (opened, races)
}

/// No key is live in two slots at once: both words are the same before and after both were read.
fn alone(host: &Host<'_>, number: u32) {
    for key in [key(number), reply_key(number)] {
        let first = host.live(&key);
        if first.len() > 1 {
            assert_ne!(first, host.live(&key), "{key:?} is live twice");
        }
    }
}

/// Claims of one key at the same moment, again and again, while the free slots beside it change:
/// at most one is taken.
#[test]
fn one_key_for_two_claimants() {
    const ROUNDS: u32 = 30_000;
    const OTHERS: u32 = 1 << 20;
    let shared = Shared::new(2);
    let barrier = Barrier::new(2);
    let done = AtomicBool::new(false);
    let taken: Vec<AtomicU32> = (0..=ROUNDS).map(|_| AtomicU32::new(0)).collect();
    thread::scope(|scope| {
        let claimants = [1, 2].map(|seed| {
            let (shared, barrier, taken) = (&shared, &barrier, &taken);
            scope.spawn(move || {
                let host = shared.slow_host(seed);
                for round in 1..=ROUNDS {
                    barrier.wait();
                    if let Claim::Taken(_) = host.open(round, round, 1) {
                        taken[round as usize].fetch_add(1, Ordering::SeqCst);
                    }
                    barrier.wait();
                    if seed == 1 {
                        close(&host, round);
                    }
                }
            })
        });
        scope.spawn(|| {
            let host = shared.host();
            let mut number = OTHERS;
            while !done.load(Ordering::Relaxed) {
                number += 1;
                host.open(number, number, 1);
                close(&host, number - 2);
            }
            close(&host, number);
            close(&host, number - 1);
        });
        for claimant in claimants {
            claimant.join().expect("a claimant runs to the end");
        }
        done.store(true, Ordering::Relaxed);
    });
    let twice = taken
        .iter()
        .filter(|taken| taken.load(Ordering::SeqCst) > 1)
        .count();
    assert_eq!(twice, 0, "of {ROUNDS} keys were taken twice");
    shared.host().verify();
}

fn close(host: &Host<'_>, number: u32) {
    if let Some(entry) = host.find(&key(number)) {
        release(host, entry.slot, entry.index, entry.word);
    }
}
