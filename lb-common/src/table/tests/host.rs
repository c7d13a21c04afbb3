//! The flow table in ordinary memory, and flows from whose fields a reader can tell whether they
//! are of one piece.

use std::cell::{Cell, UnsafeCell};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::vec::Vec;

use super::super::{Claim, Entry, Memory, Notes, Place, abandon, claim, find_at, publish, slot};
use super::turns::Turns;
use crate::flow::{BUCKET_SLOTS, Bucket, FlowKey, Slot, State, Transport, Word};
use crate::hash::HashKey;

/// Idle timeout of every flow.
pub(super) const IDLE: u32 = 1_000;
const HASH_KEY: HashKey = HashKey::new(0x1111_2222_3333_4444, 0x5555_6666_7777_8889);

/// What threads share.
pub(super) struct Shared {
    buckets: Vec<UnsafeCell<Bucket<u32>>>,
    pub(super) flows: AtomicI64,
    pub(super) active: AtomicI64,
    pub(super) open: AtomicI64,
    /// Open flows and unproved ones, as [`Memory::load`] counts them.
    pub(super) loads: [AtomicI64; 2],
    pub(super) released: AtomicU64,
}

// SAFETY: buckets are accessed through raw pointers, by volatile accesses and atomic exchanges, as the
// BPF program does. To Rust's memory model that is a race; to x86-64 it is the protocol under test.
unsafe impl Sync for Shared {}

/// One thread's view.
pub(super) struct Host<'a> {
    pub(super) shared: &'a Shared,
    notes: UnsafeCell<Notes>,
    pace: Pace<'a>,
}

/// How a thread goes on from one access of shared memory to the next.
enum Pace<'a> {
    /// As the processor likes.
    Free,
    /// With a random break now and then, where others could get in its way: what would take days to
    /// happen by itself happens all the time. The state of the random generator.
    Breaks(Cell<u64>),
    /// When it is its turn.
    Turns(&'a Turns, usize),
}

impl Shared {
    pub(super) fn new(buckets: u32) -> Self {
        Self {
            buckets: (0..buckets).map(|_| UnsafeCell::default()).collect(),
            flows: AtomicI64::new(0),
            active: AtomicI64::new(0),
            open: AtomicI64::new(0),
            loads: Default::default(),
            released: AtomicU64::new(0),
        }
    }

    pub(super) fn host(&self) -> Host<'_> {
        Host {
            shared: self,
            notes: UnsafeCell::default(),
            pace: Pace::Free,
        }
    }

    /// The view of a thread that takes random breaks.
    pub(super) fn slow_host(&self, seed: u64) -> Host<'_> {
        Host {
            pace: Pace::Breaks(Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)),
            ..self.host()
        }
    }

    /// The view of thread number `thread` of those that take turns.
    pub(super) fn host_in_turn<'a>(&'a self, turns: &'a Turns, thread: usize) -> Host<'a> {
        Host {
            pace: Pace::Turns(turns, thread),
            ..self.host()
        }
    }

    pub(super) fn slots(&self) -> u32 {
        self.buckets.len() as u32 * BUCKET_SLOTS
    }
}

// SAFETY: buckets stay where they are for as long as the shared table, which the host borrows.
unsafe impl Memory<u32> for Host<'_> {
    fn buckets(&self) -> u32 {
        self.shared.buckets.len() as u32
    }

    fn bucket(&self, index: u32) -> Option<*mut Bucket<u32>> {
        self.pause();
        self.shared.buckets.get(index as usize).map(UnsafeCell::get)
    }

    unsafe fn compare_exchange(&self, word: *mut u64, old: u64, new: u64) -> u64 {
        self.pause();
        // SAFETY: by the caller's promise; words are aligned.
        let word = unsafe { AtomicU64::from_ptr(word) };
        match word.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(before) | Err(before) => before,
        }
    }

    fn count(&self, member: u16, flows: i64, active: i64, open: i64) {
        assert_eq!(
            member, MEMBER,
            "a count for a member that was never written"
        );
        self.shared.flows.fetch_add(flows, Ordering::SeqCst);
        self.shared.active.fetch_add(active, Ordering::SeqCst);
        self.shared.open.fetch_add(open, Ordering::SeqCst);
        if flows < 0 {
            self.shared.released.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn load(&self, _real: u16, open: i64, unproved: i64) {
        self.shared.loads[0].fetch_add(open, Ordering::SeqCst);
        self.shared.loads[1].fetch_add(unproved, Ordering::SeqCst);
    }

    fn idle_timeout(&self, _member: u16) -> u32 {
        IDLE
    }

    fn notes(&self) -> Option<*mut Notes> {
        Some(self.notes.get())
    }
}

const MEMBER: u16 = 7;

/// The forward key of flow `number`.
pub(super) fn key(number: u32) -> FlowKey<u32> {
    FlowKey {
        src: number,
        dst: 0x0a0a_0a0a,
        ports: number.wrapping_mul(0x0101_0101),
    }
}

/// Its reply key.
pub(super) fn reply_key(number: u32) -> FlowKey<u32> {
    FlowKey {
        src: 0x0b0b_0b0b,
        dst: number,
        ports: !number,
    }
}

/// An entry for `key`, all of whose other fields follow from the key and `mark`.
fn entry(key: FlowKey<u32>, twin: u32, mark: u32, now: u32) -> Slot<u32> {
    Slot {
        word: 0,
        src: key.src,
        dst: key.dst,
        new_src: mark,
        new_dst: mark ^ key.src,
        ports: key.ports,
        new_ports: mark.wrapping_mul(3),
        twin,
        l3_delta: mark as u16,
        l4_delta: !mark as u16,
        member: MEMBER,
        real: (mark >> 16) as u16,
        origin: [mark.rotate_left(7), key.ports ^ mark],
        seen: now,
        seq: 0,
        ack: 0,
    }
}

impl Host<'_> {
    /// Comes before each access of shared memory.
    fn pause(&self) {
        match &self.pace {
            Pace::Free => {}
            Pace::Breaks(state) => {
                let mut random = state.get();
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                state.set(random);
                if random >> 32 & 7 == 0 {
                    for _ in 0..random >> 40 & 0xff {
                        std::hint::spin_loop();
                    }
                }
            }
            Pace::Turns(turns, thread) => turns.step(*thread),
        }
    }

    pub(super) fn place(&self, key: &FlowKey<u32>) -> Place {
        Place::new(HASH_KEY, key, Transport::Tcp, self.buckets())
    }

    pub(super) fn find(&self, key: &FlowKey<u32>) -> Option<Entry<u32>> {
        super::super::find(self, self.place(key), key)
    }

    /// Claims and publishes both entries of a flow, as the program does.
    pub(super) fn open(&self, number: u32, mark: u32, now: u32) -> Claim {
        let (key, reply_key) = (key(number), reply_key(number));
        let forward = match claim(self, self.place(&key), &key, now) {
            Claim::Taken(index) => index,
            other => return other,
        };
        let reply = match claim(self, self.place(&reply_key), &reply_key, now) {
            Claim::Taken(index) => index,
            other => {
                let slot = slot(self, forward).expect("just claimed");
                // SAFETY: in a bucket.
                let word = Word(unsafe { (&raw const (*slot.pointer()).word).read_volatile() });
                assert_eq!(word.state(), State::Claimed, "somebody took a claimed slot");
                abandon(slot, word);
                return other;
            }
        };
        let reply_slot = slot(self, reply).expect("just claimed");
        publish(
            reply_slot,
            &entry(reply_key, forward, mark, now),
            State::Reply,
        );
        self.count(MEMBER, 1, 1, 0);
        self.load(0, 0, 1);
        let slot = slot(self, forward).expect("just claimed");
        publish(slot, &entry(key, reply, mark, now), State::HalfOpen);
        Claim::Taken(forward)
    }

    /// Reads an entry as the program does; `None` if it changed hands meanwhile. Fails if what was
    /// read is not of one piece.
    pub(super) fn read(&self, found: &Entry<u32>, key: &FlowKey<u32>) -> Option<Slot<u32>> {
        let pointer = found.slot.pointer();
        // SAFETY: in a bucket.
        let mut copy = unsafe { pointer.read_volatile() };
        self.pause();
        // SAFETY: as above. The second half, later.
        unsafe {
            copy.twin = (&raw const (*pointer).twin).read_volatile();
            copy.new_dst = (&raw const (*pointer).new_dst).read_volatile();
            copy.real = (&raw const (*pointer).real).read_volatile();
            copy.origin = (&raw const (*pointer).origin).read_volatile();
        }
        if !found.still() {
            return None;
        }
        assert_eq!(copy.key(), *key, "found under another key");
        copy.word = 0;
        let expected = entry(*key, copy.twin, copy.new_src, copy.seen);
        assert_eq!(copy, expected, "torn");
        Some(copy)
    }

    /// The words of all live entries of `key`, without their states.
    pub(super) fn live(&self, key: &FlowKey<u32>) -> Vec<(u32, u64)> {
        let place = self.place(key);
        let buckets = [place.first, place.second];
        let indices = buckets
            .iter()
            .flat_map(|bucket| bucket * BUCKET_SLOTS..(bucket + 1) * BUCKET_SLOTS);
        indices
            .filter_map(|index| find_at(self, index, place.identity, key))
            .map(|entry| (entry.index, entry.word.0 >> 8))
            .collect()
    }

    /// All slots as they are.
    pub(super) fn all(&self) -> Vec<(u32, Slot<u32>)> {
        (0..self.shared.slots())
            .map(|index| {
                let slot = slot(self, index).expect("inside the table");
                // SAFETY: in a bucket.
                (index, unsafe { slot.pointer().read_volatile() })
            })
            .collect()
    }

    /// What holds whenever nobody is at work: no key twice, twins that name each other, nothing
    /// claimed, counts exact.
    pub(super) fn verify(&self) {
        let all = self.all();
        let mut keys = std::collections::HashSet::new();
        let (mut flows, mut active, mut open, mut unproved) = (0, 0, 0, 0);
        for (index, slot) in &all {
            let state = Word(slot.word).state();
            if state == State::Free {
                continue;
            }
            assert!(state.is_live(), "slot {index} is left claimed");
            assert!(keys.insert(slot.key()), "{:?} is there twice", slot.key());
            let (_, twin) = all[slot.twin as usize];
            let twin_state = Word(twin.word).state();
            assert!(
                twin_state.is_live() && twin.twin == *index,
                "slot {index} is alone"
            );
            assert_ne!(state.is_forward(), twin_state.is_forward());
            assert_eq!(slot.new_src, twin.new_src, "twins of two flows");
            flows += i64::from(state.is_forward());
            active += i64::from(state.is_active());
            open += i64::from(state.is_open());
            unproved += i64::from(state.is_unproved());
        }
        assert_eq!(
            self.shared.flows.load(Ordering::SeqCst),
            flows,
            "flows counted"
        );
        assert_eq!(
            self.shared.active.load(Ordering::SeqCst),
            active,
            "active flows counted"
        );
        assert_eq!(
            self.shared.open.load(Ordering::SeqCst),
            open,
            "open flows counted"
        );
        let loads = self.shared.loads.each_ref();
        assert_eq!(
            loads.map(|load| load.load(Ordering::SeqCst)),
            [open, unproved],
            "what open and unproved flows hold"
        );
    }
}
