//! The flow tables as `lb show flows` reads them: through memory, without stopping anybody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use aya::Pod;
use lb_common::addr::Address;
use lb_common::flow::{BUCKET_SLOTS, Bucket, FlowKey, Slot, State, Word, split_ports};
use lb_common::time::{self, TICK_NANOS};

use super::Mapping;
use crate::dataplane::ids::Id;
use crate::dataplane::{MemberId, RealId};

/// Both tables; clones read the same memory.
#[derive(Clone, Debug)]
pub struct FlowTables {
    v4: Arc<Mapping<Bucket<u32>>>,
    v6: Arc<Mapping<Bucket<[u64; 2]>>>,
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
    /// Since its last packet in either direction.
    pub idle: Duration,
}

impl FlowTables {
    pub(super) fn new(v4: Mapping<Bucket<u32>>, v6: Mapping<Bucket<[u64; 2]>>) -> Self {
        Self {
            v4: Arc::new(v4),
            v6: Arc::new(v6),
        }
    }

    /// The IPv4 table.
    pub fn v4(&self) -> &Mapping<Bucket<u32>> {
        &self.v4
    }

    /// The IPv6 table.
    pub fn v6(&self) -> &Mapping<Bucket<[u64; 2]>> {
        &self.v6
    }

    /// Shows each flow to `visit` until it breaks off. A flow that is opened or closed meanwhile
    /// may be missed.
    pub fn visit(&self, visit: &mut dyn FnMut(FlowRecord) -> ControlFlow<()>) -> ControlFlow<()> {
        let now = now();
        walk(&self.v4, now, ipv4, visit)?;
        walk(&self.v6, now, ipv6, visit)
    }
}

/// The data path's tick, read from the clock that it reads.
pub fn now() -> u32 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is valid. The clock is there since Linux 2.6.32.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut now) };
    time::tick(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
}

fn walk<A: Address>(
    table: &Mapping<Bucket<A>>,
    now: u32,
    address: fn(A) -> IpAddr,
    visit: &mut dyn FnMut(FlowRecord) -> ControlFlow<()>,
) -> ControlFlow<()>
where
    Bucket<A>: Pod,
{
    for index in 0..table.len() * BUCKET_SLOTS {
        let Some(slot) = read(table, index) else {
            continue;
        };
        let state = Word(slot.word).state();
        if !state.is_forward() {
            continue;
        }
        let forward = time::since(now, slot.seen);
        let reply = read(table, slot.twin).map_or(forward, |reply| time::since(now, reply.seen));
        let [client, vip] = ends(slot.key(), address);
        let [nat_source, server] = ends(slot.rewritten(), address);
        visit(FlowRecord {
            client,
            vip,
            nat_source,
            server,
            member: MemberId::new(slot.member),
            real: RealId::new(slot.real),
            state,
            idle: Duration::from_nanos(u64::from(forward.min(reply)) * TICK_NANOS),
        })?;
    }
    ControlFlow::Continue(())
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
