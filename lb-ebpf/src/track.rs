//! Stage 6: what a segment says about its flow. The states' rules are in `lb_common::tcp`.

use core::ptr::{addr_of, addr_of_mut};

use lb_common::flow::{State, Tried, Word};
use lb_common::table::{self, Entry, SlotRef};
use lb_common::tcp::{self, Direction};
use lb_common::verdict::DropReason;

use crate::account;
use crate::family::{Family, Table};
use crate::flow::{Found, now};
use crate::frame::Frame;
use crate::limit;
use crate::open::origin;
use crate::parse::Segment;
use crate::redispatch;
use crate::report;
use crate::stick;
use crate::verdict::Outcome;

/// Reads a field of a slot.
macro_rules! read {
    ($slot:expr, $field:ident) => {
        // SAFETY: a map value.
        unsafe { addr_of!((*$slot.pointer()).$field).read_volatile() }
    };
}

/// Writes a field of a slot.
macro_rules! write {
    ($slot:expr, $field:ident, $value:expr) => {
        let value = $value;
        // SAFETY: a map value.
        unsafe { addr_of_mut!((*$slot.pointer()).$field).write_volatile(value) };
    };
}

/// Notes the segment in its entry. Segments that bear on the flow's state, and clients that moved,
/// go out of line.
///
/// Writes to positions and time are not guarded: should the slot change hands at this moment, the
/// new flow starts with a time that is right and a position that its next segment corrects.
#[inline(always)]
pub(crate) fn track<F: Family>(
    frame: &Frame,
    segment: &Segment<F>,
    entry: &Entry<F::Addr>,
    found: &Found<F>,
) -> Result<(), Outcome> {
    account::count::<F>(entry.index, segment);
    let slot = entry.slot;
    let reply = matches!(found.state, State::Reply);
    let now = now();
    // Written only when they change: an entry that is only read stays shared between processors.
    if read!(slot, seen) != now {
        write!(slot, seen, now);
    }
    let special = segment.flags & (tcp::SYN | tcp::FIN | tcp::RST) != 0;
    if special || !(reply || matches!(found.state, State::Open)) {
        let what = segment.flags as u32 | (reply as u32) << 8;
        let judged = (F::CALLS.judge)(entry.index, what, segment.seq, segment.ack, segment.end);
        if judged == WITHHELD {
            return Err(Outcome::from(DropReason::Withheld).of_member(found.member));
        }
    } else {
        let recorded = read!(slot, seq);
        let seq = tcp::advance(recorded, segment.end);
        if seq != recorded {
            write!(slot, seq, seq);
        }
        let recorded = read!(slot, ack);
        let ack = tcp::advance(recorded, segment.ack);
        if ack != recorded {
            write!(slot, ack, ack);
        }
    }
    if !reply {
        let from = origin(frame).pack();
        if from != found.origin && believed(segment, slot, found.state) {
            (F::CALLS.moved)(entry.index, from[0], from[1]);
        }
    }
    Ok(())
}

/// Whether a client's segment comes from somebody who sees the connection, so that replies may
/// follow it: else anyone who knows addresses and ports could send them astray.
#[inline(always)]
fn believed<F: Family>(segment: &Segment<F>, slot: SlotRef<F::Addr>, state: State) -> bool {
    let acknowledges = if segment.flags & tcp::ACK != 0 {
        tcp::near(read!(slot, ack), segment.ack)
    } else {
        matches!(state, State::HalfOpen | State::Answered)
    };
    acknowledges && tcp::near(read!(slot, seq), segment.seq)
}

/// Times a segment is judged anew because another processor moved the flow's state meanwhile.
const JUDGE_TRIES: u32 = 3;

/// What came of judging: the state was another by the time it was to be moved;
const LOST: u32 = 0;
/// the state is as the segment says;
const JUDGED: u32 = 1;
/// and the segment shall not be forwarded.
const WITHHELD: u32 = 2;

/// [`track`], out of line, for the entry at `index`: reads flags and direction from `what`, judges
/// the segment against what both entries recorded, and moves the flow's state.
#[inline(always)]
pub(crate) fn judge<F: Family>(index: u32, what: u32, seq: u32, ack: u32, end: u32) -> u32 {
    let mut tries = 0;
    while tries < JUDGE_TRIES {
        let judged = judge_once::<F>(index, what, seq, ack, end);
        if judged != LOST {
            return judged;
        }
        tries += 1;
    }
    LOST
}

/// One try.
#[inline(always)]
fn judge_once<F: Family>(index: u32, what: u32, seq: u32, ack: u32, end: u32) -> u32 {
    let Some(own) = Table::<F>::slot(index) else {
        return JUDGED;
    };
    let Some(other) = Table::<F>::slot(read!(own, twin)) else {
        return JUDGED;
    };
    let flags = what as u8;
    let direction = if what >> 8 == 0 {
        Direction::Forward
    } else {
        Direction::Reply
    };
    let owner = match direction {
        Direction::Forward => own,
        Direction::Reply => other,
    };
    let word = Word(read!(owner, word));
    let state = word.state();
    if !state.is_forward() {
        return JUDGED;
    }
    let unproved = matches!(state, State::HalfOpen | State::Answered);
    let acks = flags & tcp::ACK != 0;
    let at_own_end = seq == read!(own, seq);
    let fits = acks && tcp::near(read!(own, seq), seq) && tcp::near(read!(own, ack), ack);
    let segment = match direction {
        Direction::Forward => tcp::Segment {
            flags,
            fits,
            proves: acks && matches!(state, State::Answered) && ack == read!(owner, ack),
            exact: at_own_end || seq == read!(other, ack),
        },
        Direction::Reply => tcp::Segment {
            flags,
            fits,
            proves: false,
            exact: if unproved {
                // In answer to the SYN, whose ISN + 1 is the forward entry's position.
                acks && ack == read!(owner, seq)
            } else {
                at_own_end || seq == read!(owner, ack)
            },
        },
    };
    let mut next = tcp::next(state, direction, segment);
    let refused = matches!((state, next), (State::HalfOpen, State::Reset));
    let member = read!(owner, member);
    if refused && redispatch::may_move(member, Tried(read!(owner, ack))) {
        next = State::Refused;
    }
    if flags & tcp::RST == 0 {
        let control = (flags & tcp::SYN != 0) as u32 + (flags & tcp::FIN != 0) as u32;
        let end = end.wrapping_add(control);
        let handshake = flags & tcp::SYN != 0;
        let forward = matches!(direction, Direction::Forward);
        if handshake && unproved && !(forward && !tcp::repeats(read!(own, seq), seq)) {
            write!(own, seq, end);
            if matches!(direction, Direction::Reply) {
                write!(own, ack, ack);
                write!(owner, ack, seq.wrapping_add(1));
            }
        } else if !handshake {
            write!(own, seq, tcp::advance(read!(own, seq), end));
            // Until the client has proved itself, this field holds what would prove it.
            if !unproved || matches!(direction, Direction::Reply) {
                write!(own, ack, tcp::advance(read!(own, ack), ack));
            }
        }
    }
    if !table::transition(&Table::<F>::NEW, owner, word, next) {
        return LOST;
    }
    if unproved && next.is_open() {
        limit::completed::<F>(read!(owner, member), read!(owner, src));
    }
    let forward = match direction {
        Direction::Forward => index,
        Direction::Reply => read!(own, twin),
    };
    report::moved::<F>(forward, word, next, direction);
    if refused {
        redispatch::count_failure(member);
    }
    if next.is_open() && !state.is_open() {
        stick::note::<F>(owner);
    }
    let answer = matches!(direction, Direction::Reply) && flags & tcp::RST != 0;
    if answer && matches!(next, State::Refused) {
        WITHHELD
    } else {
        JUDGED
    }
}

/// The client's packets of the flow at `index` now come from elsewhere: replies follow.
#[inline(always)]
pub(crate) fn moved<F: Family>(index: u32, head: u32, tail: u32) -> u32 {
    let Some(forward) = Table::<F>::slot(index) else {
        return 0;
    };
    let Some(reply) = Table::<F>::slot(read!(forward, twin)) else {
        return 0;
    };
    if read!(reply, twin) == index {
        write!(reply, origin, [head, tail]);
        write!(forward, origin, [head, tail]);
    }
    0
}
