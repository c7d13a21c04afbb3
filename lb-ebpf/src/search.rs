//! Which slot of a service's ring has a server for a new flow.

use aya_ebpf::helpers::generated::bpf_get_prandom_u32;
use lb_common::flow::{FlowKey, Tried};
use lb_common::hash;
use lb_common::service::{Pick, SEARCH, Service};

use crate::family::Family;
use crate::flow::add;
use crate::gauge;
use crate::maps::{MEMBERS, RING, TURNS};

use crate::scratch::scratch;

const PROTOCOL_TCP: u8 = 6;

/// What the search wants.
const ROOM: u32 = 0;
const FEWEST: u32 = 1;

/// A slot of the service's ring, below its length, whose server has room and was not tried before.
#[inline(always)]
pub(crate) fn pick<F: Family>(service: &Service, key: &FlowKey<F::Addr>) -> Option<u32> {
    let len = service.ring_len;
    let search = |start, what| {
        let index = (F::CALLS.search)(service.ring_base, len, start, what);
        (index >= 0).then_some(index as u32)
    };
    match Pick::from_u8(service.pick) {
        Pick::Next => search(cycle64(turn(service)?, len), ROOM),
        Pick::HashTuple => {
            let hash = hash::ring_tuple(key.src, key.dst, key.ports, PROTOCOL_TCP);
            search(hash::reduce(hash, len), ROOM)
        }
        Pick::HashSource => search(hash::reduce(hash::ring_source(key.src), len), ROOM),
        Pick::Random => search(hash::reduce(random(), len), ROOM),
        // Where servers are even, each turn prefers another; and in a ring that is too long to be
        // searched whole, each turn goes on where the last one stopped.
        Pick::LeastFlows => {
            let turn = turn(service)?;
            let stride = if len <= SEARCH { 1 } else { SEARCH as u64 };
            search(cycle64(turn.wrapping_mul(stride), len), FEWEST)
        }
        Pick::First => first(service, search),
    }
}

/// The first slot with room. Of a ring that is too long to be searched whole, the first [`SEARCH`]
/// slots always are; beyond, the search starts where it last found room, and a look at a random
/// place before that finds what has become free there.
#[inline(always)]
fn first(service: &Service, search: impl Fn(u32, u32) -> Option<u32>) -> Option<u32> {
    let found = search(0, ROOM);
    let len = service.ring_len;
    if found.is_some() || len <= SEARCH {
        return found;
    }
    let hint = TURNS.get_ptr_mut(service.id as u32)?;
    // SAFETY: a map value. It may be anything: a ring of another length may have been here.
    let last = unsafe { hint.read_volatile() } as u32;
    let last = if last < SEARCH || last >= len {
        SEARCH
    } else {
        last
    };
    let before = hash::reduce(random(), last - SEARCH);
    if let Some(found) = search(SEARCH + before, ROOM)
        && found < last
    {
        return Some(found);
    }
    let found = search(last, ROOM);
    // SAFETY: a map value.
    unsafe { hint.write_volatile(found.unwrap_or(last + SEARCH) as u64) };
    found
}

/// What a search has found so far. Kept out of registers, or the verifier would follow each slot's
/// way through the loop by itself.
#[repr(C)]
pub(crate) struct Best {
    /// Of the server with the fewest flows for its weight: its flows and one more,
    load: u64,
    /// its weight,
    weight: u64,
    /// and its slot of the ring.
    index: u32,
    /// Not zero once there is one.
    found: u32,
}

/// Looks at up to [`SEARCH`] slots from `start` (below `len`) on, all around. Not negative: the index of the first
/// whose server has room, or of the one whose server has the fewest flows for its weight.
#[inline(always)]
pub(crate) fn run<F: Family>(base: u32, len: u32, start: u32, what: u32) -> i64 {
    const NONE: i64 = -1;
    let Some(scratch) = scratch() else {
        return NONE;
    };
    // SAFETY: this processor's map value.
    unsafe { (*scratch).best.found = 0 };
    let mut i = 0;
    while i < SEARCH {
        if i >= len {
            break;
        }
        if (F::CALLS.look)(base, len, start.wrapping_add(i), what) != 0 {
            break;
        }
        i += 1;
    }
    // SAFETY: as above.
    unsafe {
        if (*scratch).best.found == 0 {
            return NONE;
        }
        (*scratch).best.index as i64
    }
}

/// Looks at slot `number` of a ring, all around; not zero: its server has room, and that is all that
/// is wanted.
#[inline(always)]
pub(crate) fn look(base: u32, len: u32, number: u32, what: u32) -> u32 {
    let index = if number < len {
        number
    } else {
        number.wrapping_sub(len)
    };
    let Some(scratch) = scratch() else {
        return 1;
    };
    // SAFETY: this processor's map value.
    let best = unsafe { &mut (*scratch).best };
    let found = RING.get(base.wrapping_add(index));
    let found = found.and_then(|&id| Some((id, MEMBERS.get(id)?)));
    let Some((id, member)) = found else {
        // Whoever takes this slot says what is wrong with it.
        best.index = index;
        best.found = 1;
        return 1;
    };
    // SAFETY: this processor's map value.
    let (tried, left) = unsafe { (Tried((*scratch).tried), (*scratch).left) };
    if id == left as u32 || tried.contains(id as u16) {
        return 0;
    }
    let flows = gauge::read(member.gauge);
    if gauge::full(member, flows) {
        return 0;
    }
    if what == ROOM {
        best.index = index;
        best.found = 1;
        return 1;
    }
    // (flows + 1) / weight, compared without dividing: neither product comes near 2^64.
    let load = (flows & 0xffff_ffff) + 1;
    let weight = member.weight as u64;
    if weight != 0 && (best.found == 0 || load * best.weight < best.load * weight) {
        *best = Best {
            load,
            weight,
            index,
            found: 1,
        };
    }
    0
}

/// Forgets which servers were tried before; `false`: none were.
#[inline(always)]
pub(crate) fn forgive() -> bool {
    let Some(scratch) = scratch() else {
        return false;
    };
    // SAFETY: this processor's map value.
    unsafe {
        let tried = (*scratch).tried != 0;
        (*scratch).tried = 0;
        (*scratch).left = 0;
        tried
    }
}

/// One counter for all processors: in turn means in turn.
#[inline(always)]
fn turn(service: &Service) -> Option<u64> {
    let turn = TURNS.get_ptr_mut(service.id as u32)?;
    // SAFETY: a map value.
    Some(unsafe { add(turn, 1) })
}

#[inline(always)]
fn random() -> u32 {
    // SAFETY: no preconditions.
    unsafe { bpf_get_prandom_u32() }
}

/// A turn modulo a length, or 0 for length 0.
#[inline(always)]
fn cycle64(turn: u64, length: u32) -> u32 {
    turn.checked_rem(length as u64).unwrap_or(0) as u32
}
