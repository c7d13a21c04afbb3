//! Services, servers and interfaces as the maps hold them. Every type is plain old data without
//! implicit padding.

use crate::limit::Limit;

/// Key of [`crate::map::SERVICES`]: where clients connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct ServiceKey {
    /// Address in network order, IPv4 as IPv4-mapped ([`crate::addr::mapped`]).
    pub addr: [u32; 4],
    /// Port in network order. Zero marks the address itself as ours ([`Service::id`] is 0): what
    /// has no port to look up (fragments) is then known to be for a service.
    pub port: u16,
    /// IP protocol number; zero in an address mark.
    pub protocol: u8,
    /// Always zero.
    pub zero: u8,
}

/// How a ring slot is picked for a new flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Pick {
    /// The next slot in turn: a counter shared by all processors.
    Next = 0,
    /// By hash of addresses and ports.
    HashTuple = 1,
    /// By hash of the client's address.
    HashSource = 2,
    /// The first slot whose server has room.
    First = 3,
    /// The slot whose server has the fewest flows for its weight.
    LeastFlows = 4,
    /// Any slot, by chance.
    Random = 5,
}

impl Pick {
    /// The way that a number stands for; what is none counts as [`Pick::Next`].
    #[inline(always)]
    pub const fn from_u8(value: u8) -> Self {
        match value {
            1 => Self::HashTuple,
            2 => Self::HashSource,
            3 => Self::First,
            4 => Self::LeastFlows,
            5 => Self::Random,
            _ => Self::Next,
        }
    }
}

/// Slots of a ring that are looked at for one flow. A pool of at most so many servers is searched
/// whole; in a longer one the search goes on elsewhere with the next flow. What a choice costs is
/// thereby the same for a hundred servers and for a thousand.
pub const SEARCH: u32 = 128;

/// How packets reach a server, and whether its answers come back this way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Mode {
    /// Source and destination are rewritten: the server sees one of our addresses and answers it.
    #[default]
    Nat = 0,
    /// The destination is rewritten: the server sees the client, and answers by way of us.
    Dnat = 1,
    /// MAC addresses only: the server has the service's address itself, and answers the client
    /// without us.
    Dsr = 2,
    /// In an IP packet of our own (RFC 2003, RFC 2473); the server answers the client without us.
    Ipip = 3,
    /// In a UDP datagram of our own (Generic UDP Encapsulation); likewise.
    Gue = 4,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Nat, Self::Dnat, Self::Dsr, Self::Ipip, Self::Gue];

    /// The word by which the configuration knows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::Dnat => "dnat",
            Self::Dsr => "dsr",
            Self::Ipip => "ipip",
            Self::Gue => "gue",
        }
    }

    /// Whether the server's answers pass through us. If not, a flow has one entry
    /// ([`crate::flow::NO_TWIN`]), and is known from the client's packets alone.
    #[inline(always)]
    pub const fn sees_replies(self) -> bool {
        matches!(self, Self::Nat | Self::Dnat)
    }

    /// Whether packets are wrapped in others. The server may then be of the other address family
    /// than the service.
    #[inline(always)]
    pub const fn tunnels(self) -> bool {
        matches!(self, Self::Ipip | Self::Gue)
    }

    /// Whether the server sees connections come from the client's own address.
    pub const fn keeps_client(self) -> bool {
        !matches!(self, Self::Nat)
    }
}

/// Value of [`crate::map::SERVICES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Service {
    /// From 1; names the service's turn counter in [`crate::map::TURNS`]. Several listening
    /// addresses of one configured service share it.
    pub id: u16,
    /// A [`Pick`].
    pub pick: u8,
    /// [`RESET_WHEN_FULL`] or zero.
    pub flags: u8,
    /// First slot of the service's slice of [`crate::map::RING`].
    pub ring_base: u32,
    /// Length of the slice; zero: no server is available, new flows are refused.
    pub ring_len: u32,
    /// Ticks without a packet after which an open flow may be forgotten.
    pub idle_timeout: u32,
    /// Most active flows, of both address families together; zero: no limit.
    pub max_flows: u32,
    /// Where they are counted: an index of [`crate::map::GAUGES`], also that of its members.
    pub gauge: u16,
    /// Always zero.
    pub zero: u16,
    /// Ticks for which a client that has a server is sent to the same one again
    /// ([`crate::map::STICKS`]); zero: it is not.
    pub stick: u32,
    /// One more than the index of its access list's root in [`crate::map::ACCESS`]; zero: everybody
    /// may open flows.
    pub access: u32,
    /// 1: that a client has completed a flow is not seen (UDP, or answers that do not pass through
    /// us), so that bans do not take it ([`crate::limit::Standing::deserves_ban`]).
    pub blind: u32,
    /// Always zero.
    pub spare: u32,
    /// How fast one source may open flows.
    pub limit: Limit,
}

/// In [`Service::flags`]: a flow for which there is no room is answered with a RST. Otherwise its SYN
/// is dropped, so that its retransmission tries again.
pub const RESET_WHEN_FULL: u8 = 1;

/// Value of [`crate::map::MEMBERS`], by member id: one server as one service uses it.
///
/// Ring slots hold member ids, flows carry them, and packets are counted by them; a service's
/// counters are the sum over its members, a server's the sum over its memberships.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Member {
    /// The server, an index of [`crate::map::REALS`]; zero: the member id is not in use.
    pub real: u16,
    /// The service it serves.
    pub service: u16,
    /// Copy of [`Service::idle_timeout`], kept here for expiry, which starts from a flow.
    pub idle_timeout: u32,
    /// Most active flows of the server, over all its memberships; zero: no limit.
    pub maxconn: u32,
    /// The server's share of the service's new flows; zero while it gets none.
    pub weight: u16,
    /// Where the server's active flows are counted, over all its memberships: an index of
    /// [`crate::map::GAUGES`]; zero: nowhere.
    pub gauge: u16,
    /// Copy of [`Service::gauge`].
    pub service_gauge: u16,
    /// How often a flow that this server refuses, or does not answer, may move on to another: at
    /// most [`REDISPATCHES`]; zero: the client is told.
    pub redispatches: u16,
    /// Copy of [`Service::stick`].
    pub stick: u32,
    /// 1: the service has a [`Service::limit`], and is to know which flows were completed.
    pub limited: u32,
}

/// Most servers that a flow may leave before one answers it: as many as its entry can name while it
/// is half-open, so that none is tried twice.
pub const REDISPATCHES: u16 = 2;

/// Key of [`crate::map::STICKS`]: a client of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct StickKey {
    /// The client's address in network order, IPv4 as IPv4-mapped.
    pub addr: [u32; 4],
    /// The service's gauge ([`Service::gauge`]).
    pub service: u32,
}

/// Value of [`crate::map::STICKS`]: the server that a client had last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Stick {
    /// When ([`crate::time::tick`]).
    pub seen: u32,
    /// Its member id.
    pub member: u16,
    /// Always zero.
    pub zero: u16,
}

/// Value of [`crate::map::REALS`], by real id (0 is none): one server and how to reach it. A server
/// that services forward to in different modes has an id for each.
///
/// One cache line: forwarding towards a server reads nothing else about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Real {
    /// Destination and source MAC address: the first twelve bytes of every frame to the server.
    pub ethernet: [u32; 3],
    /// Interface to leave by; zero: the next hop is not resolved, packets are dropped and counted.
    pub ifindex: u32,
    /// Largest IP packet that interface takes, in bytes.
    pub mtu: u32,
    /// First of the server's NAT sources in [`crate::map::SNAT`].
    pub snat_base: u32,
    /// How many NAT sources it has; zero for a server without one, and in modes that need none.
    pub snat_count: u32,
    /// Port in network order.
    pub port: u16,
    /// 4 or 6.
    pub family: u16,
    /// Address in network order, IPv4 as IPv4-mapped.
    pub addr: [u32; 4],
    /// A [`Mode`].
    pub mode: u8,
    /// Always zero.
    pub zero: [u8; 11],
    /// Source ports that its NAT sources have together; zero for a server without one.
    pub ports: u32,
}

/// Value of [`crate::map::SNAT`]: an address and the ports that flows to servers may come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SnatSource {
    /// Address in network order, IPv4 as IPv4-mapped.
    pub addr: [u32; 4],
    /// First port, host order.
    pub port_low: u16,
    /// Last port, host order; not below `port_low`.
    pub port_high: u16,
}

/// Value of [`crate::map::PORTS`], by interface index: an interface that we forward on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Port {
    /// Our MAC address there: bytes 0 to 3 as loaded from memory.
    pub mac_head: u32,
    /// Our MAC address there: bytes 4 and 5.
    pub mac_tail: u16,
    /// 1 when the agent has described the interface; 0: frames pass to the stack.
    pub known: u16,
    /// Largest IP packet the interface takes, in bytes.
    pub mtu: u32,
}

/// Counters of one member, one copy a processor: value of [`crate::map::STATS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Stats {
    /// Packets forwarded to the server.
    pub packets_in: u64,
    /// Bytes forwarded to the server, Ethernet header included.
    pub bytes_in: u64,
    /// Packets forwarded to clients.
    pub packets_out: u64,
    /// Bytes forwarded to clients, Ethernet header included.
    pub bytes_out: u64,
}

/// Flows of one member, shared by all processors: value of [`crate::map::COUNTS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Counts {
    /// Entries held for the member, in whatever state.
    pub flows: u64,
    /// Of those, the open ones.
    pub open: u64,
    /// Flows ever made.
    pub opened_total: u64,
    /// SYNs that the server refused, and those it left unanswered where the flow then moved on to
    /// another server.
    pub failed_total: u64,
}

/// Key of the flow table's hash and table sizes, written once before the program is attached:
/// read-only globals of the program.
const _: () = {
    assert!(size_of::<ServiceKey>() == 20);
    assert!(size_of::<Service>() == 64);
    assert!(size_of::<Member>() == 28);
    assert!(size_of::<StickKey>() == 20);
    assert!(size_of::<Stick>() == 8);
    assert!(size_of::<Real>() == 64);
    assert!(size_of::<SnatSource>() == 20);
    assert!(size_of::<Port>() == 12);
    assert!(size_of::<Stats>() == 32);
    assert!(size_of::<Counts>() == 32);
};

#[cfg(feature = "user")]
mod pod {
    use super::{
        Counts, Member, Port, Real, Service, ServiceKey, SnatSource, Stats, Stick, StickKey,
    };

    macro_rules! pod {
        ($($name:ty),* $(,)?) => {
            $(
                // SAFETY: `repr(C)`, integers only, and the size asserts above leave no padding.
                unsafe impl aya::Pod for $name {}
            )*
        };
    }
    pod!(
        ServiceKey, Service, Member, Real, SnatSource, Port, Stats, Counts, StickKey, Stick
    );
}
