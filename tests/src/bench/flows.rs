//! The flows that packets are measured with, and their entries in the table.

use std::cell::UnsafeCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, bail};
use lb_common::addr::{self, Address};
use lb_common::csum;
use lb_common::flow::{Bucket, FlowKey, Origin, Slot, State, Transport, ports};
use lb_common::hash::HashKey;
use lb_common::table::{self, Claim, Memory, Notes, Place};

use crate::plane::{Mapped, Plane};

/// The service's port.
pub(super) const SERVICE_PORT: u16 = 6379;
/// Servers of the service.
pub(super) const SERVERS: u32 = 4;
/// Addresses that flows to the servers come from: so many that a million flows find ports.
pub(super) const SNATS: u32 = 128;
/// Flows from one such address.
const FLOWS_PER_SNAT: u32 = 1 << 14;
/// First and last port there.
pub(super) const SNAT_PORTS: (u16, u16) = (1024, 65_535);

/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    ToServer,
    ToClient,
}

impl Direction {
    pub(super) const BOTH: [Self; 2] = [Self::ToServer, Self::ToClient];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ToServer => "to the server",
            Self::ToClient => "to the client",
        }
    }
}

/// An address family as benchmarks use it.
pub(super) trait Family: Address + Default + aya::Pod {
    const NAME: &'static str;
    /// 4 or 6.
    const NUMBER: u16;
    /// Ethernet's name for the protocol.
    const ETHERTYPE: u16;
    /// Map of the keys that packets are made for.
    const KEYS: &'static str;
    /// The program that makes them.
    const ENTRY: &'static str;

    /// What the balancer calls it.
    const FAMILY: lb_userspace::model::Family;
    /// The program that looks the packet's source up in an access list.
    const LIST: &'static str;
    /// The same with the kernel's trie for prefixes, and that trie.
    const KERNEL_TRIE: &'static str;
    const KERNEL_TRIE_MAP: &'static str;
    /// Lengths that prefixes in lists have, each as often as it is here.
    const LENGTHS: [u8; 8];

    /// The address that these bits begin with.
    fn from_bits(bits: u128) -> Self;
    /// An address somewhere, out of random bits.
    fn ip(bits: u128) -> IpAddr;
    /// Address number `host` of network number `net`.
    fn address(net: u8, host: u32) -> Self;
    fn mapped(self) -> [u32; 4];
    /// The flow table.
    fn table(plane: &Plane) -> &Mapped<Bucket<Self>>;
    /// An IP header without addresses for `length` bytes of TCP.
    fn header(length: u16) -> Vec<u8>;
}

impl Family for u32 {
    const NAME: &'static str = "IPv4";
    const NUMBER: u16 = 4;
    const ETHERTYPE: u16 = 0x0800;
    const KEYS: &'static str = "KEYS4";
    const ENTRY: &'static str = "bench_entry4";
    const FAMILY: lb_userspace::model::Family = lb_userspace::model::Family::V4;
    const LIST: &'static str = "bench_list4";
    const KERNEL_TRIE: &'static str = "bench_lpm4";
    const KERNEL_TRIE_MAP: &'static str = "LPM4";
    const LENGTHS: [u8; 8] = [14, 16, 20, 22, 24, 24, 24, 32];

    fn from_bits(bits: u128) -> Self {
        ((bits >> 96) as u32).to_be()
    }

    fn ip(bits: u128) -> IpAddr {
        Ipv4Addr::from_bits((bits >> 96) as u32).into()
    }

    fn address(net: u8, host: u32) -> Self {
        let [_, b, c, d] = host.to_be_bytes();
        u32::from_ne_bytes(Ipv4Addr::new(net, b, c, d).octets())
    }

    fn mapped(self) -> [u32; 4] {
        addr::mapped(self)
    }

    fn table(plane: &Plane) -> &Mapped<Bucket<Self>> {
        plane.flows4()
    }

    fn header(length: u16) -> Vec<u8> {
        let mut header = vec![0; 12];
        header[0] = 0x45;
        header[2..4].copy_from_slice(&(20 + length).to_be_bytes());
        header[8] = 64;
        header[9] = Transport::Tcp.number();
        header
    }
}

impl Family for [u64; 2] {
    const NAME: &'static str = "IPv6";
    const NUMBER: u16 = 6;
    const ETHERTYPE: u16 = 0x86dd;
    const KEYS: &'static str = "KEYS6";
    const ENTRY: &'static str = "bench_entry6";
    const FAMILY: lb_userspace::model::Family = lb_userspace::model::Family::V6;
    const LIST: &'static str = "bench_list6";
    const KERNEL_TRIE: &'static str = "bench_lpm6";
    const KERNEL_TRIE_MAP: &'static str = "LPM6";
    const LENGTHS: [u8; 8] = [29, 32, 32, 40, 44, 48, 48, 64];

    fn from_bits(bits: u128) -> Self {
        let octets = bits.to_be_bytes();
        let half = |i: usize| u64::from_ne_bytes(std::array::from_fn(|j| octets[8 * i + j]));
        [half(0), half(1)]
    }

    fn ip(bits: u128) -> IpAddr {
        // Global unicast, as all that are in use (RFC 4291, section 2.4).
        Ipv6Addr::from_bits(0x2_u128 << 124 | bits >> 4).into()
    }

    fn address(net: u8, host: u32) -> Self {
        let [a, b] = [host >> 16, host & 0xffff].map(|part| part as u16);
        let octets = Ipv6Addr::new(0x2001, 0xdb8, net.into(), 0, 0, 0, a, b).octets();
        let half = |i: usize| u64::from_ne_bytes(std::array::from_fn(|j| octets[8 * i + j]));
        [half(0), half(1)]
    }

    fn mapped(self) -> [u32; 4] {
        addr::narrow(self)
    }

    fn table(plane: &Plane) -> &Mapped<Bucket<Self>> {
        plane.flows6()
    }

    fn header(length: u16) -> Vec<u8> {
        let mut header = vec![0; 8];
        header[0] = 0x60;
        header[4..6].copy_from_slice(&length.to_be_bytes());
        header[6] = Transport::Tcp.number();
        header[7] = 64;
        header
    }
}

/// The service's address.
pub(super) fn vip<A: Family>() -> A {
    A::address(192, 1)
}

/// The address of server number `server`.
pub(super) fn server<A: Family>(server: u32) -> A {
    A::address(172, 1 + server)
}

/// Address number `number` that flows to servers come from.
pub(super) fn snat<A: Family>(number: u32) -> A {
    A::address(198, 1 + number)
}

/// What client number `client` sends.
fn client_key<A: Family>(client: u32) -> FlowKey<A> {
    // Ports spread as they do when each client picks a random one.
    let port = 32_768 + (client.wrapping_mul(0x9e37_79b1) >> 18) as u16;
    FlowKey {
        src: A::address(10, client),
        dst: vip(),
        ports: ports(port.to_be(), SERVICE_PORT.to_be()),
    }
}

/// What its server answers.
fn server_key<A: Family>(client: u32) -> FlowKey<A> {
    let port = SNAT_PORTS.0 + (client % FLOWS_PER_SNAT) as u16;
    FlowKey {
        src: server(client % SERVERS),
        dst: snat(client / FLOWS_PER_SNAT),
        ports: ports(SERVICE_PORT.to_be(), port.to_be()),
    }
}

/// Keys of `count` packets of clients that have no flow, in random order.
pub(super) fn new_keys<A: Family>(count: u32) -> Vec<FlowKey<A>> {
    let mut keys: Vec<_> = (0..count).map(client_key).collect();
    shuffle(&mut keys);
    keys
}

/// The flow table, seen from outside of the program.
pub(super) struct FlowTable<'a, A> {
    buckets: &'a Mapped<Bucket<A>>,
    hash_key: HashKey,
    notes: UnsafeCell<Notes>,
}

/// What a flow's entries hold besides its keys.
#[derive(Clone, Copy)]
pub(super) struct Common {
    /// Where clients' packets come from.
    pub(super) origin: Origin,
    /// Member and real id of the first server.
    pub(super) first_server: u16,
    /// The tick now.
    pub(super) now: u32,
}

impl<'a, A: Family> FlowTable<'a, A> {
    pub(super) fn new(plane: &'a Plane) -> Self {
        Self {
            buckets: A::table(plane),
            hash_key: plane.sizes().hash_key,
            notes: UnsafeCell::default(),
        }
    }

    /// Forgets all flows.
    pub(super) fn clear(&self) {
        let all = self.buckets.len() as usize;
        // SAFETY: all of the mapping; zero bytes are a bucket of free slots.
        unsafe { self.buckets.pointer(0).write_bytes(0, all) };
    }

    /// Fills the empty table with `count` open flows. Gives the keys of their packets in
    /// `direction`, in random order.
    pub(super) fn fill(
        &self,
        count: u32,
        direction: Direction,
        common: Common,
    ) -> Result<Vec<FlowKey<A>>> {
        let mut keys = Vec::with_capacity(count as usize);
        // Some clients find both of their buckets full.
        for client in 0..SNATS * FLOWS_PER_SNAT {
            if keys.len() == count as usize {
                shuffle(&mut keys);
                return Ok(keys);
            }
            if let Some(both) = self.open(client, common) {
                keys.push(both[direction as usize]);
            }
        }
        bail!("the flow table does not hold {count} flows")
    }

    /// Makes both entries of a client's flow, as the program would; gives their keys.
    fn open(&self, client: u32, common: Common) -> Option<[FlowKey<A>; 2]> {
        let keys = [client_key(client), server_key(client)];
        let forward = self.claim(&keys[0], common.now)?;
        let Some(reply) = self.claim(&keys[1], common.now) else {
            let slot = table::slot(self, forward)?;
            // SAFETY: in the mapping, and this process's own.
            table::abandon(
                slot,
                lb_common::flow::Word(unsafe { (*slot.pointer()).word }),
            );
            return None;
        };
        let server = common.first_server + (client % SERVERS) as u16;
        let entry = |from: FlowKey<A>, to: FlowKey<A>, twin| {
            let l3 = csum::delta(from.src.sum() + from.dst.sum(), to.src.sum() + to.dst.sum());
            let ports = csum::delta(from.ports.into(), to.ports.into());
            Slot {
                word: 0,
                src: from.src,
                dst: from.dst,
                new_src: to.src,
                new_dst: to.dst,
                ports: from.ports,
                new_ports: to.ports,
                twin,
                l3_delta: l3,
                l4_delta: csum::combine(l3, ports),
                member: server,
                real: server,
                origin: common.origin.pack(),
                seen: common.now,
                seq: 0,
                ack: 0,
            }
        };
        let back = entry(keys[1], keys[0].reversed(), forward);
        table::publish(table::slot(self, reply)?, &back, State::Reply);
        let out = entry(keys[0], keys[1].reversed(), reply);
        table::publish(table::slot(self, forward)?, &out, State::Open);
        Some(keys)
    }

    fn claim(&self, key: &FlowKey<A>, now: u32) -> Option<u32> {
        let place = Place::new(self.hash_key, key, Transport::Tcp, self.buckets());
        match table::claim(self, place, key, now) {
            Claim::Taken(index) => Some(index),
            _ => None,
        }
    }
}

// SAFETY: the mapping outlives the table, which borrows it.
unsafe impl<A: Family> Memory<A> for FlowTable<'_, A> {
    fn buckets(&self) -> u32 {
        self.buckets.len()
    }

    fn bucket(&self, index: u32) -> Option<*mut Bucket<A>> {
        (index < self.buckets.len()).then(|| self.buckets.pointer(index))
    }

    unsafe fn compare_exchange(&self, word: *mut u64, old: u64, new: u64) -> u64 {
        // SAFETY: in a bucket, by the caller's promise; buckets are aligned.
        let word = unsafe { AtomicU64::from_ptr(word) };
        match word.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(before) | Err(before) => before,
        }
    }

    // Nobody reads the counts of what is measured here.
    fn count(&self, _member: u16, _flows: i64, _active: i64, _open: i64) {}

    fn load(&self, _real: u16, _open: i64, _unproved: i64) {}

    fn idle_timeout(&self, _member: u16) -> u32 {
        u32::MAX / 2
    }

    fn notes(&self) -> Option<*mut Notes> {
        Some(self.notes.get())
    }
}

/// Brings the keys into an order that no prefetcher guesses; the same every time.
fn shuffle<T>(keys: &mut [T]) {
    let mut state = 0x853c_49e6_748f_ea9b_u64;
    for i in (1..keys.len()).rev() {
        // A step of splitmix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        keys.swap(i, ((mixed ^ mixed >> 31) % (i as u64 + 1)) as usize);
    }
}
