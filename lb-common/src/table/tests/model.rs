//! The table against a map, one thread, any order of operations.

use std::collections::HashMap;
use std::vec::Vec;

use proptest::prelude::*;

use super::super::{Claim, Expiry, expire, find_at, release, transition};
use super::host::{Host, IDLE, Shared, key, reply_key};
use crate::flow::{State, Word};

#[derive(Clone, Copy, Debug)]
enum Op {
    Open(u32),
    Move(u32, State),
    Release(u32),
    Wait(u32),
    Expire,
}

fn op() -> impl Strategy<Value = Op> {
    const STATES: [State; 5] = [
        State::Answered,
        State::Open,
        State::ClientFin,
        State::Closed,
        State::Reset,
    ];
    let number = 1..40_u32;
    prop_oneof![
        8 => number.clone().prop_map(Op::Open),
        4 => (number.clone(), proptest::sample::select(&STATES[..])).prop_map(|(n, s)| Op::Move(n, s)),
        2 => number.prop_map(Op::Release),
        1 => (1..IDLE).prop_map(Op::Wait),
        1 => Just(Op::Expire),
    ]
}

/// What the table should know of a flow.
#[derive(Clone, Copy, Debug)]
struct Known {
    state: State,
    mark: u32,
    seen: u32,
}

fn dispensable(known: &Known, now: u32) -> bool {
    let over = matches!(known.state, State::Closed | State::Reset);
    over || !known.state.is_open() || now - known.seen > known.state.timeout(IDLE)
}

fn run(host: &Host<'_>, ops: &[Op]) {
    let mut model: HashMap<u32, Known> = HashMap::new();
    let mut now = 1;
    for (mark, op) in (1..).zip(ops) {
        match *op {
            Op::Open(number) => match host.open(number, mark, now) {
                Claim::Taken(_) => {
                    let state = State::HalfOpen;
                    let seen = now;
                    assert!(model.insert(number, Known { state, mark, seen }).is_none());
                }
                Claim::Exists(index) => {
                    assert!(model.contains_key(&number));
                    let (key, place) = (key(number), host.place(&key(number)));
                    let there = find_at(host, index, place.identity, &key);
                    assert_eq!(there.map(|entry| entry.index), Some(index));
                }
                Claim::Full => assert!(!model.contains_key(&number)),
                Claim::Race => panic!("a race with nobody"),
            },
            Op::Move(number, state) => {
                if let Some(entry) = host.find(&key(number)) {
                    assert!(transition(host, entry.slot, entry.word, state));
                    // A word that is no longer the slot's moves nothing.
                    let stale = Word(entry.word.0.wrapping_sub(1 << 32));
                    assert!(!transition(host, entry.slot, stale, State::Free));
                    model.get_mut(&number).expect("known").state = state;
                }
            }
            Op::Release(number) => {
                if let Some(entry) = host.find(&key(number)) {
                    assert!(release(host, entry.slot, entry.index, entry.word));
                    assert!(!release(host, entry.slot, entry.index, entry.word), "once");
                    model.remove(&number).expect("known");
                }
                if let Some(entry) = host.find(&reply_key(number)) {
                    panic!("{entry:?} without its owner");
                }
            }
            Op::Wait(ticks) => now += ticks,
            Op::Expire => {
                for index in 0..host.shared.slots() {
                    let found = expire(host, index, now);
                    assert_ne!(found, Expiry::Orphan);
                }
                model.retain(|_, known| now - known.seen <= known.state.timeout(IDLE));
                for number in 1..40 {
                    let there = host.find(&key(number)).is_some();
                    assert_eq!(there, model.contains_key(&number), "flow {number}");
                }
            }
        }
        agree(host, &mut model, now);
        host.verify();
    }
}

/// What is in the table is known; what is known and gone could be spared.
fn agree(host: &Host<'_>, model: &mut HashMap<u32, Known>, now: u32) {
    model.retain(|&number, known| match host.find(&key(number)) {
        Some(entry) => {
            let slot = host
                .read(&entry, &key(number))
                .expect("nobody else is at work");
            assert_eq!(
                (entry.word.state(), slot.new_src),
                (known.state, known.mark)
            );
            let reply = host
                .find(&reply_key(number))
                .expect("flows have two entries");
            let reply = host
                .read(&reply, &reply_key(number))
                .expect("nobody else is at work");
            assert_eq!((reply.twin, reply.new_src), (entry.index, known.mark));
            true
        }
        None => {
            assert!(
                dispensable(known, now),
                "flow {number} was evicted: {known:?}"
            );
            false
        }
    });
    let there: Vec<_> = (1..40)
        .filter(|&number| host.find(&key(number)).is_some())
        .collect();
    assert_eq!(there.len(), model.len());
}

proptest! {
    #[test]
    fn as_a_map(ops in proptest::collection::vec(op(), 1..200), buckets in 1_u32..6) {
        let shared = Shared::new(buckets);
        run(&shared.host(), &ops);
    }
}

/// At 75 % load, one flow in a thousand finds both its buckets full; with one bucket a flow it would
/// be one in twenty.
#[test]
fn the_second_bucket_takes_what_the_first_cannot() {
    let shared = Shared::new(2_048);
    let host = shared.host();
    // 75 % of the slots, two a flow.
    let flows = 2_048 * 8 * 3 / 8;
    let refused = (1..=flows)
        .filter(|&number| {
            let opened = host.open(number, number, 1);
            if let Claim::Taken(_) = opened {
                let entry = host.find(&key(number)).expect("just opened");
                transition(&host, entry.slot, entry.word, State::Open);
            }
            opened == Claim::Full
        })
        .count();
    assert!(
        refused * 200 <= flows as usize,
        "{refused} of {flows} refused"
    );
    host.verify();
}
