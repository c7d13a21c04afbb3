//! What the maps should say: a pure function of the configuration, health and network.
//!
//! Nothing here knows ids, ring slices or what the maps say now; that is [`crate::reconcile`].

mod eligible;
mod room;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use lb_common::limit::Limit;
use lb_common::map::RING_SLOTS;
use lb_common::service::{Mode, Pick, Port, REDISPATCHES, ServiceKey, SnatSource};
use lb_common::time::TICK_NANOS;

pub use eligible::eligible;
pub use room::{access_nodes, service_ids};

use crate::access::AccessList;
use crate::config::{
    Balance, Config, Hash, NatSource, NewFlows, OnFull, Pool, Protocol, Server, Service,
};
use crate::dataplane::wire;
use crate::health::HealthView;
use crate::model::{Family, RealKey, ServerKey, ServiceHalf};
use crate::neighbour::{Hop, Network};
use crate::ring::{maglev, smooth};

/// Everything that the maps should say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DesiredState {
    /// The interfaces that are forwarded on, by index.
    pub ports: BTreeMap<u32, Port>,
    /// The servers: one of several pools at the same address and port is one here, unless services
    /// forward to it in different modes.
    pub reals: BTreeMap<RealKey, DesiredReal>,
    /// The services.
    pub services: BTreeMap<ServiceHalf, DesiredService>,
    /// Addresses that any service listens on.
    pub marks: BTreeSet<IpAddr>,
}

/// A server, whether or not it gets new flows: its open ones go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredReal {
    /// How it is reached; `None`: not known (yet), packets to it are dropped and counted.
    pub way: Option<Way>,
    /// What it sees connections come from, or tunnels begin at; empty without a route, and where it
    /// sees the clients themselves.
    pub sources: Vec<SnatSource>,
}

/// How a server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Destination and source MAC address, as the maps hold them.
    pub ethernet: [u32; 3],
    /// Interface to leave by.
    pub ifindex: u32,
    /// Largest IP packet, in bytes.
    pub mtu: u32,
}

/// A service's half of one address family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredService {
    /// Where clients connect to.
    pub listen: BTreeSet<ServiceKey>,
    /// Ticks after which an open flow without packets may be forgotten.
    pub idle_timeout: u32,
    /// Who may open flows; `None`: everybody.
    pub access: Option<Arc<AccessList>>,
    /// How fast a source may.
    pub limit: Limit,
    /// Whether the data path cannot see that a client has completed a flow.
    pub blind: bool,
    /// All servers of its pool that it reaches.
    pub members: BTreeMap<ServerKey, RealKey>,
    /// Which of them get new flows, and how.
    pub ring: DesiredRing,
    /// Most active flows of those that have a limit.
    pub maxconn: BTreeMap<ServerKey, u32>,
    /// What else is considered when a flow opens.
    pub policy: Policy,
}

/// What a service has besides its ring to say about a new flow. Zero is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Most active flows, of both address families together.
    pub max_flows: u32,
    /// Whether a flow that there is no room for is answered with a RST.
    pub reset_when_full: bool,
    /// Ticks for which a client keeps its server.
    pub stick: u32,
    /// How often a flow may leave a server that does not take it.
    pub redispatches: u16,
}

/// How a service's new flows are shared out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredRing {
    /// The order of servers.
    pub algorithm: Algorithm,
    /// The servers that get new flows and their weights, none zero.
    pub shares: BTreeMap<ServerKey, u16>,
    /// The same servers in the order of the configuration.
    pub order: Vec<ServerKey>,
}

/// How a ring is built and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Smooth weighted round-robin, in turn.
    RoundRobin,
    /// A Maglev table, by hash.
    Maglev {
        /// Slots.
        len: u32,
        /// Of what.
        hash: Hash,
    },
    /// Each server once, in the order of the configuration: the one with the fewest flows.
    LeastFlows,
    /// Likewise: the first one with room.
    First,
    /// Smooth weighted round-robin, by chance.
    Random,
}

impl Algorithm {
    /// How the data path reads the ring.
    pub const fn pick(self) -> Pick {
        match self {
            Self::RoundRobin => Pick::Next,
            Self::Maglev {
                hash: Hash::Tuple, ..
            } => Pick::HashTuple,
            Self::Maglev {
                hash: Hash::Source, ..
            } => Pick::HashSource,
            Self::LeastFlows => Pick::LeastFlows,
            Self::First => Pick::First,
            Self::Random => Pick::Random,
        }
    }
}

/// What the maps should say.
///
/// `config` is validated: every service's pool exists and has a server that each family which the
/// service listens on reaches.
pub fn desired(config: &Config, health: &HealthView, network: &Network) -> DesiredState {
    let mut state = DesiredState {
        ports: network
            .links
            .iter()
            .map(|(&ifindex, link)| (ifindex, port(link)))
            .collect(),
        ..DesiredState::default()
    };
    for service in &config.services {
        let Some(pool) = config.pools.iter().find(|pool| pool.name == service.pool) else {
            continue;
        };
        let families: BTreeSet<Family> = service.listen.iter().map(Family::of).collect();
        for family in families {
            let half = half(service, pool, family, health);
            for &key in half.members.values() {
                let real = || real(key, config, network);
                state.reals.entry(key).or_insert_with(real);
            }
            let service = service.name.clone();
            state.services.insert(ServiceHalf { service, family }, half);
        }
        state
            .marks
            .extend(service.listen.iter().map(SocketAddr::ip));
    }
    state
}

/// What `service` is on one address family.
fn half(service: &Service, pool: &Pool, family: Family, health: &HealthView) -> DesiredService {
    let key = |server: &Server| ServerKey {
        pool: pool.name.clone(),
        server: server.name.clone(),
    };
    let mode = service.forward.mode();
    let servers = || {
        let reached = |server: &&Server| family.reaches(&server.address, mode);
        pool.servers.iter().filter(reached)
    };
    let listen = service.listen.iter();
    let maglev = |hash| Algorithm::Maglev {
        len: maglev::table_len(servers().count()),
        hash,
    };
    let shares: Vec<(ServerKey, u16)> = eligible(pool, family, mode, health)
        .map(|server| (key(server), server.weight.as_u16()))
        .collect();
    DesiredService {
        listen: listen
            .filter(|listen| Family::of(listen) == family)
            .map(|&listen| wire::service_key(listen, service.protocol))
            .collect(),
        idle_timeout: ticks(service.idle_timeout),
        access: service.access.clone().filter(|list| list.restricts(family)),
        limit: service
            .new_flows
            .as_ref()
            .map_or_else(Limit::default, limit),
        blind: service.protocol == Protocol::Udp || !mode.sees_replies(),
        members: servers()
            .map(|server| {
                let address = server.address;
                (key(server), RealKey { address, mode })
            })
            .collect(),
        ring: DesiredRing {
            algorithm: match service.balance {
                Balance::RoundRobin => Algorithm::RoundRobin,
                Balance::Maglev(hash) => maglev(hash),
                Balance::Source => maglev(Hash::Source),
                Balance::LeastConn => Algorithm::LeastFlows,
                Balance::First => Algorithm::First,
                Balance::Random => Algorithm::Random,
            },
            order: shares.iter().map(|(key, _)| key.clone()).collect(),
            shares: shares.iter().cloned().collect(),
        },
        maxconn: servers()
            .filter_map(|server| Some((key(server), server.maxconn?.get())))
            .collect(),
        policy: policy(service, shares.len()),
    }
}

/// What `service` says about a new flow, while `servers` of its servers take new flows.
fn policy(service: &Service, servers: usize) -> Policy {
    let others = u16::try_from(servers.saturating_sub(1)).unwrap_or(u16::MAX);
    Policy {
        max_flows: service.limit.max_flows.map_or(0, NonZeroU32::get),
        reset_when_full: service.limit.on_full == OnFull::Reset,
        stick: service.stick.map_or(0, |stick| ticks(stick.source)),
        // Where there is no other server, the client is told at once.
        redispatches: if service.redispatch {
            others.min(REDISPATCHES)
        } else {
            0
        },
    }
}

/// Clients whose servers are remembered, over all services.
pub fn sticks(config: &Config) -> u32 {
    let sizes = config
        .services
        .iter()
        .filter_map(|service| service.stick)
        .map(|stick| stick.size);
    sizes.fold(0, u32::saturating_add)
}

/// Slots for the rings of all services in `config`: each as long as it can get, three times over,
/// for the ring in use, the one that takes its place, and one that rests
/// ([`crate::ring::slices`]). Never fewer than the map has by itself, so that a reload may add some.
pub fn ring_slots(config: &Config) -> u32 {
    let longest = |service: &Service| {
        let families: BTreeSet<Family> = service.listen.iter().map(Family::of).collect();
        let servers = config
            .pools
            .iter()
            .find(|pool| pool.name == service.pool)
            .map_or(0, |pool| pool.servers.len());
        let ring = match service.balance {
            Balance::RoundRobin | Balance::Random => servers.max(smooth::MAX_LEN) as u32,
            Balance::Maglev(_) | Balance::Source => maglev::table_len(servers),
            Balance::LeastConn | Balance::First => servers as u32,
        };
        ring.saturating_mul(families.len() as u32)
    };
    let slots = config
        .services
        .iter()
        .map(longest)
        .fold(0, u32::saturating_add);
    slots.saturating_mul(3).max(RING_SLOTS)
}

/// The limit as the data path has it. The largest burst of the slowest rate is 114 years: no sum wraps.
fn limit(new_flows: &NewFlows) -> Limit {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let interval = nanos(new_flows.per_source.interval());
    Limit {
        interval,
        burst: interval.saturating_mul(new_flows.burst.into()),
        ban: nanos(new_flows.ban),
    }
}

fn port(link: &crate::neighbour::Link) -> Port {
    let [a, b, c, d, e, f] = link.mac;
    Port {
        mac_head: u32::from_ne_bytes([a, b, c, d]),
        mac_tail: u16::from_ne_bytes([e, f]),
        known: 1,
        mtu: link.mtu,
    }
}

fn real(key: RealKey, config: &Config, network: &Network) -> DesiredReal {
    let hop = network.hops.get(&key.address.ip());
    DesiredReal {
        way: hop.and_then(|hop| way(hop, network)),
        sources: match key.mode {
            Mode::Nat | Mode::Ipip | Mode::Gue => sources(key.address, hop, config),
            Mode::Dnat | Mode::Dsr => Vec::new(),
        },
    }
}

fn way(hop: &Hop, network: &Network) -> Option<Way> {
    let destination = hop.mac?;
    // An interface that we are not attached to: the data path finds that it cannot redirect there
    // and counts just that. Neither of these values is used then.
    let (source, mtu) = match network.links.get(&hop.ifindex) {
        Some(link) => (link.mac, link.mtu),
        None => ([0; 6], u32::from(u16::MAX)),
    };
    Some(Way {
        ethernet: wire::ethernet(destination, source),
        ifindex: hop.ifindex,
        mtu,
    })
}

/// The addresses that the server sees connections come from. The host uses all of them itself, so
/// the ports are those set apart for us.
fn sources(server: SocketAddr, hop: Option<&Hop>, config: &Config) -> Vec<SnatSource> {
    let source = |address: IpAddr| SnatSource {
        addr: wire::words(address),
        port_low: *config.dataplane.source_ports.start(),
        port_high: *config.dataplane.source_ports.end(),
    };
    match &config.dataplane.nat_source {
        NatSource::Auto => hop.map(|hop| source(hop.source)).into_iter().collect(),
        NatSource::Addresses(addresses) => addresses
            .iter()
            .filter(|address| address.is_ipv4() == server.is_ipv4())
            .map(|&address| source(address))
            .collect(),
    }
}

/// The data path's clock wraps: no timeout may exceed half its range (26 days).
fn ticks(timeout: Duration) -> u32 {
    let ticks = timeout.as_nanos().div_ceil(u128::from(TICK_NANOS));
    u32::try_from(ticks).unwrap_or(u32::MAX).min(u32::MAX / 2)
}

#[cfg(test)]
mod tests;
