//! Taking a slot: survey, claim, publish.

use super::notes::{note, noted};
use super::{Memory, Place, SlotRef, exchange, holds, set, slot, slot_of, word};
use crate::addr::Address;
use crate::flow::{BUCKET_SLOTS, FlowKey, Slot, State, Word};

/// Occupied slots from which on a new entry goes to its second bucket: refusals at 75 % load fall
/// from 5 % to 0.12 % (simulated; the same with the flow hash as with random numbers).
const SPILL: u32 = 6;

/// Times a claim starts over after it lost a slot to another processor or made room.
const ATTEMPTS: u32 = 3;

/// No slot.
const NONE: u32 = u32::MAX;

/// How a claim ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The slot with this index is the caller's, in state [`State::Claimed`]: to [`publish`] or to
    /// [`abandon`].
    Taken(u32),
    /// The key is live in the slot with this index.
    Exists(u32),
    /// Another processor is claiming the same key, or was faster three times in a row.
    Race,
    /// Both buckets hold open flows only.
    Full,
}

/// Looks at both buckets: is the key, or a claim with its identity, in a slot other than `own`?
/// If not, which free slot should it take ([`Claim::Taken`]; its word is noted)?
#[inline(always)]
pub fn survey<A: Address, M: Memory<A>>(
    memory: &M,
    place: Place,
    key: &FlowKey<A>,
    own: u32,
) -> Claim {
    let Some(notes) = memory.notes() else {
        return Claim::Full;
    };
    note!(notes, free = [NONE; 2]);
    note!(notes, occupied = 0);
    let mut side = 0;
    while side < 2 {
        let number = if side == 0 { place.first } else { place.second };
        let Some(bucket) = memory.bucket(number) else {
            return Claim::Full;
        };
        let mut i = 0;
        while i < BUCKET_SLOTS {
            let slot = slot_of(bucket, i);
            let index = number * BUCKET_SLOTS + i;
            i += 1;
            let word = word(slot);
            if word.state() as u8 == State::Free as u8 {
                if noted!(notes, free[side]) == NONE {
                    note!(notes, free[side] = index);
                    note!(notes, words[side] = word.0);
                }
                continue;
            }
            if side == 0 {
                note!(notes, occupied = noted!(notes, occupied) + 1);
            }
            if word.identity() == place.identity && index != own {
                if !word.state().is_live() {
                    return Claim::Race;
                }
                let same = holds(slot, key);
                // The slot changed hands while its key was read: somebody is at work here.
                if self::word(slot).claim_moved(word) {
                    return Claim::Race;
                }
                if same {
                    return Claim::Exists(index);
                }
            }
        }
        side += 1;
    }
    let first = noted!(notes, free[0]);
    let second = noted!(notes, free[1]);
    if first != NONE && (noted!(notes, occupied) < SPILL || second == NONE) {
        note!(notes, word = noted!(notes, words[0]));
        Claim::Taken(first)
    } else if second != NONE {
        note!(notes, word = noted!(notes, words[1]));
        Claim::Taken(second)
    } else {
        Claim::Full
    }
}

impl Word {
    /// Whether the slot was claimed anew, or given back, since `earlier` was read (a mere change of
    /// the flow's state is neither).
    #[inline(always)]
    const fn claim_moved(self, earlier: Self) -> bool {
        self.generation() != earlier.generation() || !self.state().is_live()
    }
}

/// Claims a slot for `key`. Where both buckets are full, it makes room by releasing the flow that
/// can best be spared ([`spare`]).
#[inline(always)]
pub fn claim<A: Address, M: Memory<A>>(
    memory: &M,
    place: Place,
    key: &FlowKey<A>,
    now: u32,
) -> Claim {
    let mut attempt = 0;
    while attempt < ATTEMPTS {
        attempt += 1;
        let index = match memory.survey(place, key, NONE) {
            Claim::Taken(index) => index,
            Claim::Full if memory.spare(place, now) => continue,
            other => return other,
        };
        let Some(slot) = slot(memory, index) else {
            return Claim::Full;
        };
        let Some(notes) = memory.notes() else {
            return Claim::Full;
        };
        let free = Word(noted!(notes, word));
        let claimed = free.claimed(place.identity);
        if !exchange(memory, slot, free, claimed) {
            continue;
        }
        match memory.survey(place, key, index) {
            Claim::Taken(_) | Claim::Full => return Claim::Taken(index),
            lost => {
                abandon(slot, claimed);
                return lost;
            }
        }
    }
    Claim::Race
}

/// Gives a claimed slot back. It is the caller's: nobody else writes its word.
#[inline(always)]
pub fn abandon<A: Address>(slot: SlotRef<A>, claimed: Word) {
    set!(slot, word, claimed.freed().0);
}

/// Writes the fields of a claimed slot and makes it live in `state`.
#[inline(always)]
pub fn publish<A: Address>(slot: SlotRef<A>, fields: &Slot<A>, state: State) {
    let claimed = word(slot);
    // Readers disregard the slot until the word is written, last.
    set!(slot, src, fields.src);
    set!(slot, dst, fields.dst);
    set!(slot, ports, fields.ports);
    set!(slot, twin, fields.twin);
    set!(slot, new_src, fields.new_src);
    set!(slot, new_dst, fields.new_dst);
    set!(slot, new_ports, fields.new_ports);
    set!(slot, l3_delta, fields.l3_delta);
    set!(slot, l4_delta, fields.l4_delta);
    set!(slot, member, fields.member);
    set!(slot, real, fields.real);
    set!(slot, origin, fields.origin);
    set!(slot, seen, fields.seen);
    set!(slot, seq, fields.seq);
    set!(slot, ack, fields.ack);
    set!(slot, word, claimed.with(state).0);
}
