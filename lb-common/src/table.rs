//! How processors share the flow table.
//!
//! The table is an array of [`Bucket`]s in shared memory. A key has two candidate buckets. All that
//! guards an entry is its state word, which changes by compare-and-exchange only:
//!
//! ```text
//! Free --claim--> Claimed --rescan: same identity claimed, or key live elsewhere--> Free
//!                 Claimed --write fields, publish--> live --release, one winner--> Claimed --> Free
//! ```
//!
//! Both claimants of one key back off and leave it to the client's retransmission: to let one of
//! them win by position is unsound, as the other may have rescanned before the winner claimed. A
//! reader reads the word, the key and the fields, then the word again ([`Entry::still`]), and acts
//! only if it did not change.
//!
//! Fields are read and written with volatile accesses of natural width, in program order. That is
//! enough on x86-64, where the processor keeps loads in order and stores in order. A port to a
//! weaker architecture needs acquire loads of the word and release stores of it.
//!
//! The same code runs in the BPF program and in the tests, through [`Memory`].

use crate::addr::Address;
#[cfg(doc)]
use crate::flow::State;
use crate::flow::{BUCKET_SLOTS, Bucket, FlowKey, Slot, Transport, Word};
use crate::hash::{self, HashKey};

mod claim;
mod notes;
mod retire;

pub use claim::{Claim, abandon, claim, publish, survey};
pub use notes::Notes;
pub use retire::{Expiry, SWEEP_BUCKETS, Sweep, consider, expire, release, spare, transition};

/// The table's memory and the counters beside it.
///
/// # Safety
/// [`Memory::bucket`] gives pointers that stay valid for as long as the memory and what was found
/// in it is used.
pub unsafe trait Memory<A: Address> {
    /// Number of buckets; not zero.
    fn buckets(&self) -> u32;

    /// Bucket `index`, or `None` beyond the last.
    fn bucket(&self, index: u32) -> Option<*mut Bucket<A>>;

    /// Sets `*word` to `new` if it is `old`, atomically and fully ordered. Returns what it was.
    ///
    /// # Safety
    /// `word` points into a bucket.
    unsafe fn compare_exchange(&self, word: *mut u64, old: u64, new: u64) -> u64;

    /// Adds to the counts of a member's flows, active flows ([`State::is_active`]) and open flows,
    /// each atomically.
    fn count(&self, member: u16, flows: i64, active: i64, open: i64);

    /// Adds to the [`crate::load::Load`] of this table and of a server, atomically.
    fn load(&self, real: u16, open: i64, unproved: i64);

    /// Idle timeout of a member's open flows, in ticks.
    fn idle_timeout(&self, member: u16) -> u32;

    /// The flow whose forward entry `index` had `word` is about to be forgotten: its fields are still
    /// there, and nobody else's. Does nothing unless somebody wants to know.
    #[inline(always)]
    fn forgotten(&self, index: u32, word: Word) {
        let _ = (index, word);
    }

    /// Working memory of the caller's own. There is one; but Linux 6.1's verifier does not know that
    /// a look-up in an array with a constant index succeeds, and wants to see the other case.
    fn notes(&self) -> Option<*mut Notes>;

    /// [`survey`]. This and the next two are methods so that the BPF program can make them functions
    /// of their own, which the verifier walks once and not in every place that claims.
    fn survey(&self, place: Place, key: &FlowKey<A>, own: u32) -> Claim
    where
        Self: Sized,
    {
        survey(self, place, key, own)
    }

    /// [`spare`].
    fn spare(&self, place: Place, now: u32) -> bool
    where
        Self: Sized,
    {
        spare(self, place, now)
    }

    /// [`consider`].
    fn consider(&self, index: u32, now: u32)
    where
        Self: Sized,
    {
        consider(self, index, now);
    }
}

/// Where a key's entry may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The bucket to look in first.
    pub first: u32,
    /// The other; never the same unless the table has only one.
    pub second: u32,
    /// Tag and transport as [`Word::identity`] holds them.
    pub identity: u32,
}

impl Place {
    /// The place of a key in a table of `buckets` buckets.
    #[inline(always)]
    pub fn new<A: Address>(
        hash_key: HashKey,
        key: &FlowKey<A>,
        transport: Transport,
        buckets: u32,
    ) -> Self {
        let hash = hash::flow(hash_key, key.src, key.dst, key.ports, transport.number());
        let first = hash::reduce((hash >> 32) as u32, buckets);
        let mut second = hash::reduce(hash as u32, buckets);
        if second == first {
            second = if first + 1 < buckets { first + 1 } else { 0 };
        }
        Self {
            first,
            second,
            identity: (hash as u32) << 10 | (transport as u32) << 8,
        }
    }
}

/// A slot of the table. Only [`slot`] and searches make one, from what [`Memory`] gave.
#[derive(Clone, Copy, Debug)]
pub struct SlotRef<A>(*mut Slot<A>);

impl<A> SlotRef<A> {
    /// Where the slot lies. Others may be writing to it: access it with volatile reads and writes
    /// of one field.
    #[inline(always)]
    pub const fn pointer(self) -> *mut Slot<A> {
        self.0
    }
}

/// A live entry as a reader found it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<A> {
    /// The slot.
    pub slot: SlotRef<A>,
    /// Its word when it was found.
    pub word: Word,
    /// Its index: `bucket * BUCKET_SLOTS + slot`.
    pub index: u32,
}

/// Reads one field of a slot.
macro_rules! get {
    ($slot:expr, $field:ident) => {
        // SAFETY: a `SlotRef` points into the table's memory.
        unsafe { (&raw const (*$slot.0).$field).read_volatile() }
    };
}

/// Writes one field of a slot.
macro_rules! set {
    ($slot:expr, $field:ident, $value:expr) => {{
        let value = $value;
        // SAFETY: a `SlotRef` points into the table's memory.
        unsafe { (&raw mut (*$slot.0).$field).write_volatile(value) }
    }};
}

use {get, set};

impl<A: Address> Entry<A> {
    /// Whether the entry is still the one that was found: what was read from it in between is then
    /// of one piece. The flow's state may have moved.
    #[inline(always)]
    pub fn still(&self) -> bool {
        let word = word(self.slot);
        word.0 >> 8 == self.word.0 >> 8 && word.state().is_live()
    }
}

/// The word of a slot.
#[inline(always)]
fn word<A: Address>(slot: SlotRef<A>) -> Word {
    Word(get!(slot, word))
}

/// Changes the slot's word from `old` to `new`, unless it is something else by now.
#[inline(always)]
fn exchange<A: Address, M: Memory<A>>(memory: &M, slot: SlotRef<A>, old: Word, new: Word) -> bool {
    // SAFETY: a `SlotRef` points into the table's memory.
    let before = unsafe { memory.compare_exchange(&raw mut (*slot.0).word, old.0, new.0) };
    before == old.0
}

/// Whether the slot holds `key`.
#[inline(always)]
fn holds<A: Address>(slot: SlotRef<A>, key: &FlowKey<A>) -> bool {
    get!(slot, ports) == key.ports && get!(slot, src) == key.src && get!(slot, dst) == key.dst
}

/// Slot `i` of a bucket.
#[inline(always)]
fn slot_of<A>(bucket: *mut Bucket<A>, i: u32) -> SlotRef<A> {
    // SAFETY: `i` is masked to the bucket's slots.
    SlotRef(unsafe {
        (&raw mut (*bucket).slots)
            .cast::<Slot<A>>()
            .add((i & (BUCKET_SLOTS - 1)) as usize)
    })
}

/// The slot with this index, if the table is that long.
#[inline(always)]
pub fn slot<A: Address, M: Memory<A>>(memory: &M, index: u32) -> Option<SlotRef<A>> {
    Some(slot_of(memory.bucket(index / BUCKET_SLOTS)?, index))
}

/// The live entry of `key` in one bucket.
#[inline(always)]
pub fn find_in<A: Address, M: Memory<A>>(
    memory: &M,
    bucket: u32,
    identity: u32,
    key: &FlowKey<A>,
) -> Option<Entry<A>> {
    let slots = memory.bucket(bucket)?;
    let mut i = 0;
    while i < BUCKET_SLOTS {
        let slot = slot_of(slots, i);
        let word = self::word(slot);
        if word.identity() == identity && word.state().is_live() && holds(slot, key) {
            return Some(Entry {
                slot,
                word,
                index: bucket * BUCKET_SLOTS + i,
            });
        }
        i += 1;
    }
    None
}

/// The live entry of `key` if it is the one at `index`: for whoever found it there before, and has
/// not kept its word.
#[inline(always)]
pub fn find_at<A: Address, M: Memory<A>>(
    memory: &M,
    index: u32,
    identity: u32,
    key: &FlowKey<A>,
) -> Option<Entry<A>> {
    let slot = slot(memory, index)?;
    let word = word(slot);
    let same = word.identity() == identity && word.state().is_live() && holds(slot, key);
    same.then_some(Entry { slot, word, index })
}

/// The live entry of `key`.
#[inline(always)]
pub fn find<A: Address, M: Memory<A>>(
    memory: &M,
    place: Place,
    key: &FlowKey<A>,
) -> Option<Entry<A>> {
    match find_in(memory, place.first, place.identity, key) {
        None => find_in(memory, place.second, place.identity, key),
        found => found,
    }
}

#[cfg(test)]
mod tests;
