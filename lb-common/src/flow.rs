//! Flow entries: what the table holds and what a flow's state means.
//!
//! A flow whose answers pass through us has two entries, one a direction. The *forward* entry
//! (client to server) owns the flow: its state word carries the flow's state, and it owns the
//! *reply* entry, which is made before it and freed with it. Idle means that both are. A flow whose
//! server answers the client without us has the forward entry only.

use crate::addr::Address;
use crate::time;

/// A flow's state, the low byte of its entry's [`Word`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    /// Nobody's.
    Free = 0,
    /// Being written by whoever set it; to readers it does not exist.
    Claimed = 1,
    /// The client's SYN was forwarded.
    HalfOpen = 2,
    /// The server answered SYN-ACK; [`Slot::ack`] holds the ACK that proves the client saw it.
    Answered = 3,
    /// The client's ACK was the server's ISN + 1: it really is there. Never evicted.
    Open = 4,
    /// Open, and the client has sent its FIN.
    ClientFin = 5,
    /// Open, and the server has sent its FIN.
    ServerFin = 6,
    /// Both have sent FIN.
    Closed = 7,
    /// Either has sent a RST that the other accepts.
    Reset = 8,
    /// A reply entry: the flow's state is with its owner.
    Reply = 9,
    /// The server refused the SYN and the client was not told: its next SYN goes to another server.
    Refused = 10,
}

impl State {
    /// The state that a word's low byte stands for; what is none counts as claimed, which nobody
    /// touches.
    #[inline(always)]
    pub const fn from_u8(value: u8) -> Self {
        match value {
            0 => Self::Free,
            2 => Self::HalfOpen,
            3 => Self::Answered,
            4 => Self::Open,
            5 => Self::ClientFin,
            6 => Self::ServerFin,
            7 => Self::Closed,
            8 => Self::Reset,
            9 => Self::Reply,
            10 => Self::Refused,
            _ => Self::Claimed,
        }
    }

    /// Whether the flow counts as open: protected from eviction within its idle timeout.
    #[inline(always)]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Open | Self::ClientFin | Self::ServerFin)
    }

    /// Whether the connection has ended: its entry may be taken at once.
    #[inline(always)]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Closed | Self::Reset | Self::Refused)
    }

    /// Whether the flow takes one of its server's places: it has begun and is not over. Half-open
    /// ones do, or a burst of SYNs would all find the same server idle.
    #[inline(always)]
    pub const fn is_active(self) -> bool {
        self.is_forward() && !self.is_over()
    }

    /// Whether the client has still to prove that it is there: the flow can be evicted, and its
    /// source port taken.
    #[inline(always)]
    pub const fn is_unproved(self) -> bool {
        matches!(self, Self::HalfOpen | Self::Answered)
    }

    /// Whether readers may use the entry.
    #[inline(always)]
    pub const fn is_live(self) -> bool {
        self as u8 >= Self::HalfOpen as u8
    }

    /// Whether the entry is the forward one of a flow.
    #[inline(always)]
    pub const fn is_forward(self) -> bool {
        self.is_live() && !matches!(self, Self::Reply)
    }

    /// Ticks without a packet after which the flow is forgotten. `idle` is its service's timeout
    /// for open flows.
    ///
    /// A half-open flow outlives four retransmissions of its SYN (RFC 6298: 1, 2, 4, 8 s). A closed
    /// one outlives Linux's TIME-WAIT, in which either end may retransmit its last segment.
    #[inline(always)]
    pub const fn timeout(self, idle: u32) -> u32 {
        let limit = match self {
            Self::HalfOpen | Self::Answered => time::ticks(30),
            Self::ClientFin | Self::ServerFin => time::ticks(300),
            Self::Closed => time::ticks(60),
            Self::Reset | Self::Refused => time::ticks(10),
            _ => return idle,
        };
        if limit < idle { limit } else { idle }
    }

    /// The word by which `lb show flows` knows the state.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Claimed => "claimed",
            Self::HalfOpen => "half-open",
            Self::Answered => "answered",
            Self::Open => "open",
            Self::ClientFin => "client-fin",
            Self::ServerFin => "server-fin",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Reply => "reply",
            Self::Refused => "refused",
        }
    }
}

/// The transports that have flows, as two bits of a [`Word`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Transport {
    /// IP protocol 6.
    Tcp = 1,
    /// IP protocol 17.
    Udp = 2,
}

impl Transport {
    /// The IP protocol number.
    #[inline(always)]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

/// An entry's state word: `generation (32) | tag (22) | transport (2) | state (8)`.
///
/// Tag and transport together are the entry's *identity*: a cheap first comparison, and what makes
/// two claims for one key visible to each other before either has written its key. The generation
/// grows with every claim of the slot, so that a compare-and-exchange against a word that was read
/// before the slot changed hands always fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Word(pub u64);

impl Word {
    const STATE: u64 = 0xff;
    const IDENTITY: u64 = 0xffff_ff00;

    /// The state.
    #[inline(always)]
    pub const fn state(self) -> State {
        State::from_u8(self.0 as u8)
    }

    /// Tag and transport, in place (the state's bits are zero).
    #[inline(always)]
    pub const fn identity(self) -> u32 {
        (self.0 & Self::IDENTITY) as u32
    }

    /// How often the slot was claimed, modulo 2^32.
    #[inline(always)]
    pub const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The same word in another state.
    #[inline(always)]
    pub const fn with(self, state: State) -> Self {
        Self((self.0 & !Self::STATE) | state as u64)
    }

    /// The word of a new claim on the slot.
    #[inline(always)]
    pub const fn claimed(self, identity: u32) -> Self {
        let generation = (self.0 >> 32).wrapping_add(1) << 32;
        Self(generation | identity as u64 | State::Claimed as u64)
    }

    /// The word of a slot given back.
    #[inline(always)]
    pub const fn freed(self) -> Self {
        Self(self.0 & !(Self::STATE | Self::IDENTITY))
    }
}

/// What identifies one direction of a flow: source and destination as they stand in the packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FlowKey<A> {
    /// Source address.
    pub src: A,
    /// Destination address.
    pub dst: A,
    /// Source port and destination port, as the first four bytes of the transport header.
    pub ports: u32,
}

impl<A: Address> FlowKey<A> {
    /// The other direction's key, addresses and ports unchanged.
    #[inline(always)]
    pub const fn reversed(self) -> Self {
        Self {
            src: self.dst,
            dst: self.src,
            ports: self.ports.rotate_right(16),
        }
    }
}

/// Source and destination port, both in network order, as they stand at the start of a TCP or UDP
/// header.
#[inline(always)]
pub const fn ports(src: u16, dst: u16) -> u32 {
    // The first field in memory is the low half of a little-endian load.
    if cfg!(target_endian = "little") {
        src as u32 | (dst as u32) << 16
    } else {
        (src as u32) << 16 | dst as u32
    }
}

/// Source and destination port out of [`ports`].
#[inline(always)]
pub const fn split_ports(ports: u32) -> (u16, u16) {
    if cfg!(target_endian = "little") {
        (ports as u16, (ports >> 16) as u16)
    } else {
        ((ports >> 16) as u16, ports as u16)
    }
}

/// [`Slot::twin`] of a flow with one entry. No table has so many slots, so that looking for this one
/// finds nothing.
pub const NO_TWIN: u32 = u32::MAX;

/// One entry of the flow table: 64 bytes for IPv4 (a cache line), 128 for IPv6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Slot<A> {
    /// State word ([`Word`]).
    pub word: u64,
    /// What packets this entry is for: their source,
    pub src: A,
    /// their destination,
    pub dst: A,
    /// what their source becomes,
    pub new_src: A,
    /// what their destination becomes,
    pub new_dst: A,
    /// their ports ([`ports`]),
    pub ports: u32,
    /// and what these become.
    pub new_ports: u32,
    /// Index of the other direction's entry; [`NO_TWIN`]: there is none.
    pub twin: u32,
    /// Correction of the IPv4 header checksum for the addresses (unused for IPv6).
    pub l3_delta: u16,
    /// Correction of the transport checksum for addresses and ports.
    pub l4_delta: u16,
    /// Member id ([`crate::service::Member`]).
    pub member: u16,
    /// Real id ([`crate::service::Real`]).
    pub real: u16,
    /// Where the client's last packet came from ([`Origin`]). Replies are sent by the reply entry's
    /// copy; the forward entry's saves looking at the other to see whether it changed.
    pub origin: [u32; 2],
    /// Tick of the last packet in this direction.
    pub seen: u32,
    /// TCP: sequence number after the last byte sent in this direction.
    pub seq: u32,
    /// TCP: last acknowledgement sent in this direction. In state [`State::Answered`] a forward
    /// entry holds the acknowledgement that it waits for; in state [`State::HalfOpen`] the members
    /// that it left because they did not answer ([`Tried`]).
    pub ack: u32,
}

impl<A: Address> Slot<A> {
    /// What packets this entry is for.
    pub fn key(&self) -> FlowKey<A> {
        FlowKey {
            src: self.src,
            dst: self.dst,
            ports: self.ports,
        }
    }

    /// What their key becomes.
    pub fn rewritten(&self) -> FlowKey<A> {
        FlowKey {
            src: self.new_src,
            dst: self.new_dst,
            ports: self.new_ports,
        }
    }
}

/// The last members that a flow left before one answered it, the latest in the low half; zero for
/// none. Fits into [`Slot::ack`], which a half-open flow has no other use for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried(pub u32);

impl Tried {
    /// How many they are.
    #[inline(always)]
    pub const fn count(self) -> u16 {
        (self.0 & 0xffff != 0) as u16 + (self.0 >> 16 != 0) as u16
    }

    /// Whether `member` is one of them.
    #[inline(always)]
    pub const fn contains(self, member: u16) -> bool {
        self.0 as u16 == member || (self.0 >> 16) as u16 == member
    }

    /// Once more: `member` was left as well. The oldest is forgotten when there are more than two.
    #[inline(always)]
    pub const fn and(self, member: u16) -> Self {
        Self(self.0 << 16 | member as u32)
    }
}

/// Where a client's last packet came from, so that replies go back the same way: packed into
/// [`Slot::origin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Bytes 0 to 3 of the MAC address, as loaded from memory.
    pub mac_head: u32,
    /// Bytes 4 and 5.
    pub mac_tail: u16,
    /// Interface index; below [`crate::map::PORTS_MAX`].
    pub ifindex: u16,
}

impl Origin {
    /// As a slot holds it.
    #[inline(always)]
    pub const fn pack(self) -> [u32; 2] {
        [
            self.mac_head,
            self.mac_tail as u32 | (self.ifindex as u32) << 16,
        ]
    }

    /// From what a slot holds.
    #[inline(always)]
    pub const fn unpack(packed: [u32; 2]) -> Self {
        Self {
            mac_head: packed[0],
            mac_tail: packed[1] as u16,
            ifindex: (packed[1] >> 16) as u16,
        }
    }
}

/// Slots of a bucket.
pub const BUCKET_SLOTS: u32 = 8;

/// A bucket: what one map look-up gives.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Bucket<A> {
    /// The slots, in no order.
    pub slots: [Slot<A>; BUCKET_SLOTS as usize],
}

const _: () = {
    assert!(size_of::<Slot<u32>>() == 64);
    assert!(size_of::<Slot<[u64; 2]>>() == 128);
    assert!(size_of::<Bucket<u32>>() == 512);
    assert!(size_of::<Bucket<[u64; 2]>>() == 1024);
    assert!(core::mem::offset_of!(Slot<u32>, src) == 8);
    assert!(core::mem::offset_of!(Slot<u32>, ack) == 60);
    assert!(crate::map::PORTS_MAX <= 1 << 16);
    assert!(crate::map::MEMBERS_MAX <= 1 << 16);
    assert!(crate::map::REALS_MAX <= 1 << 16);
};

#[cfg(feature = "user")]
mod pod {
    use super::Bucket;

    // SAFETY: `repr(C)` integers; the padding at the end of an IPv6 slot is never read as a value.
    unsafe impl aya::Pod for Bucket<u32> {}
    // SAFETY: as above.
    unsafe impl aya::Pod for Bucket<[u64; 2]> {}
}

#[cfg(test)]
mod tests;
