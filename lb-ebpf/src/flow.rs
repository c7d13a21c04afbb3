//! Stage 3: the flow table as this program sees it. Its protocol is in `lb_common::table`.

use core::intrinsics::{AtomicOrdering, atomic_cxchg, atomic_xadd};
use core::ptr::addr_of;

use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use lb_common::flow::{FlowKey, State, Transport, Word};
use lb_common::load::Load;
use lb_common::table::{self, Claim, Entry, Place};
use lb_common::tcp;
use lb_common::time;

use crate::family::{Family, Table};
use crate::gauge;
use crate::maps::{COUNTS, MEMBERS, REAL_LOADS, TABLE_LOADS, hash_key};
use crate::outline;
use crate::parse::Segment;
use crate::redispatch;
use crate::scratch::scratch;

/// What forwarding needs of an entry, read in one piece.
pub(crate) struct Found<F: Family> {
    pub(crate) state: State,
    pub(crate) rewritten: FlowKey<F::Addr>,
    pub(crate) l3_delta: u16,
    pub(crate) l4_delta: u16,
    pub(crate) member: u16,
    pub(crate) real: u16,
    pub(crate) origin: [u32; 2],
}

/// The tick now. The coarse clock moves every few milliseconds and costs no clock read; it is there
/// from Linux 5.11 on.
#[inline(always)]
pub(crate) fn now() -> u32 {
    // SAFETY: the helper has no preconditions.
    time::tick(unsafe { bpf_ktime_get_coarse_ns() })
}

/// Where `key` may stand in this family's table.
#[inline(always)]
pub(crate) fn place<F: Family>(key: &FlowKey<F::Addr>) -> Place {
    Place::new(hash_key(), key, Transport::Tcp, F::buckets())
}

/// The live entry for a segment and its fields. A SYN that begins a connection of its own on the
/// ports of one that is over finds nothing, and so does one whose server does not answer.
#[inline(always)]
pub(crate) fn find<F: Family>(segment: &Segment<F>) -> Option<(Entry<F::Addr>, Found<F>)> {
    let place = place::<F>(&segment.key);
    let entry = match table::find_in(&Table::<F>::NEW, place.first, place.identity, &segment.key) {
        Some(entry) => entry,
        None => find_second::<F>(&segment.key, &place)?,
    };
    let found = read::<F>(&entry)?;
    if segment.flags & (tcp::SYN | tcp::ACK) == tcp::SYN
        && (makes_way::<F>(&entry, segment.seq, now())
            || redispatch::unanswered(segment, &entry, &found))
    {
        return None;
    }
    Some((entry, found))
}

/// The entry in the key's second bucket, where few are: looked for out of line.
#[inline(always)]
fn find_second<F: Family>(key: &FlowKey<F::Addr>, place: &Place) -> Option<Entry<F::Addr>> {
    let scratch = scratch()?;
    // SAFETY: this processor's map value.
    unsafe { (*F::keys(scratch)).probe = *key };
    let index = (F::CALLS.find)(place.second, place.identity);
    if index < 0 {
        return None;
    }
    table::find_at(&Table::<F>::NEW, index as u32, place.identity, key)
}

/// The entry at `index`, whatever state it is in.
#[inline(always)]
pub(crate) fn entry<F: Family>(index: u32) -> Option<Entry<F::Addr>> {
    let slot = Table::<F>::slot(index)?;
    // SAFETY: a map value.
    let word = Word(unsafe { addr_of!((*slot.pointer()).word).read_volatile() });
    Some(Entry { slot, word, index })
}

/// The fields of an entry, or `None` if it changed hands while they were read.
#[inline(always)]
pub(crate) fn read<F: Family>(entry: &Entry<F::Addr>) -> Option<Found<F>> {
    let slot = entry.slot.pointer();
    macro_rules! field {
        ($name:ident) => {
            addr_of!((*slot).$name).read_volatile()
        };
    }
    // SAFETY: the slot is a map value.
    let found = unsafe {
        Found {
            state: entry.word.state(),
            rewritten: FlowKey {
                src: field!(new_src),
                dst: field!(new_dst),
                ports: field!(new_ports),
            },
            l3_delta: field!(l3_delta),
            l4_delta: field!(l4_delta),
            member: field!(member),
            real: field!(real),
            origin: field!(origin),
        }
    };
    entry.still().then_some(found)
}

/// # Safety
/// `word` points into a map value.
#[inline(always)]
pub(crate) unsafe fn compare_exchange(word: *mut u64, old: u64, new: u64) -> u64 {
    // SAFETY: by the caller's promise. Becomes `cmpxchg_64`, which is fully ordered.
    let (before, _) = unsafe {
        atomic_cxchg::<u64, { AtomicOrdering::SeqCst }, { AtomicOrdering::SeqCst }>(word, old, new)
    };
    before
}

/// Adds to a number that processors share; gives what it was.
///
/// # Safety
/// `number` points into a map value.
#[inline(always)]
pub(crate) unsafe fn add(number: *mut u64, value: u64) -> u64 {
    // SAFETY: by the caller's promise.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(number, value) }
}

#[inline(always)]
pub(crate) fn count(member: u16, flows: i64, active: i64, open: i64) {
    if active != 0
        && let Some(member) = MEMBERS.get(member as u32)
    {
        gauge::change(member.gauge, active);
        gauge::change(member.service_gauge, active);
    }
    let Some(counts) = COUNTS.get_ptr_mut(member as u32) else {
        return;
    };
    // SAFETY: a map value.
    unsafe {
        if flows != 0 {
            add(&raw mut (*counts).flows, flows as u64);
        }
        if open != 0 {
            add(&raw mut (*counts).open, open as u64);
        }
    }
}

/// Adds to what flows hold of the table and of a server's source ports. Out of line: it is done
/// wherever a flow's state changes.
#[inline(always)]
pub(crate) fn load<F: Family>(real: u32, open: i32, unproved: i32) -> u32 {
    change(TABLE_LOADS.get_ptr_mut(F::TABLE), open, unproved);
    change(REAL_LOADS.get_ptr_mut(real), open, unproved);
    0
}

#[inline(always)]
fn change(load: Option<*mut Load>, open: i32, unproved: i32) {
    if let Some(load) = load {
        // SAFETY: a map value.
        unsafe {
            add(&raw mut (*load).open, open as i64 as u64);
            add(&raw mut (*load).unproved, unproved as i64 as u64);
        }
    }
}

#[inline(always)]
pub(crate) fn idle_timeout(member: u16) -> u32 {
    match MEMBERS.get(member as u32) {
        Some(member) => member.idle_timeout,
        None => 0,
    }
}

/// Claims a slot for the key in the scratch's probe; [`outline::encode`]d.
#[inline(always)]
pub(crate) fn claim<F: Family>(now: u32) -> i64 {
    let Some(scratch) = scratch() else {
        return outline::encode(Claim::Full);
    };
    // SAFETY: this processor's map value.
    let probe = unsafe { &(*F::keys(scratch)).probe };
    outline::encode(table::claim(
        &Table::<F>::NEW,
        place::<F>(probe),
        probe,
        now,
    ))
}

/// [`table::survey`] for the key in the scratch's probe; [`outline::encode`]d.
#[inline(always)]
pub(crate) fn survey<F: Family>(place: Place, own: u32) -> i64 {
    let Some(scratch) = scratch() else {
        return outline::encode(Claim::Full);
    };
    // SAFETY: this processor's map value.
    let probe = unsafe { &(*F::keys(scratch)).probe };
    outline::encode(table::survey(&Table::<F>::NEW, place, probe, own))
}

/// Whether the flow with this forward entry gives its place to a client's SYN that begins at `isn`
/// ([`tcp::begins_anew`]).
#[inline(always)]
pub(crate) fn makes_way<F: Family>(entry: &Entry<F::Addr>, isn: u32, now: u32) -> bool {
    let slot = entry.slot.pointer();
    // SAFETY: the slot is a map value.
    let (position, seen) = unsafe {
        (
            addr_of!((*slot).seq).read_volatile(),
            addr_of!((*slot).seen).read_volatile(),
        )
    };
    tcp::begins_anew(entry.word.state(), position, isn, time::since(now, seen))
}

/// Forgets the flow whose forward entry was found at `index` with `word`; 1 if it was this call
/// that did, 0 if the entry has moved since.
#[inline(always)]
pub(crate) fn release<F: Family>(index: u32, word: u64) -> u32 {
    let Some(slot) = Table::<F>::slot(index) else {
        return 0;
    };
    table::release(&Table::<F>::NEW, slot, index, Word(word)) as u32
}

/// Looks for the key in the scratch's probe in one bucket. Not negative: its index.
#[inline(always)]
pub(crate) fn find_probe<F: Family>(bucket: u32, identity: u32) -> i64 {
    let Some(scratch) = scratch() else {
        return -1;
    };
    // SAFETY: this processor's map value.
    let probe = unsafe { &(*F::keys(scratch)).probe };
    match table::find_in(&Table::<F>::NEW, bucket, identity, probe) {
        Some(entry) => entry.index as i64,
        None => -1,
    }
}
