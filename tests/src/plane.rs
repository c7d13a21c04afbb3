//! The real XDP programs, loaded but attached to nothing: packets go in and come out by
//! BPF_PROG_TEST_RUN, maps are set and read by the test.
//!
//! A program run so sees the interfaces of the calling thread's network namespace, and the kernel
//! refuses an interface index that does not exist there: see [`ports`].

pub mod decap;
mod mapped;
pub mod ports;
mod run;

use anyhow::{Context, Result};
use aya::maps::{Array, DevMapHash, HashMap, MapData, PerCpuArray, RingBuf};
use aya::{Ebpf, EbpfLoader, Pod};
use lb_common::access::Node;
use lb_common::addr::Address;
use lb_common::challenge::{Memory, PROOFS, Proof, When};
use lb_common::event::{Event, Kind, Tally};
use lb_common::flow::{BUCKET_SLOTS, Bucket, Slot};
use lb_common::hash::HashKey;
use lb_common::limit::SourceBucket;
use lb_common::load::Load;
use lb_common::map;
use lb_common::service::{
    Counts, Member, Port, Real, Service, ServiceKey, SnatSource, Stats, Stick, StickKey,
};
use lb_common::siphash::Key;
use lb_common::table::Sweep;
use lb_common::verdict::ServiceDrops;
use lb_userspace::dataplane::kernel::{self, load_programs};

pub use self::mapped::Mapped;
pub(crate) use self::run::XdpMd;
pub use self::run::{Ran, Verdict};

/// The secret of cookies.
pub const COOKIE_KEY: Key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];

/// What the programs are loaded with.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Buckets of the IPv4 flow table.
    pub buckets4: u32,
    /// Buckets of the IPv6 flow table.
    pub buckets6: u32,
    /// What the program takes for the number of processors.
    pub cpus: u32,
    /// Slots of all rings together.
    pub ring: u32,
    /// Entries of the map of clients' servers; zero: the part of the programs that uses it is off.
    pub sticks: u32,
    /// Whether flows may leave servers that do not take them.
    pub redispatch: bool,
    /// Nodes of all access lists together.
    pub access: u32,
    /// When new sources are challenged.
    pub challenge: When,
    /// Key of the flow table's hash.
    pub hash_key: HashKey,
    /// Whether flows that open and end are told of, and their packets and bytes counted.
    pub watched: bool,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            buckets4: 64,
            buckets6: 64,
            cpus: 1,
            ring: 4_096,
            sticks: 0,
            redispatch: false,
            access: 4_096,
            challenge: When::Never,
            hash_key: HashKey::new(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3211),
            watched: false,
        }
    }
}

/// The loaded programs with their maps.
#[derive(Debug)]
pub struct Plane {
    ebpf: Ebpf,
    sizes: Sizes,
    flows4: Mapped<Bucket<u32>>,
    flows6: Mapped<Bucket<[u64; 2]>>,
    counts: Mapped<Counts>,
    gauges: Mapped<u64>,
    sweep: Mapped<Sweep>,
    access: Mapped<Node>,
    sources: Mapped<SourceBucket>,
    real_loads: Mapped<Load>,
    table_loads: Mapped<Load>,
}

impl Plane {
    /// Loads the programs. Needs root.
    pub fn load(sizes: Sizes) -> Result<Self> {
        let key = [sizes.hash_key.add, sizes.hash_key.multiply];
        let (slots4, slots6) = (sizes.buckets4 * BUCKET_SLOTS, sizes.buckets6 * BUCKET_SLOTS);
        let watched = u32::from(sizes.watched);
        let kinds = watched * (Kind::Opened.bit() | Kind::Closed.bit());
        let accounts = |slots: u32| if sizes.watched { slots } else { 1 };
        let mut ebpf = EbpfLoader::new()
            .override_global("HASH_KEY", &key[..], true)
            .override_global(map::COOKIE_KEY, &COOKIE_KEY[..], true)
            .override_global(map::CHALLENGE, &(sizes.challenge as u32), true)
            .override_global(map::BUCKETS4, &sizes.buckets4, true)
            .override_global(map::BUCKETS6, &sizes.buckets6, true)
            .override_global(map::CPUS, &sizes.cpus, true)
            .override_global(map::EVENT_KINDS, &kinds, true)
            .override_global(map::ACCOUNTING, &watched, true)
            .override_global(map::USE_STICKS, &u32::from(sizes.sticks > 0), true)
            .override_global(map::USE_REDISPATCH, &u32::from(sizes.redispatch), true)
            .map_max_entries(map::STICKS, sizes.sticks.max(1))
            .map_max_entries(map::FLOWS4, sizes.buckets4)
            .map_max_entries(map::FLOWS6, sizes.buckets6)
            .map_max_entries(map::STARTS4, slots4)
            .map_max_entries(map::STARTS6, slots6)
            .map_max_entries(map::ACCOUNTS4, accounts(slots4))
            .map_max_entries(map::ACCOUNTS6, accounts(slots6))
            .map_max_entries(map::RING, sizes.ring)
            .map_max_entries(map::ACCESS, sizes.access)
            .load(lb_userspace::OBJECT)
            .context("cannot load the BPF object")?;
        load_programs(&mut ebpf)?;
        Ok(Self {
            flows4: Mapped::new(&ebpf, map::FLOWS4)?,
            flows6: Mapped::new(&ebpf, map::FLOWS6)?,
            counts: Mapped::new(&ebpf, map::COUNTS)?,
            gauges: Mapped::new(&ebpf, map::GAUGES)?,
            sweep: Mapped::new(&ebpf, map::SWEEP)?,
            access: Mapped::new(&ebpf, map::ACCESS)?,
            sources: Mapped::new(&ebpf, map::SOURCES)?,
            real_loads: Mapped::new(&ebpf, map::REAL_LOADS)?,
            table_loads: Mapped::new(&ebpf, map::TABLE_LOADS)?,
            ebpf,
            sizes,
        })
    }

    /// What it was loaded with.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// The loader's object, for what this type does not offer.
    pub fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Writes a listening address or an address mark.
    pub fn set_service(&mut self, key: ServiceKey, service: Service) -> Result<()> {
        let mut map: HashMap<_, ServiceKey, Service> = self.map_mut(map::SERVICES)?.try_into()?;
        Ok(map.insert(key, service, 0)?)
    }

    /// A listening address as it was written.
    pub fn service(&self, key: ServiceKey) -> Result<Service> {
        let map: HashMap<_, ServiceKey, Service> = self.map(map::SERVICES)?.try_into()?;
        Ok(map.get(&key, 0)?)
    }

    /// Removes a listening address.
    pub fn remove_service(&mut self, key: ServiceKey) -> Result<()> {
        let mut map: HashMap<_, ServiceKey, Service> = self.map_mut(map::SERVICES)?.try_into()?;
        Ok(map.remove(&key)?)
    }

    /// Writes ring slots (member ids) from `base` on.
    pub fn set_ring(&mut self, base: u32, members: &[u32]) -> Result<()> {
        for (index, &member) in (base..).zip(members) {
            self.set_array(map::RING, index, member)?;
        }
        Ok(())
    }

    /// Writes a member.
    pub fn set_member(&mut self, id: u16, member: Member) -> Result<()> {
        self.set_array(map::MEMBERS, id.into(), member)
    }

    /// A member as it was written.
    pub fn member(&self, id: u16) -> Result<Member> {
        self.get_array(map::MEMBERS, id.into())
    }

    /// Writes a server.
    pub fn set_real(&mut self, id: u16, real: Real) -> Result<()> {
        self.set_array(map::REALS, id.into(), real)
    }

    /// A server as it was written.
    pub fn real(&self, id: u16) -> Result<Real> {
        self.get_array(map::REALS, id.into())
    }

    /// Writes NAT sources from `base` on.
    pub fn set_snat(&mut self, base: u32, sources: &[SnatSource]) -> Result<()> {
        for (index, &source) in (base..).zip(sources) {
            self.set_array(map::SNAT, index, source)?;
        }
        Ok(())
    }

    /// Describes an interface.
    pub fn set_port(&mut self, ifindex: u32, port: Port) -> Result<()> {
        self.set_array(map::PORTS, ifindex, port)
    }

    /// Lets frames leave by an interface of the calling thread's network namespace.
    pub fn allow_tx(&mut self, ifindex: u32) -> Result<()> {
        let mut map: DevMapHash<_> = self.map_mut(map::TX_PORTS)?.try_into()?;
        Ok(map.insert(ifindex, ifindex, None, 0)?)
    }

    /// Lets no frame leave by an interface any more.
    pub fn forbid_tx(&mut self, ifindex: u32) -> Result<()> {
        let mut map: DevMapHash<_> = self.map_mut(map::TX_PORTS)?.try_into()?;
        Ok(map.remove(ifindex)?)
    }

    /// Sets where the search for a source port towards a server goes on, on every processor.
    /// Zero: at a random place.
    pub fn set_port_cursor(&mut self, real: u16, turn: u32) -> Result<()> {
        let cpus =
            aya::util::nr_cpus().map_err(|(what, error)| anyhow::anyhow!("{what}: {error}"))?;
        let mut map: PerCpuArray<_, u32> = self.map_mut(map::PORT_CURSORS)?.try_into()?;
        Ok(map.set(real.into(), vec![turn; cpus].try_into()?, 0)?)
    }

    /// Packets counted under a verdict's number, over all processors.
    pub fn verdicts(&self, number: u32) -> Result<u64> {
        let map: PerCpuArray<_, u64> = self.map(map::VERDICTS)?.try_into()?;
        Ok(map.get(&number, 0)?.iter().sum())
    }

    /// Packets to a service that were dropped, by number of the reason, over all processors.
    pub fn service_drops(&self, service: u16) -> Result<ServiceDrops> {
        let map: PerCpuArray<_, ServiceDrops> = self.map(map::SERVICE_DROPS)?.try_into()?;
        let mut sum = ServiceDrops::default();
        for cpu in map.get(&service.into(), 0)?.iter() {
            for (sum, packets) in sum.packets.iter_mut().zip(cpu.packets) {
                *sum += packets;
            }
        }
        Ok(sum)
    }

    /// A member's packets and bytes, over all processors.
    pub fn stats(&self, member: u16) -> Result<Stats> {
        let map: PerCpuArray<_, Stats> = self.map(map::STATS)?.try_into()?;
        let mut sum = Stats::default();
        for cpu in map.get(&member.into(), 0)?.iter() {
            sum.packets_in += cpu.packets_in;
            sum.bytes_in += cpu.bytes_in;
            sum.packets_out += cpu.packets_out;
            sum.bytes_out += cpu.bytes_out;
        }
        Ok(sum)
    }

    /// A member's flows.
    pub fn counts(&self, member: u16) -> Counts {
        self.counts.read(member.into())
    }

    /// Active flows of a server or a service.
    pub fn gauge(&self, gauge: u16) -> u64 {
        self.gauges.read(gauge.into())
    }

    /// Sets the active flows of a server or a service.
    pub fn set_gauge(&self, gauge: u16, flows: u64) {
        // SAFETY: inside the mapping.
        unsafe { self.gauges.pointer(gauge.into()).write_volatile(flows) };
    }

    /// The server that a client had last, if it is known.
    pub fn stick(&self, key: StickKey) -> Result<Option<Stick>> {
        let map: HashMap<_, StickKey, Stick> = self.map(map::STICKS)?.try_into()?;
        match map.get(&key, 0) {
            Ok(stick) => Ok(Some(stick)),
            Err(aya::maps::MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Notes a client's server.
    pub fn set_stick(&mut self, key: StickKey, stick: Stick) -> Result<()> {
        let mut map: HashMap<_, StickKey, Stick> = self.map_mut(map::STICKS)?.try_into()?;
        Ok(map.insert(key, stick, 0)?)
    }

    /// Proofs of sources in one line of their table.
    pub fn proofs(&self, line: u32) -> [Proof; PROOFS as usize] {
        let line: [u64; PROOFS as usize] = self.get_array(map::PROOFS, line).expect("a line");
        line.map(Proof)
    }

    /// Writes a line of proofs.
    pub fn set_proofs(&mut self, line: u32, proofs: [Proof; PROOFS as usize]) {
        let proofs = proofs.map(|proof| proof.0);
        self.set_array(map::PROOFS, line, proofs).expect("a line");
    }

    /// What a place in the memory of challenged SYNs holds.
    pub fn challenged_syn(&self, place: u32) -> Memory {
        Memory(self.get_array(map::SYNS, place).expect("a place"))
    }

    /// Writes a place in the memory of challenged SYNs.
    pub fn set_challenged_syn(&mut self, place: u32, memory: Memory) {
        self.set_array(map::SYNS, place, memory.0).expect("a place");
    }

    /// Sets what flows hold, of all tables and servers, to nothing.
    pub fn clear_loads(&self) {
        for loads in [&self.real_loads, &self.table_loads] {
            for index in 0..loads.len() {
                // SAFETY: inside the mapping.
                unsafe { loads.pointer(index).write_volatile(Load::default()) };
            }
        }
    }

    /// Sets a member's flows to none, and its server's and service's active ones.
    pub fn clear_counts(&self, member: u16) -> Result<()> {
        let Member {
            gauge,
            service_gauge,
            ..
        } = self.member(member)?;
        self.set_gauge(gauge, 0);
        self.set_gauge(service_gauge, 0);
        // SAFETY: inside the mapping.
        unsafe {
            self.counts
                .pointer(member.into())
                .write_volatile(Counts::default());
        };
        Ok(())
    }

    /// The events that nobody has read yet.
    pub fn events(&mut self) -> Result<Vec<Event>> {
        let mut buffer = RingBuf::try_from(self.map_mut(map::EVENTS)?)?;
        let mut events = Vec::new();
        while let Some(record) = buffer.next() {
            anyhow::ensure!(record.len() == size_of::<Event>(), "{} bytes", record.len());
            // SAFETY: as long as an event, which is plain old data.
            events.push(unsafe { record.as_ptr().cast::<Event>().read_unaligned() });
        }
        Ok(events)
    }

    /// How many events were written, and lost.
    pub fn event_tally(&self) -> Result<Tally> {
        self.get_array(map::EVENT_TALLY, 0)
    }

    /// What flows hold of the source ports towards a server.
    pub fn real_load(&self, real: u16) -> Load {
        self.real_loads.read(real.into())
    }

    /// What flows hold of the IPv4 table (0) and of the IPv6 table (1).
    pub fn table_load(&self, table: u32) -> Load {
        self.table_loads.read(table)
    }

    /// How far expiry has come.
    pub fn sweep(&self) -> Sweep {
        self.sweep.read(0)
    }

    /// Writes nodes of access lists from `base` on.
    pub fn set_access(&self, base: u32, nodes: &[Node]) {
        for (index, &node) in (base..).zip(nodes) {
            // SAFETY: inside the mapping.
            unsafe { self.access.pointer(index).write_volatile(node) };
        }
    }

    /// Nodes that all access lists together may have.
    pub fn access_nodes(&self) -> u32 {
        self.access.len()
    }

    /// The table of sources, shared with the program.
    pub fn sources(&self) -> &Mapped<SourceBucket> {
        &self.sources
    }

    /// The IPv4 flow table, shared with the program.
    pub fn flows4(&self) -> &Mapped<Bucket<u32>> {
        &self.flows4
    }

    /// The IPv6 flow table, shared with the program.
    pub fn flows6(&self) -> &Mapped<Bucket<[u64; 2]>> {
        &self.flows6
    }

    /// The tick that the program would read now.
    pub fn now() -> u32 {
        kernel::now()
    }

    fn map(&self, name: &str) -> Result<&aya::maps::Map> {
        self.ebpf
            .map(name)
            .with_context(|| format!("the object has no map {name}"))
    }

    fn map_mut(&mut self, name: &str) -> Result<&mut aya::maps::Map> {
        self.ebpf
            .map_mut(name)
            .with_context(|| format!("the object has no map {name}"))
    }

    fn set_array<V: Pod>(&mut self, name: &str, index: u32, value: V) -> Result<()> {
        let mut map: Array<&mut MapData, V> = self.map_mut(name)?.try_into()?;
        map.set(index, value, 0)
            .with_context(|| format!("{name}[{index}]"))
    }

    fn get_array<V: Pod>(&self, name: &str, index: u32) -> Result<V> {
        let map: Array<&MapData, V> = self.map(name)?.try_into()?;
        map.get(&index, 0)
            .with_context(|| format!("{name}[{index}]"))
    }
}

impl<A: Address> Mapped<Bucket<A>> {
    /// Slots of all buckets.
    pub fn slots(&self) -> u32 {
        self.len() * BUCKET_SLOTS
    }

    /// A copy of the slot with this index.
    pub fn slot(&self, index: u32) -> Slot<A> {
        // SAFETY: the pointer is into the mapping.
        unsafe { self.slot_pointer(index).read_volatile() }
    }

    /// Writes a slot, word included.
    pub fn set_slot(&self, index: u32, slot: &Slot<A>) {
        // SAFETY: as above.
        unsafe { self.slot_pointer(index).write_volatile(*slot) };
    }

    /// All slots in use with their indices.
    pub fn used(&self) -> Vec<(u32, Slot<A>)> {
        (0..self.slots())
            .map(|index| (index, self.slot(index)))
            .filter(|(_, slot)| slot.word as u8 != 0)
            .collect()
    }

    fn slot_pointer(&self, index: u32) -> *mut Slot<A> {
        let bucket = self.pointer(index / BUCKET_SLOTS);
        // SAFETY: the remainder is below the number of a bucket's slots.
        unsafe { (&raw mut (*bucket).slots[(index % BUCKET_SLOTS) as usize]).cast() }
    }
}
