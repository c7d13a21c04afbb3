//! The program that a SYN comes to when unproved flows hold more than their share, and a RST that
//! belongs to no flow. How the challenge works is in `lb_common::challenge`.

use aya_ebpf::programs::XdpContext;
use lb_common::challenge::{self, Memory, PROOFS, Proof, Seen, When};
use lb_common::hash;
use lb_common::load::{Load, table_capacity};
use lb_common::map::{PROOF_LINES, SYNS_MAX, Stage};
use lb_common::tcp;
use lb_common::time;
use lb_common::verdict::DropReason;

use crate::family::Family;
use crate::flow::now;
use crate::frame::Frame;
use crate::maps::{self, REAL_LOADS, REALS, SYNS, TABLE_LOADS, cookie_key, cpus};
use crate::parse::{self, Segment};
use crate::refuse;
use crate::scratch::scratch;
use crate::verdict::{self, Outcome};

/// A RST that proves nothing is a bad proof, and not just a stray one, for so long after a challenge.
const ANSWERS_COME: u32 = time::ticks(20);

/// Whether a new client of this server must prove that it is there.
#[inline(always)]
pub(crate) fn pressed<F: Family>(real: u16) -> bool {
    match maps::challenge() {
        when if when == When::Pressed as u32 => {
            load(TABLE_LOADS.get_ptr_mut(F::TABLE)).pressed(table_capacity(F::buckets()))
                || ports_pressed(real)
        }
        when => when == When::Always as u32,
    }
}

/// Whether a segment that opens no flow goes on in the program of this file.
#[inline(always)]
pub(crate) fn concerns(outcome: Outcome, flags: u8) -> bool {
    let bare_rst = flags & (tcp::SYN | tcp::ACK | tcp::FIN | tcp::RST) == tcp::RST;
    outcome.challenges()
        || (outcome.is_stray() && bare_rst && maps::challenge() != When::Never as u32)
}

/// Whether unproved flows hold more than their share of the source ports towards a server.
#[inline(always)]
fn ports_pressed(real: u16) -> bool {
    match REALS.get(real as u32) {
        Some(server) if server.ports != 0 => {
            load(REAL_LOADS.get_ptr_mut(real as u32)).pressed(server.ports as u64)
        }
        _ => false,
    }
}

#[inline(always)]
fn load(load: Option<*mut Load>) -> Load {
    match load {
        // SAFETY: a map value.
        Some(load) => unsafe {
            Load {
                open: (&raw const (*load).open).read_volatile(),
                unproved: (&raw const (*load).unproved).read_volatile(),
            }
        },
        None => Load::default(),
    }
}

/// A SYN from an unproved source is challenged, one that may pass goes on to be opened; a RST may
/// be a proof. What service it is for was left in the scratch by the program before.
#[inline(always)]
pub(crate) fn challenge<F: Family>(ctx: &XdpContext, frame: &Frame) -> Result<u32, Outcome> {
    let segment = parse::segment::<F>(frame)?;
    let Some(scratch) = scratch() else {
        return Err(DropReason::BadRing.into());
    };
    // SAFETY: this processor's map value.
    let service = unsafe {
        (*F::keys(scratch)).segment = segment.key;
        (*scratch).seq = segment.seq;
        (*scratch).service
    };
    let now = now();
    if segment.flags & tcp::RST != 0 {
        // SAFETY: as above.
        let challenged = unsafe { (*scratch).challenged };
        let reason = if (F::CALLS.prove)(now) != 0 {
            DropReason::Proof
        } else if challenged != 0 && time::since(now, challenged) < ANSWERS_COME {
            DropReason::BadProof
        } else {
            DropReason::NoFlow
        };
        return Err(Outcome::from(reason).of(service));
    }
    if (F::CALLS.admit)(now) != 0 {
        // SAFETY: as above.
        unsafe { (*scratch).admitted = 1 };
        return verdict::continue_in(ctx, Stage::Open);
    }
    // SAFETY: as above.
    unsafe { (*scratch).challenged = now };
    Outcome::from(DropReason::Challenged).of(service).count();
    Ok(answer(frame, &segment, now))
}

/// Turns the SYN into the SYN-ACK that asks for a proof. It offers no window: the connection that it
/// seems to belong to never is.
#[inline(always)]
fn answer<F: Family>(frame: &Frame, segment: &Segment<F>, now: u32) -> u32 {
    let cookie = challenge::cookie(cookie_key(), &segment.key, now, segment.seq);
    refuse::answer(frame, segment, 0, cookie, tcp::SYN | tcp::ACK)
}

/// Whether the SYN in the scratch may open a flow: its source has proved itself, or it comes again.
#[inline(always)]
pub(crate) fn admit<F: Family>(now: u32) -> u32 {
    let Some(scratch) = scratch() else {
        return 0;
    };
    // SAFETY: this processor's map value.
    let (key, isn) = unsafe { ((*F::keys(scratch)).segment, (*scratch).seq) };
    if spend(challenge::source(cookie_key(), key.src), now) {
        return 1;
    }
    comes_again(
        challenge::syn(cookie_key(), &key, isn),
        now,
        challenge::repeats_allowed(F::buckets(), cpus()),
    ) as u32
}

/// Takes a connection off a source's proof, if it has a good one.
#[inline(always)]
fn spend(source: u64, now: u32) -> bool {
    let Some(line) = line(source) else {
        return false;
    };
    let mut i = 0;
    while i < PROOFS as usize {
        let place = line.wrapping_add(i);
        // SAFETY: within the line.
        let proof = Proof(unsafe { place.read_volatile() });
        if proof.is_of(source) {
            let Some(rest) = proof.spend(now) else {
                return false;
            };
            // Another processor may have spent as well, or have put a new proof here: then this
            // connection is not taken off.
            // SAFETY: as above.
            unsafe { crate::flow::compare_exchange(place, proof.0, rest.0) };
            return true;
        }
        i += 1;
    }
    false
}

/// Whether a SYN comes again as a client's does, and there is still room for such. A new one is
/// remembered.
#[inline(always)]
fn comes_again(syn: u64, now: u32, allowed: u32) -> bool {
    let (Some(place), Some(scratch)) = (
        SYNS.get_ptr_mut(hash::reduce((syn >> 32) as u32, SYNS_MAX)),
        scratch(),
    ) else {
        return false;
    };
    // SAFETY: map values.
    unsafe {
        match Memory(place.read_volatile()).look(syn, now) {
            Seen::New(memory) => {
                place.write_volatile(memory.0);
                false
            }
            Seen::Known => false,
            Seen::Again => {
                let second = now >> 10;
                if (*scratch).repeat_second != second {
                    (*scratch).repeat_second = second;
                    (*scratch).repeats = 0;
                }
                (*scratch).repeats += 1;
                (*scratch).repeats <= allowed
            }
        }
    }
}

/// Whether the RST in the scratch carries its flow's cookie: its source has proved itself then, which
/// is noted.
#[inline(always)]
pub(crate) fn prove<F: Family>(now: u32) -> u32 {
    let Some(scratch) = scratch() else {
        return 0;
    };
    // SAFETY: this processor's map value.
    let (key, seq) = unsafe { ((*F::keys(scratch)).segment, (*scratch).seq) };
    if !challenge::proves(cookie_key(), &key, now, seq) {
        return 0;
    }
    let source = challenge::source(cookie_key(), key.src);
    let Some(line) = line(source) else {
        return 0;
    };
    // SAFETY: within the line.
    let at = |i: usize| Proof(unsafe { line.wrapping_add(i & 7).read_volatile() });
    let mut best = 0;
    let mut i = 1;
    while i < PROOFS as usize {
        if challenge::choose(at(best), at(i), source, now) {
            best = i;
        }
        i += 1;
    }
    // Of two processors that choose one place the later has it: the other's client is challenged
    // once more.
    // SAFETY: as above.
    unsafe {
        line.wrapping_add(best & 7)
            .write_volatile(Proof::new(source, now).0)
    };
    1
}

/// The places where a source's proof may stand.
#[inline(always)]
fn line(source: u64) -> Option<*mut u64> {
    let line = hash::reduce((source >> 32) as u32, PROOF_LINES);
    maps::PROOFS.get_ptr_mut(line).map(|line| line.cast())
}
