//! Flows whose server does not take them: they move on to another one.
//!
//! Only the client can repeat its SYN with all its options, so a flow moves when it does, about a
//! second later: the server's refusal is kept from the client, and what the flow's entry says is
//! which members not to try again.

use lb_common::flow::{State, Tried};
use lb_common::table::{self, Entry};
use lb_common::{tcp, time};

use crate::family::{Family, Table};
use crate::flow::{self, Found, add};
use crate::maps::{COUNTS, MEMBERS, use_redispatch};
use crate::parse::Segment;
use crate::scratch::scratch;

/// Whether a member's flow that has left those in `tried` may move on.
#[inline(always)]
pub(crate) fn may_move(member: u16, tried: Tried) -> bool {
    use_redispatch() != 0
        && MEMBERS
            .get(member as u32)
            .is_some_and(|member| tried.count() < member.redispatches)
}

/// Counts a SYN that a member did not take.
#[inline(always)]
pub(crate) fn count_failure(member: u16) {
    if let Some(counts) = COUNTS.get_ptr_mut(member as u32) {
        // SAFETY: a map value.
        unsafe { add(&raw mut (*counts).failed_total, 1) };
    }
}

/// Whether the client repeats a SYN that its server has left unanswered, and the flow may go to
/// another server for that. One with another sequence number is another connection, or somebody
/// else's.
#[inline(always)]
pub(crate) fn unanswered<F: Family>(
    segment: &Segment<F>,
    entry: &Entry<F::Addr>,
    found: &Found<F>,
) -> bool {
    use_redispatch() != 0
        && matches!(found.state, State::HalfOpen)
        && repeated::<F>(entry, segment.seq, flow::now())
        && may_leave(found.member)
}

#[inline(always)]
fn repeated<F: Family>(entry: &Entry<F::Addr>, isn: u32, now: u32) -> bool {
    let slot = entry.slot.pointer();
    // SAFETY: a map value.
    let (seq, seen) = unsafe {
        (
            (&raw const (*slot).seq).read_volatile(),
            (&raw const (*slot).seen).read_volatile(),
        )
    };
    // Sooner than that it was duplicated on its way.
    tcp::repeats(seq, isn) && time::since(now, seen) >= tcp::GIVEN_UP
}

/// A server that is silent is left as often as the client asks: there is nothing to tell it.
#[inline(always)]
fn may_leave(member: u16) -> bool {
    MEMBERS
        .get(member as u32)
        .is_some_and(|member| member.redispatches != 0)
}

/// Before a server is chosen for the SYN in the scratch: if its flow is there because it was refused
/// or not answered, notes in the scratch which members not to choose. The flow is over then, and
/// makes way like any other that is.
#[inline(always)]
pub(crate) fn leave<F: Family>(now: u32) -> u32 {
    let Some(scratch) = scratch() else {
        return 0;
    };
    // SAFETY: this processor's map value.
    let (key, isn) = unsafe { ((*F::keys(scratch)).segment, (*scratch).seq) };
    let place = flow::place::<F>(&key);
    // SAFETY: as above.
    unsafe { (*F::keys(scratch)).probe = key };
    let mut index = (F::CALLS.find)(place.first, place.identity);
    if index < 0 {
        index = (F::CALLS.find)(place.second, place.identity);
    }
    if index < 0 {
        return 0;
    }
    let Some(entry) = table::find_at(&Table::<F>::NEW, index as u32, place.identity, &key) else {
        return 0;
    };
    let slot = entry.slot.pointer();
    // SAFETY: a map value.
    let (member, tried) = unsafe {
        (
            (&raw const (*slot).member).read_volatile(),
            Tried((&raw const (*slot).ack).read_volatile()),
        )
    };
    let left = match entry.word.state() {
        State::Refused => true,
        State::HalfOpen if repeated::<F>(&entry, isn, now) && may_leave(member) => {
            let left = table::transition(&Table::<F>::NEW, entry.slot, entry.word, State::Refused);
            if left {
                count_failure(member);
            }
            left
        }
        _ => false,
    };
    if left {
        // SAFETY: this processor's map value.
        unsafe {
            (*scratch).tried = tried.and(member).0;
            // The oldest of three: too many for the new entry, and not for this search.
            (*scratch).left = (tried.0 >> 16) as u16;
        }
    }
    left as u32
}
