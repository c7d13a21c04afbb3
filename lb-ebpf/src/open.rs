//! Stage 5: entries and a source port for a new flow.

use core::ptr::addr_of;

use aya_ebpf::helpers::{bpf_get_smp_processor_id, generated::bpf_get_prandom_u32};
use lb_common::addr::Address;
use lb_common::csum;
use lb_common::flow::{FlowKey, Origin, Slot, State, ports};
use lb_common::service::SnatSource;
use lb_common::table::{self, Claim, Entry};
use lb_common::verdict::DropReason;

use crate::account;
use crate::challenge::pressed;
use crate::family::{Family, Table};
use crate::flow::{self, Found, add, now};
use crate::frame::Frame;
use crate::maps::{COUNTS, PORT_CURSORS, REALS, SNAT, cpus, use_redispatch};
use crate::outline::decode;
use crate::parse::Segment;
use crate::scratch::scratch;
use crate::select::select;
use crate::verdict::Outcome;

/// Source ports tried for one flow before it is given up.
const PORT_TRIES: u32 = 24;
/// Of those, tries in a row before the search goes on at random.
const ROW_TRIES: u32 = 8;
/// Tries that take a closed flow's port only if the new ISN is beyond its last sequence
/// number, so that a server still in TIME-WAIT accepts it (RFC 9293, section 3.10.7.4).
const POLITE_TRIES: u32 = 18;

/// Opens a flow for a segment that none knows, and gives its forward entry.
#[inline(always)]
pub(crate) fn open<F: Family>(
    frame: &Frame,
    segment: &Segment<F>,
) -> Result<(Entry<F::Addr>, Found<F>), Outcome> {
    let Some(scratch) = scratch() else {
        return Err(DropReason::BadRing.into());
    };
    // SAFETY: this processor's map value; the Ethernet header is in the frame.
    unsafe {
        (*F::keys(scratch)).segment = segment.key;
        (*scratch).flags = segment.flags as u32;
        (*scratch).seq = segment.seq;
        (*scratch).origin = origin(frame).pack();
        (*scratch).service = 0;
        (*scratch).tried = 0;
        (*scratch).left = 0;
    }
    let opened = (F::CALLS.open)();
    if opened < 0 {
        // SAFETY: as above.
        let service = unsafe { (*scratch).service };
        return Err(Outcome::from_number(-opened as u32).of(service));
    }
    // By its index alone the entry could be another flow's: this one may have been evicted already.
    let identity = flow::place::<F>(&segment.key).identity;
    let entry = table::find_at(&Table::<F>::NEW, opened as u32, identity, &segment.key);
    let opened = entry.and_then(|entry| Some((entry, flow::read::<F>(&entry)?)));
    // SAFETY: as above.
    opened.ok_or(Outcome::from(DropReason::FlowRace).of(unsafe { (*scratch).service }))
}

/// Where the frame came from.
#[inline(always)]
pub(crate) fn origin(frame: &Frame) -> Origin {
    // SAFETY: every frame here has an Ethernet header.
    unsafe {
        Origin {
            mac_head: frame.load(6),
            mac_tail: frame.load(10),
            ifindex: frame.ifindex as u16,
        }
    }
}

/// The out-of-line half of [`open`]. Not negative: the forward entry's index; negative: an
/// [`Outcome`]'s number.
///
/// Each step is a function of its own, and what one leaves for the next is in the scratch: the
/// stack of a BPF program and all that it calls is 512 bytes.
#[inline(always)]
pub(crate) fn run<F: Family>() -> i64 {
    let now = now();
    // A SYN that moves its flow to another server is not a new client's.
    let left = use_redispatch() != 0 && (F::CALLS.leave)(now) != 0;
    let known = admitted() || left;
    let chosen = (F::CALLS.choose)();
    if chosen < 0 {
        return chosen;
    }
    if !known && must_prove::<F>() {
        give_back();
        return -(DropReason::Challenged as i64);
    }
    match make::<F>(now) {
        Ok(forward) => forward as i64,
        Err(instead) => {
            give_back();
            instead
        }
    }
}

/// Whether the SYN in the scratch has passed the challenge; asked once.
#[inline(always)]
fn admitted() -> bool {
    // SAFETY: this processor's map value.
    scratch().is_some_and(|scratch| unsafe { core::mem::replace(&mut (*scratch).admitted, 0) != 0 })
}

/// Whether the server chosen for the SYN in the scratch is pressed.
#[inline(always)]
fn must_prove<F: Family>() -> bool {
    // SAFETY: as above.
    scratch().is_some_and(|scratch| pressed::<F>(unsafe { (*scratch).real }))
}

/// Makes the flow's entries, for which a place on its server has been taken. If that fails it gives
/// what [`run`] shall.
#[inline(always)]
fn make<F: Family>(now: u32) -> Result<u32, i64> {
    let forward = match claim_forward::<F>(now) {
        Claim::Taken(index) => index,
        // Another processor opened it between our look and our claim.
        Claim::Exists(index) => return Err(index as i64),
        Claim::Race => return Err(-(DropReason::FlowRace as i64)),
        Claim::Full => return Err(-(DropReason::FlowTableFull as i64)),
    };
    let reply = (F::CALLS.claim_port)(now);
    if reply >= 0 {
        (F::CALLS.write_entries)(forward, reply as u32, now);
        return Ok(forward);
    }
    if let Some(claimed) = flow::entry::<F>(forward) {
        table::abandon(claimed.slot, claimed.word);
    }
    Err(reply)
}

/// Gives back the place on the chosen server that no flow came of.
#[inline(always)]
fn give_back() {
    if let Some(scratch) = scratch() {
        // SAFETY: this processor's map value.
        flow::count(unsafe { (*scratch).member }, 0, -1, 0);
    }
}

/// Claims the forward entry; a flow with the same key that is over makes way.
#[inline(always)]
fn claim_forward<F: Family>(now: u32) -> Claim {
    let Some(scratch) = scratch() else {
        return Claim::Full;
    };
    // SAFETY: this processor's map value.
    let (key, isn) = unsafe {
        let keys = F::keys(scratch);
        (*keys).probe = (*keys).segment;
        (&(*keys).probe, (*scratch).seq)
    };
    let claim = decode((F::CALLS.claim)(now));
    let Claim::Exists(index) = claim else {
        return claim;
    };
    let identity = flow::place::<F>(key).identity;
    match table::find_at(&Table::<F>::NEW, index, identity, key) {
        Some(entry) if flow::makes_way::<F>(&entry, isn, now) => {
            (F::CALLS.release)(index, entry.word.0);
            decode((F::CALLS.claim)(now))
        }
        _ => claim,
    }
}

/// Claims a reply entry, and by that a source address and port that nobody else has towards the
/// chosen server; its key is left in the scratch's probe. Not negative: its index; negative: an
/// [`Outcome`]'s number.
///
/// Each processor goes through the ports of its own residue in turn: processors do not compete, and
/// a port that comes up again is the one that this processor used longest ago. Clients that keep
/// pools of connections make long rows of taken ports: after [`ROW_TRIES`] the search goes on at
/// random, over all ports, and so will the next one from there.
#[inline(always)]
pub(crate) fn claim_port<F: Family>(now: u32) -> i64 {
    const BUG: i64 = -(DropReason::BadRing as i64);
    let Some(scratch) = scratch() else {
        return BUG;
    };
    // SAFETY: this processor's map value.
    let (real_id, isn) = unsafe { ((*scratch).real as u32, (*scratch).seq) };
    let (Some(real), Some(cursor)) = (REALS.get(real_id), PORT_CURSORS.get_ptr_mut(real_id)) else {
        return BUG;
    };
    // SAFETY: this processor's map value.
    let mut turn = unsafe { *cursor };
    if turn == 0 {
        // SAFETY: no preconditions. The first port is a random one, so that a restarted agent does
        // not start with the ports that servers remember best.
        turn = unsafe { bpf_get_prandom_u32() } & 0xffff;
    }
    let sources = real.snat_count;
    let mut result = -(DropReason::NoSourcePort as i64);
    let mut tries = 0;
    while tries < PORT_TRIES {
        turn = if tries < ROW_TRIES {
            turn.wrapping_add(1)
        } else {
            // SAFETY: no preconditions.
            unsafe { bpf_get_prandom_u32() }
        };
        tries += 1;
        let Some(source) = SNAT.get(real.snat_base.wrapping_add(cycle(turn, sources))) else {
            break;
        };
        let turn_of_source = turn.checked_div(sources).unwrap_or(0);
        let port = if tries <= ROW_TRIES {
            port_in_turn(source, turn_of_source)
        } else {
            port_of(source, turn_of_source)
        };
        // SAFETY: this processor's map value.
        unsafe {
            let probe = &raw mut (*F::keys(scratch)).probe;
            (*probe).src = F::from_mapped(real.addr);
            (*probe).dst = F::from_mapped(source.addr);
            (*probe).ports = ports(real.port, port.to_be());
        }
        let mut claim = decode((F::CALLS.claim)(now));
        if let Claim::Exists(reply) = claim
            && make_way::<F>(reply, isn, tries <= POLITE_TRIES)
        {
            claim = decode((F::CALLS.claim)(now));
        }
        match claim {
            Claim::Taken(index) => {
                result = index as i64;
                break;
            }
            Claim::Full => {
                result = -(DropReason::FlowTableFull as i64);
                break;
            }
            Claim::Exists(_) | Claim::Race => {}
        }
    }
    // SAFETY: as above.
    unsafe { *cursor = turn };
    result
}

/// The port of a source that is at this processor's `turn`: of the ports that leave this
/// processor's number when divided by the number of processors, one after the other.
#[inline(always)]
fn port_in_turn(source: &SnatSource, turn: u32) -> u16 {
    // SAFETY: no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let number = turn.wrapping_mul(cpus()).wrapping_add(cycle(cpu, cpus()));
    port_of(source, number)
}

/// The port with this number of a source's, modulo how many it has.
#[inline(always)]
fn port_of(source: &SnatSource, number: u32) -> u16 {
    let range = source.port_high.wrapping_sub(source.port_low) as u32 + 1;
    source.port_low.wrapping_add(cycle(number, range) as u16)
}

/// `turn` modulo `length`, or 0 for length 0: a remainder that could panic would leave the panic's
/// code in the program, which the verifier refuses.
#[inline(always)]
pub(crate) const fn cycle(turn: u32, length: u32) -> u32 {
    match turn.checked_rem(length) {
        Some(rest) => rest,
        None => 0,
    }
}

/// Releases the flow that owns the reply entry at `reply` if it is closed, so that its port can be
/// used again.
#[inline(always)]
fn make_way<F: Family>(reply: u32, isn: u32, polite: bool) -> bool {
    let Some(slot) = Table::<F>::slot(reply) else {
        return false;
    };
    // SAFETY: a map value.
    let owner = unsafe { addr_of!((*slot.pointer()).twin).read_volatile() };
    let Some(closed) = flow::entry::<F>(owner) else {
        return false;
    };
    // SAFETY: a map value.
    let owned = unsafe { addr_of!((*closed.slot.pointer()).twin).read_volatile() } == reply;
    if !owned || !closed.word.state().is_over() {
        return false;
    }
    if polite {
        // SAFETY: a map value.
        let last = unsafe { addr_of!((*closed.slot.pointer()).seq).read_volatile() };
        if (isn.wrapping_sub(last) as i32) <= 0 {
            return false;
        }
    }
    (F::CALLS.release)(owner, closed.word.0) != 0
}

/// Fills and publishes both claimed entries, the reply entry first: its key is in the probe.
#[inline(always)]
pub(crate) fn write_entries<F: Family>(forward: u32, reply: u32, now: u32) -> u32 {
    let (Some(forward_slot), Some(reply_slot), Some(scratch)) = (
        Table::<F>::slot(forward),
        Table::<F>::slot(reply),
        scratch(),
    ) else {
        return 0;
    };
    // SAFETY: this processor's map value.
    let (key, reply_key, seq, origin, tried, member, real) = unsafe {
        (
            (*F::keys(scratch)).segment,
            (*F::keys(scratch)).probe,
            (*scratch).seq,
            (*scratch).origin,
            (*scratch).tried,
            (*scratch).member,
            (*scratch).real,
        )
    };
    account::begin::<F>(forward, reply);
    let entry = |from: FlowKey<F::Addr>, to: FlowKey<F::Addr>, twin, seq, ack| {
        let (l3_delta, l4_delta) = deltas(&from, &to);
        Slot {
            word: 0,
            src: from.src,
            dst: from.dst,
            new_src: to.src,
            new_dst: to.dst,
            ports: from.ports,
            new_ports: to.ports,
            twin,
            l3_delta,
            l4_delta,
            member,
            real,
            origin,
            seen: now,
            seq,
            ack,
        }
    };
    let back = entry(reply_key, key.reversed(), forward, 0, 0);
    table::publish(reply_slot, &back, State::Reply);
    // Its place was taken when it was chosen.
    flow::count(member, 1, 0, 0);
    (F::CALLS.load)(real as u32, 0, 1);
    if let Some(counts) = COUNTS.get_ptr_mut(member as u32) {
        // SAFETY: a map value.
        unsafe { add(&raw mut (*counts).opened_total, 1) };
    }
    let out = entry(key, reply_key.reversed(), reply, seq.wrapping_add(1), tried);
    table::publish(forward_slot, &out, State::HalfOpen);
    0
}

/// Corrections of the network and transport checksum when `from` becomes `to`.
#[inline(always)]
fn deltas<A: Address>(from: &FlowKey<A>, to: &FlowKey<A>) -> (u16, u16) {
    let l3 = csum::delta(from.src.sum() + from.dst.sum(), to.src.sum() + to.dst.sum());
    let ports = csum::delta(from.ports as u64, to.ports as u64);
    (l3, csum::combine(l3, ports))
}

/// Chooses the server for the segment in the scratch and leaves it there. Zero, or negative: an
/// [`Outcome`]'s number.
#[inline(always)]
pub(crate) fn choose<F: Family>() -> i64 {
    let Some(scratch) = scratch() else {
        return -(DropReason::BadRing as i64);
    };
    // SAFETY: this processor's map value.
    let selected = unsafe {
        let service = &mut (*scratch).service;
        select::<F>(
            &(*F::keys(scratch)).segment,
            (*scratch).flags as u8,
            service,
        )
    };
    match selected {
        Ok(choice) => {
            // SAFETY: as above.
            unsafe {
                (*scratch).member = choice.member;
                (*scratch).real = choice.real;
            }
            0
        }
        Err(outcome) => -(outcome.number() as i64),
    }
}
