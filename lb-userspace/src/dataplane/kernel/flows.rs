//! The flow tables as `lb show flows` reads them: through memory, without stopping anybody.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use aya::{Ebpf, Pod};
use ipnet::IpNet;
use lb_common::addr::Address;
use lb_common::event::{Account, Traffic};
use lb_common::flow::{BUCKET_SLOTS, Bucket, FlowKey, Slot, State, Word, split_ports};
use lb_common::map;
use lb_common::time::{self, TICK_NANOS};

use super::load::array;
use super::{LoadError, Mapping};
use crate::dataplane::ids::Id;
use crate::dataplane::{MemberId, RealId};

/// Both tables; clones read the same memory.
#[derive(Clone, Debug)]
pub struct FlowTables {
    v4: Arc<Table<u32>>,
    v6: Arc<Table<[u64; 2]>>,
}

/// One family's table and what stands beside it.
#[derive(Debug)]
struct Table<A> {
    buckets: Mapping<Bucket<A>>,
    starts: Mapping<u64>,
    /// One value for each entry, or a single one: no accounts are kept.
    accounts: Mapping<Account>,
}

/// One flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowRecord {
    /// The client.
    pub client: SocketAddr,
    /// What it connected to.
    pub vip: SocketAddr,
    /// What the server sees as the client.
    pub nat_source: SocketAddr,
    /// The server.
    pub server: SocketAddr,
    /// The server as the service uses it; `None` never stands in a sound table.
    pub member: Option<MemberId>,
    /// The server's id.
    pub real: Option<RealId>,
    /// Its state.
    pub state: State,
    /// Since its first packet.
    pub age: Duration,
    /// Since its last packet in either direction.
    pub idle: Duration,
    /// From the client, and from the server; `None` where no accounts are kept.
    pub traffic: Option<[Traffic; 2]>,
}

/// Which flows to show: those that match all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowFilter {
    /// With one of these members.
    pub members: Option<HashSet<MemberId>>,
    /// With a client in this prefix.
    pub client: Option<IpNet>,
    /// In this state.
    pub state: Option<State>,
    /// Older than this.
    pub older_than: Option<Duration>,
}

impl FlowTables {
    /// Maps the tables of these programs.
    pub fn new(ebpf: &Ebpf) -> Result<Self, LoadError> {
        let v4 = Table::new(ebpf, [map::FLOWS4, map::STARTS4, map::ACCOUNTS4])?;
        let v6 = Table::new(ebpf, [map::FLOWS6, map::STARTS6, map::ACCOUNTS6])?;
        Ok(Self {
            v4: Arc::new(v4),
            v6: Arc::new(v6),
        })
    }

    /// The IPv4 table.
    pub fn v4(&self) -> &Mapping<Bucket<u32>> {
        &self.v4.buckets
    }

    /// The IPv6 table.
    pub fn v6(&self) -> &Mapping<Bucket<[u64; 2]>> {
        &self.v6.buckets
    }

    /// Shows each flow that passes `filter` to `visit` until it breaks off. A flow that is opened or
    /// closed meanwhile may be missed.
    pub fn visit(
        &self,
        filter: &FlowFilter,
        visit: &mut dyn FnMut(FlowRecord) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.v4.walk(filter, ipv4, visit)?;
        self.v6.walk(filter, ipv6, visit)
    }
}

impl<A: Address> Table<A>
where
    Bucket<A>: Pod,
{
    /// Maps table, starts and accounts, which have these names.
    fn new(ebpf: &Ebpf, names: [&'static str; 3]) -> Result<Self, LoadError> {
        let [buckets, starts, accounts] = names;
        Ok(Self {
            buckets: Mapping::new(array(ebpf, buckets)?, buckets)?,
            starts: Mapping::new(array(ebpf, starts)?, starts)?,
            accounts: Mapping::new(array(ebpf, accounts)?, accounts)?,
        })
    }

    fn walk(
        &self,
        filter: &FlowFilter,
        address: fn(A) -> IpAddr,
        visit: &mut dyn FnMut(FlowRecord) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let (clock, tick) = (clock(), now());
        for index in 0..self.buckets.len() * BUCKET_SLOTS {
            let Some(slot) = read(&self.buckets, index) else {
                continue;
            };
            let state = Word(slot.word).state();
            // Cheapest first: most flows are looked at only to be left out.
            if !state.is_forward() || filter.state.is_some_and(|wanted| wanted != state) {
                continue;
            }
            let member = MemberId::new(slot.member);
            if let Some(wanted) = &filter.members
                && !member.is_some_and(|member| wanted.contains(&member))
            {
                continue;
            }
            let [client, vip] = ends(slot.key(), address);
            if let Some(wanted) = &filter.client
                && !wanted.contains(&client.ip())
            {
                continue;
            }
            let started = self.starts.read(index).unwrap_or(clock);
            let age = Duration::from_nanos(clock.saturating_sub(started));
            if filter.older_than.is_some_and(|least| age <= least) {
                continue;
            }
            let reply = read(&self.buckets, slot.twin);
            let forward = time::since(tick, slot.seen);
            let idle = reply.map_or(forward, |reply| forward.min(time::since(tick, reply.seen)));
            let [nat_source, server] = ends(slot.rewritten(), address);
            visit(FlowRecord {
                client,
                vip,
                nat_source,
                server,
                member,
                real: RealId::new(slot.real),
                state,
                age,
                idle: Duration::from_nanos(u64::from(idle) * TICK_NANOS),
                traffic: self.traffic(index, reply.map(|_| slot.twin)),
            })?;
        }
        ControlFlow::Continue(())
    }

    fn traffic(&self, forward: u32, reply: Option<u32>) -> Option<[Traffic; 2]> {
        if self.accounts.len() < self.buckets.len() * BUCKET_SLOTS {
            return None;
        }
        let read = |index| self.accounts.read(index).unwrap_or_default().traffic;
        Some([read(forward), reply.map(read).unwrap_or_default()])
    }
}

/// The data path's tick, read from the clock that it reads.
pub fn now() -> u32 {
    time::tick(coarse_nanos())
}

/// The same clock in ns.
pub(super) fn coarse_nanos() -> u64 {
    nanos(libc::CLOCK_MONOTONIC_COARSE)
}

/// The clock by which the data path notes when flows began, in ns.
fn clock() -> u64 {
    nanos(libc::CLOCK_MONOTONIC)
}

fn nanos(clock: libc::clockid_t) -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is valid. Both clocks are there since Linux 2.6.32.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The live entry in slot `index`, read in one piece; `None` also if it changed hands meanwhile.
fn read<A: Address>(table: &Mapping<Bucket<A>>, index: u32) -> Option<Slot<A>>
where
    Bucket<A>: Pod,
{
    let bucket = table.pointer(index / BUCKET_SLOTS)?;
    // SAFETY: the remainder is below the number of a bucket's slots; slots are plain old data.
    unsafe {
        let slot = (&raw const (*bucket).slots)
            .cast::<Slot<A>>()
            .add((index % BUCKET_SLOTS) as usize);
        let word = (&raw const (*slot).word).read_volatile();
        if !Word(word).state().is_live() {
            return None;
        }
        let copy = slot.read_volatile();
        let after = (&raw const (*slot).word).read_volatile();
        (Word(after).generation() == Word(word).generation()
            && copy.word >> 8 == word >> 8
            && Word(after).state().is_live())
        .then_some(copy)
    }
}

fn ends<A: Address>(key: FlowKey<A>, address: fn(A) -> IpAddr) -> [SocketAddr; 2] {
    let (src, dst) = split_ports(key.ports);
    [
        SocketAddr::new(address(key.src), u16::from_be(src)),
        SocketAddr::new(address(key.dst), u16::from_be(dst)),
    ]
}

fn ipv4(address: u32) -> IpAddr {
    Ipv4Addr::from(address.to_ne_bytes()).into()
}

fn ipv6(address: [u64; 2]) -> IpAddr {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&address[0].to_ne_bytes());
    bytes[8..].copy_from_slice(&address[1].to_ne_bytes());
    Ipv6Addr::from(bytes).into()
}
