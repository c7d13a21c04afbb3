//! What the data path tells of flows as it happens: records in a ring buffer ([`crate::map::EVENTS`]).
//!
//! A record is written only if the loader has asked for its kind ([`crate::map::EVENT_KINDS`]). When
//! the buffer is full the record is lost and counted ([`Tally::lost`]): forwarding never waits. Each
//! flow is told of once when it opens and once when it ends, by whoever moved its state word: there
//! is one winner, whatever happens at the same moment on other processors.

use crate::flow::State;
use crate::tcp::Direction;

/// Version of [`Event`], its first field: a reader skips records of another one.
pub const VERSION: u16 = 1;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The flow has become open: the client has proved that it is there.
    Opened = 1,
    /// The flow has ended: it was open, or its server refused it.
    Closed = 2,
}

impl Kind {
    /// Its bit in [`crate::map::EVENT_KINDS`].
    pub const fn bit(self) -> u32 {
        1 << self as u8
    }

    /// The kind that a number stands for.
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            1 => Some(Self::Opened),
            2 => Some(Self::Closed),
            _ => None,
        }
    }
}

/// Why a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// Not at all: it opened.
    None = 0,
    /// Both sides have sent FIN.
    Fin = 1,
    /// The client sent a RST.
    ClientReset = 2,
    /// The server sent a RST.
    ServerReset = 3,
    /// The server answered the SYN with a RST: the flow never was open.
    Refused = 4,
    /// Nothing came for its idle timeout.
    Idle = 5,
    /// It made room for another before its idle timeout.
    Evicted = 6,
    /// Its server is down, and the service says `on_down: reset`.
    ServerDown = 7,
    /// `lb flows reset`.
    Operator = 8,
}

impl Reason {
    /// All that a flow ends by.
    pub const ALL: [Self; 8] = [
        Self::Fin,
        Self::ClientReset,
        Self::ServerReset,
        Self::Refused,
        Self::Idle,
        Self::Evicted,
        Self::ServerDown,
        Self::Operator,
    ];

    /// The reason that a number stands for.
    pub fn from_u8(value: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == value)
    }

    /// The word by which the log knows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Fin => "fin",
            Self::ClientReset => "client_reset",
            Self::ServerReset => "server_reset",
            Self::Refused => "refused",
            Self::Idle => "idle",
            Self::Evicted => "evicted",
            Self::ServerDown => "server_down",
            Self::Operator => "operator",
        }
    }
}

/// What is to be told when a segment that went in `direction` has moved a flow from one state to
/// another.
#[inline(always)]
pub const fn of_segment(from: State, to: State, direction: Direction) -> Option<(Kind, Reason)> {
    if to.is_open() {
        return if from.is_open() {
            None
        } else {
            Some((Kind::Opened, Reason::None))
        };
    }
    match (from, to, direction) {
        (State::HalfOpen | State::Answered, State::Reset, Direction::Reply) => {
            Some((Kind::Closed, Reason::Refused))
        }
        (from, _, _) if !from.is_open() => None,
        (_, State::Reset, Direction::Forward) => Some((Kind::Closed, Reason::ClientReset)),
        (_, State::Reset, Direction::Reply) => Some((Kind::Closed, Reason::ServerReset)),
        _ => Some((Kind::Closed, Reason::Fin)),
    }
}

/// Packets and bytes of one direction of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Traffic {
    /// Bytes of payload. TCP's are counted by their place in the stream: what is sent again counts
    /// once, so this is what the receiver's application reads.
    pub bytes: u64,
    /// Packets, whatever they carry.
    pub packets: u64,
}

/// Value of [`crate::map::ACCOUNTS4`] and [`crate::map::ACCOUNTS6`], by index of the entry: what has
/// come in its direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(32))]
pub struct Account {
    /// Up to now.
    pub traffic: Traffic,
    /// TCP: sequence number of the first byte.
    pub base: u32,
    /// 1 when `base` is known: from the first segment on.
    pub begun: u32,
    /// Always zero.
    pub zero: u64,
}

/// One record. Addresses and ports are in network order, numbers in the host's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// [`VERSION`].
    pub version: u16,
    /// A [`Kind`].
    pub kind: u8,
    /// A [`Reason`].
    pub reason: u8,
    /// 4 or 6: which flow table.
    pub family: u8,
    /// IP protocol number.
    pub protocol: u8,
    /// Member id ([`crate::service::Member`]).
    pub member: u16,
    /// Real id ([`crate::service::Real`]).
    pub real: u16,
    /// Always zero.
    pub zero: u16,
    /// Index of the flow's forward entry.
    pub index: u32,
    /// That entry's generation: with the index, what tells this flow from every other for as long as
    /// the maps live (2^32 flows of one entry).
    pub generation: u32,
    /// The client's port, then that of the address it connected to, as in a header
    /// ([`crate::flow::ports`]).
    pub ports: u32,
    /// The port that the server sees as the client's, then the server's.
    pub new_ports: u32,
    /// Where the client's last packet came from ([`crate::flow::Origin`]).
    pub origin: [u32; 2],
    /// Always zero.
    pub zero2: u32,
    /// When it happened: `CLOCK_MONOTONIC` in ns.
    pub at: u64,
    /// When the flow's first packet came, likewise.
    pub started: u64,
    /// The client, IPv4 as IPv4-mapped; likewise the others.
    pub client: [u32; 4],
    /// What it connected to.
    pub vip: [u32; 4],
    /// What the server sees as the client.
    pub nat_source: [u32; 4],
    /// The server.
    pub server: [u32; 4],
    /// TCP: sequence number after the last byte sent, from the client and from the server.
    pub seq: [u32; 2],
    /// TCP: last acknowledgement sent, likewise.
    pub ack: [u32; 2],
    /// What went from the client to the server, and back; zero unless the program keeps accounts
    /// ([`crate::map::ACCOUNTING`]).
    pub traffic: [Traffic; 2],
}

/// Bytes that a record takes in the buffer: the kernel puts a header of 8 before each.
pub const SPACE: u64 = size_of::<Event>() as u64 + 8;

/// Bytes of the buffer when events are wanted: a reader may stand still for two seconds at 20,000
/// events a second. A power of two, as the kernel demands.
pub const BUFFER: u32 = 8 << 20;

/// Each time that so many more bytes wait in the buffer, its reader is woken: a power of two. Whoever
/// reads looks by itself every so often, so that fewer do not wait for ever; to wake it for each
/// would cost more than to write the record.
pub const WAKE: u64 = 256 << 10;

/// Value of [`crate::map::EVENT_TALLY`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Tally {
    /// Records written.
    pub written: u64,
    /// Records lost: the buffer was full, or the flow's entry was another's before it was read.
    pub lost: u64,
}

const _: () = {
    assert!(size_of::<Event>() == 168);
    assert!(size_of::<Account>() == 32);
    assert!(size_of::<Traffic>() == 16);
    assert!(size_of::<Tally>() == 16);
    assert!(core::mem::offset_of!(Event, at) == 40);
    assert!(WAKE.is_power_of_two() && BUFFER.is_power_of_two());
    assert!(WAKE > SPACE && WAKE < BUFFER as u64 / 4);
};

#[cfg(feature = "user")]
mod pod {
    use super::{Account, Event, Tally};

    // SAFETY: `repr(C)`, integers only, and the size asserts above leave no padding.
    unsafe impl aya::Pod for Account {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Event {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Tally {}
}

#[cfg(test)]
mod tests;
