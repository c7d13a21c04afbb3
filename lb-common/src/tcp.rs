//! How TCP segments move a flow's state.
//!
//! Only segments with SYN, FIN or RST, and those of a flow that is not yet open, come here: an open
//! flow's other segments change nothing but positions and time.

use crate::flow::State;
use crate::time;

/// TCP header flags (RFC 9293, section 3.1), the header's byte 13.
pub const FIN: u8 = 0x01;
/// Synchronize sequence numbers.
pub const SYN: u8 = 0x02;
/// Reset the connection.
pub const RST: u8 = 0x04;
/// Acknowledgment field is significant.
pub const ACK: u8 = 0x10;

/// Farthest that one segment may move a direction's position: larger steps are not believed. Twice
/// the largest receive window that Linux grants by default (6 MB), rounded up to a power of two.
pub const WINDOW: u32 = 1 << 24;

/// Which way a segment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    Forward,
    /// From the server.
    Reply,
}

/// What of a segment bears on the state, judged against what the flow's entries recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Header flags.
    pub flags: u8,
    /// Its numbers are [`near`] those that its direction had last: whoever sent it sees the
    /// connection. A FIN counts only so.
    pub fits: bool,
    /// The segment acknowledges exactly what [`State::Answered`] waits for.
    pub proves: bool,
    /// A RST at the position that its receiver expects next (RFC 5961, section 3.2), or in answer
    /// to the SYN.
    pub exact: bool,
}

/// The state after `segment` went in `direction`.
#[inline(always)]
pub const fn next(state: State, direction: Direction, segment: Segment) -> State {
    let Segment {
        flags,
        fits,
        proves,
        exact,
    } = segment;
    if matches!(state, State::Refused) {
        // Only a SYN goes on from here, with a server of its own.
        return state;
    }
    if flags & RST != 0 {
        return match (state, direction) {
            // A client's RST before it has proved itself may be anyone's.
            (State::HalfOpen | State::Answered, Direction::Forward) => state,
            _ if exact => State::Reset,
            _ => state,
        };
    }
    if flags & SYN != 0 {
        return match (state, direction) {
            (State::HalfOpen, Direction::Reply) if flags & ACK != 0 => State::Answered,
            _ => state,
        };
    }
    let state = match (state, direction) {
        (State::Answered, Direction::Forward) if proves => State::Open,
        _ => state,
    };
    if flags & FIN == 0 || !fits {
        return state;
    }
    match (state, direction) {
        (State::Open, Direction::Forward) => State::ClientFin,
        (State::Open, Direction::Reply) => State::ServerFin,
        (State::ServerFin, Direction::Forward) | (State::ClientFin, Direction::Reply) => {
            State::Closed
        }
        _ => state,
    }
}

/// Ticks after which a client whose SYN was answered has either gone on or given up: the handshake
/// takes one round trip.
pub const GIVEN_UP: u32 = time::ticks(1) / 2;

/// Whether a client's SYN with sequence number `isn` begins a connection of its own, where a flow
/// in `state` has its ports: `position` is the end of what the client has sent there, `quiet` for
/// how many ticks it has sent nothing.
///
/// The SYN of a flow that is not open yet comes again with the number it had: with another, the
/// client has given up and uses its port again, and the server that has not answered is perhaps
/// dead. A flow that was answered is nearly open, though, and not at the mercy of anybody's SYN as
/// long as the client may be going on.
#[inline(always)]
pub const fn begins_anew(state: State, position: u32, isn: u32, quiet: u32) -> bool {
    match state {
        state if state.is_over() => true,
        State::HalfOpen => !repeats(position, isn),
        State::Answered => !repeats(position, isn) && quiet >= GIVEN_UP,
        _ => false,
    }
}

/// Whether a SYN with sequence number `isn` is the one that moved the client to `position`: that
/// may lie beyond data that the SYN carried (RFC 7413), which comes again without it.
#[inline(always)]
pub const fn repeats(position: u32, isn: u32) -> bool {
    position.wrapping_sub(isn).wrapping_sub(1) <= u16::MAX as u32
}

/// Whether a number is at most [`WINDOW`] from the recorded one, either way. One in 128 random
/// numbers is.
#[inline(always)]
pub const fn near(recorded: u32, seen: u32) -> bool {
    seen.wrapping_sub(recorded).wrapping_add(WINDOW) <= 2 * WINDOW
}

/// A recorded position after a segment that ends at (or acknowledges) `seen`: forward only, and not
/// farther than [`WINDOW`] at once.
#[inline(always)]
pub const fn advance(recorded: u32, seen: u32) -> u32 {
    let step = seen.wrapping_sub(recorded);
    if step.wrapping_sub(1) < WINDOW {
        seen
    } else {
        recorded
    }
}

#[cfg(test)]
mod tests;
