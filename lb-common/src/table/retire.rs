//! Changing a flow's state, and forgetting flows: release, eviction, expiry.

use super::notes::{note, noted};
use super::{Memory, Place, SlotRef, abandon, exchange, get, slot, word};
use crate::addr::Address;
use crate::flow::{BUCKET_SLOTS, State, Word};
use crate::time;

/// Moves a flow from the state in `word` to `state`, unless somebody else moved or released it
/// first. Keeps the counts of active and of open flows.
#[inline(always)]
pub fn transition<A: Address, M: Memory<A>>(
    memory: &M,
    slot: SlotRef<A>,
    word: Word,
    state: State,
) -> bool {
    if word.state() as u8 == state as u8 {
        return true;
    }
    // Read while the entry may be anyone's; used only when the exchange has shown that it was not.
    let (member, real) = (get!(slot, member), get!(slot, real));
    if !exchange(memory, slot, word, word.with(state)) {
        return false;
    }
    let opened = state.is_open() as i64 - word.state().is_open() as i64;
    let begun = state.is_active() as i64 - word.state().is_active() as i64;
    let unproved = state.is_unproved() as i64 - word.state().is_unproved() as i64;
    if opened != 0 || begun != 0 {
        memory.count(member, 0, begun, opened);
    }
    if opened != 0 || unproved != 0 {
        memory.load(real, opened, unproved);
    }
    true
}

/// Forgets the flow whose forward entry was found in `slot` with `word`: frees its reply entry,
/// takes it off the counts, frees the slot. One caller wins; the others get `false`.
#[inline(always)]
pub fn release<A: Address, M: Memory<A>>(
    memory: &M,
    slot: SlotRef<A>,
    index: u32,
    word: Word,
) -> bool {
    if !word.state().is_forward() {
        return false;
    }
    let claimed = word.with(State::Claimed);
    if !exchange(memory, slot, word, claimed) {
        return false;
    }
    let (member, real) = (get!(slot, member), get!(slot, real));
    memory.forgotten(index, word);
    if let Some(reply) = self::slot(memory, get!(slot, twin)) {
        free_reply(memory, reply, index);
    }
    let (active, open) = (word.state().is_active(), word.state().is_open());
    let unproved = word.state().is_unproved();
    memory.count(member, -1, -(active as i64), -(open as i64));
    if open || unproved {
        memory.load(real, -(open as i64), -(unproved as i64));
    }
    abandon(slot, claimed);
    true
}

/// Frees a reply entry if it is owned by the entry at `owner`.
#[inline(always)]
fn free_reply<A: Address, M: Memory<A>>(memory: &M, reply: SlotRef<A>, owner: u32) -> bool {
    let word = word(reply);
    if word.state() as u8 != State::Reply as u8 {
        return false;
    }
    get!(reply, twin) == owner && exchange(memory, reply, word, word.freed())
}

/// How long neither direction of the flow in `slot` has seen a packet, in ticks.
#[inline(always)]
fn idle<A: Address, M: Memory<A>>(memory: &M, slot: SlotRef<A>, now: u32) -> u32 {
    let forward = time::since(now, get!(slot, seen));
    let Some(reply) = self::slot(memory, get!(slot, twin)) else {
        return forward;
    };
    // If this is another flow's entry by now, so is `slot`, and the caller's exchange of its word
    // will fail.
    let reply = time::since(now, get!(reply, seen));
    if reply < forward { reply } else { forward }
}

/// How dispensable a flow is: 0 for one that must stay, and more for older ones of the same kind.
/// Closed goes before idle, idle before unverified.
#[inline(always)]
fn dispensable(state: State, idle: u32, timeout: u32) -> u32 {
    const IDLE: u32 = 1 << 29;
    const CLOSED: u32 = 1 << 30;
    let age = if idle < IDLE { idle } else { IDLE - 1 };
    match state {
        state if state.is_over() => CLOSED + age,
        _ if idle > timeout => IDLE + age,
        State::HalfOpen | State::Answered => 1 + age,
        _ => 0,
    }
}

/// Makes room in a key's buckets by releasing the most dispensable flow that has an entry there.
/// `false`: all of them are open, or claimed.
#[inline(always)]
pub fn spare<A: Address, M: Memory<A>>(memory: &M, place: Place, now: u32) -> bool {
    let Some(notes) = memory.notes() else {
        return false;
    };
    note!(notes, best = 0);
    let mut i = 0;
    while i < BUCKET_SLOTS {
        memory.consider(place.first * BUCKET_SLOTS + i, now);
        memory.consider(place.second * BUCKET_SLOTS + i, now);
        i += 1;
    }
    if noted!(notes, best) == 0 {
        return false;
    }
    let index = noted!(notes, best_index);
    match slot(memory, index) {
        // Losing the release to another processor has made room as well.
        Some(entry) => {
            release(memory, entry, index, Word(noted!(notes, best_word)));
            true
        }
        None => false,
    }
}

/// Notes the flow that has an entry at `index` if it is more dispensable than those seen so far.
#[inline(always)]
pub fn consider<A: Address, M: Memory<A>>(memory: &M, index: u32, now: u32) {
    let Some(found) = slot(memory, index) else {
        return;
    };
    let (mut index, mut entry) = (index, found);
    if word(found).state() as u8 == State::Reply as u8 {
        // A reply entry goes with its owner, wherever that is.
        index = get!(found, twin);
        match slot(memory, index) {
            Some(owner) => entry = owner,
            None => return,
        }
    }
    let word = word(entry);
    if !word.state().is_forward() {
        return;
    }
    let timeout = word
        .state()
        .timeout(memory.idle_timeout(get!(entry, member)));
    let score = dispensable(word.state(), idle(memory, entry, now), timeout);
    let Some(notes) = memory.notes() else {
        return;
    };
    if score > noted!(notes, best) {
        note!(notes, best = score);
        note!(notes, best_index = index);
        note!(notes, best_word = word.0);
    }
}

/// What expiry found in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Nobody's slot.
    Free,
    /// In use, and its time is not up.
    Kept,
    /// The flow's time was up; it is gone.
    Expired,
    /// A reply entry that no forward entry owns was freed. There should be none.
    Orphan,
}

/// Forgets the flow of slot `index` if its time is up.
#[inline(always)]
pub fn expire<A: Address, M: Memory<A>>(memory: &M, index: u32, now: u32) -> Expiry {
    let Some(slot) = slot(memory, index) else {
        return Expiry::Free;
    };
    let word = word(slot);
    if word.state() as u8 == State::Reply as u8 {
        return expire_orphan(memory, slot, word, index);
    }
    if word.state() as u8 == State::Free as u8 {
        return Expiry::Free;
    }
    if !word.state().is_forward() {
        return Expiry::Kept;
    }
    let timeout = word
        .state()
        .timeout(memory.idle_timeout(get!(slot, member)));
    if idle(memory, slot, now) > timeout && release(memory, slot, index, word) {
        Expiry::Expired
    } else {
        Expiry::Kept
    }
}

/// Frees a reply entry whose owner is gone. Programs cannot be interrupted between the two, so
/// this finds something only after a bug; left alone, it would hold a source port for ever.
#[inline(always)]
fn expire_orphan<A: Address, M: Memory<A>>(
    memory: &M,
    reply: SlotRef<A>,
    found: Word,
    index: u32,
) -> Expiry {
    let owned = match slot(memory, get!(reply, twin)) {
        None => false,
        Some(owner) => {
            let state = word(owner).state();
            // A claimed owner is being opened or released right now.
            state as u8 == State::Claimed as u8
                || (state.is_forward() && get!(owner, twin) == index)
        }
    };
    if owned {
        return Expiry::Kept;
    }
    if exchange(memory, reply, found, found.freed()) {
        Expiry::Orphan
    } else {
        Expiry::Kept
    }
}

/// How far expiry has come: the one value of [`crate::map::SWEEP`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Sweep {
    /// Next bucket of the IPv4 table to look at.
    pub next4: u32,
    /// Next bucket of the IPv6 table to look at.
    pub next6: u32,
    /// Flows forgotten.
    pub expired: u64,
    /// Reply entries found without an owner ([`Expiry::Orphan`]).
    pub orphans: u64,
    /// Slots in use, counted over the current round (IPv4, then IPv6).
    pub counting: [u32; 2],
    /// Slots in use at the last complete round (IPv4, then IPv6).
    pub used: [u32; 2],
}

/// Buckets of each table that one run of [`crate::map::EXPIRE_PROGRAM`] looks at.
pub const SWEEP_BUCKETS: u32 = 32;

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, integers only, no padding.
unsafe impl aya::Pod for Sweep {}
