//! A balancer without an agent: the program with a service, its servers and one interface.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use aya::maps::lpm_trie::{self, LpmTrie};
use aya::maps::{Array, ProgramArray};
use aya::programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader, Pod, include_bytes_aligned};
use lb_common::access::Node;
use lb_common::addr::Address;
use lb_common::flow::{BUCKET_SLOTS, FlowKey, Origin};
use lb_common::limit::Limit;
use lb_common::map;
use lb_common::service::{Member, Mode, Pick, Port, Real, Service, ServiceKey, SnatSource};
use lb_common::time;
use lb_common::verdict::{DropReason, PassReason};
use lb_userspace::access::Prefix;

use super::flows::{self, Common, Family, FlowTable, SERVERS, SERVICE_PORT, SNAT_PORTS, SNATS};
use crate::plane::{Mapped, Plane, Sizes, XdpMd};

static BENCH: &[u8] = include_bytes_aligned!(env!("LB_EBPF_BENCH_OBJECT"));

/// MAC address of the balancer's interface.
pub(super) const LB_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// MAC address of whoever is beyond it: clients and servers alike.
pub(super) const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

const XDP_TX: u32 = 3;
/// Where the service's active flows are counted; those of servers by their real id.
const SERVICE_GAUGE: u16 = 1_000;
const TCP_HEADER: usize = 20;

/// Flags of the packets' TCP headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Flags {
    Syn = 0x02,
    Ack = 0x10,
}

/// Packets that the balancer counted as forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forwarded(pub(super) u64);

/// Frames that came back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sunk {
    /// All of them.
    pub(super) frames: u64,
    /// Those that came in `time`: without the run's beginning and end.
    pub(super) timed: u64,
    pub(super) time: Duration,
}

/// Frames between two looks at the clock by the program that counts them.
const SINK_ROUND: u64 = 1024;

/// Both objects, loaded, and what the balancer is told.
pub(super) struct World {
    pub(super) plane: Plane,
    pub(super) bench: Ebpf,
    ifindex: u32,
    /// Nodes of access lists written so far.
    lists: u32,
}

/// Nodes, and prefixes, that there is room for.
const LISTS: u32 = 400_000;

impl World {
    /// A balancer on one interface, with a table for `capacity` flows of each family.
    pub(super) fn new(ifindex: u32, capacity: u32) -> Result<Self> {
        // Two entries a flow, three quarters full.
        let buckets = (u64::from(capacity) * 2 * 4 / 3).div_ceil(BUCKET_SLOTS.into()) as u32;
        let plane = Plane::load(Sizes {
            buckets4: buckets,
            buckets6: buckets,
            cpus: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
            access: LISTS,
            ..Sizes::default()
        })?;
        let macs: [u8; 12] = std::array::from_fn(|i| [LB_MAC, PEER_MAC].as_flattened()[i]);
        let mut bench = EbpfLoader::new()
            .override_global("FRAME_MACS", &macs, true)
            .map_max_entries("KEYS4", capacity)
            .map_max_entries("KEYS6", capacity)
            .map_max_entries("LIST", LISTS)
            .map_max_entries("LPM4", LISTS)
            .map_max_entries("LPM6", LISTS)
            .load(BENCH)
            .context("cannot load the programs that measure")?;
        for name in [
            "bench_entry4",
            "bench_entry6",
            "bench_floor",
            "bench_sink",
            "bench_list4",
            "bench_list6",
            "bench_lpm4",
            "bench_lpm6",
        ] {
            program(&mut bench, name)?.load()?;
        }
        let mut world = Self {
            plane,
            bench,
            ifindex,
            lists: 0,
        };
        let (mac_head, mac_tail) = split(LB_MAC);
        let port = Port {
            mac_head,
            mac_tail,
            known: 1,
            mtu: 1500,
        };
        world.plane.set_port(ifindex, port)?;
        world.describe::<u32>()?;
        world.describe::<[u64; 2]>()?;
        Ok(world)
    }

    /// What an agent would write for a service of one family.
    fn describe<A: Family>(&mut self) -> Result<()> {
        let plane = &mut self.plane;
        let macs = [PEER_MAC, LB_MAC].concat();
        let ethernet =
            std::array::from_fn(|i| u32::from_ne_bytes(std::array::from_fn(|j| macs[4 * i + j])));
        let first = first_server::<A>();
        // Each family has its own part of every array.
        let snat_base = if A::NUMBER == 4 { 0 } else { SNATS };
        let sources: Vec<_> = (0..SNATS)
            .map(|number| SnatSource {
                addr: flows::snat::<A>(number).mapped(),
                port_low: SNAT_PORTS.0,
                port_high: SNAT_PORTS.1,
            })
            .collect();
        plane.set_snat(snat_base, &sources)?;
        for number in 0..SERVERS {
            let id = first + number as u16;
            let real = Real {
                ethernet,
                ifindex: self.ifindex,
                mtu: 1500,
                snat_base,
                snat_count: SNATS,
                port: SERVICE_PORT.to_be(),
                family: A::NUMBER,
                addr: flows::server::<A>(number).mapped(),
                mode: Mode::Nat as u8,
                zero: [0; 11],
                ports: 12_768,
            };
            let member = Member {
                real: id,
                service: A::NUMBER,
                idle_timeout: IDLE,
                weight: 1,
                gauge: id,
                service_gauge: SERVICE_GAUGE,
                ..Member::default()
            };
            plane.set_real(id, real)?;
            plane.set_member(id, member)?;
            plane.set_ring(ring_base::<A>() + number, &[id.into()])?;
        }
        self.serve::<A>(0, Limit::default())
    }

    /// Describes one family's service, with an access list and a limit.
    pub(super) fn serve<A: Family>(&mut self, access: u32, limit: Limit) -> Result<()> {
        let key = ServiceKey {
            addr: flows::vip::<A>().mapped(),
            port: SERVICE_PORT.to_be(),
            protocol: 6,
            zero: 0,
        };
        let service = Service {
            id: A::NUMBER,
            pick: Pick::HashTuple as u8,
            ring_base: ring_base::<A>(),
            ring_len: SERVERS,
            idle_timeout: IDLE,
            gauge: SERVICE_GAUGE,
            access,
            limit,
            ..Service::default()
        };
        self.plane.set_service(key, service)
    }

    /// Adds an access list to the balancer's; gives what a service says to refer to it.
    pub(super) fn add_list(&mut self, nodes: &[Node]) -> u32 {
        self.plane.set_access(self.lists, nodes);
        let reference = self.lists + 1;
        self.lists += nodes.len() as u32;
        reference
    }

    /// Writes the list of the programs that do nothing but look up.
    pub(super) fn write_list(&mut self, nodes: &[Node]) -> Result<()> {
        let map = Mapped::<Node>::new(&self.bench, "LIST")?;
        for (index, node) in (0..).zip(nodes) {
            // SAFETY: in the mapping; no program runs.
            unsafe { map.pointer(index).write(*node) };
        }
        Ok(())
    }

    /// Adds prefixes to the kernel's trie.
    pub(super) fn write_kernel_trie<A: Family>(&mut self, prefixes: &[Prefix]) -> Result<()> {
        let map = self.bench.map_mut(A::KERNEL_TRIE_MAP);
        let map = map.with_context(|| format!("no map {}", A::KERNEL_TRIE_MAP))?;
        let mut trie = LpmTrie::<_, A, u32>::try_from(map)?;
        for prefix in prefixes {
            let key = lpm_trie::Key::new(prefix.length().into(), A::from_bits(prefix.bits()));
            trie.insert(&key, 1, 0)?;
        }
        Ok(())
    }

    /// Look-ups that found nothing, since this was last asked.
    pub(super) fn not_found(&mut self) -> Result<u64> {
        let map = self.bench.map("NOT_FOUND").context("no map NOT_FOUND")?;
        let count = Array::<_, u64>::try_from(map)?.get(&0, 0)?;
        set(&mut self.bench, "NOT_FOUND", 0, 0_u64)?;
        Ok(count)
    }

    /// One family's flow table.
    pub(super) fn flows<A: Family>(&self) -> FlowTable<'_, A> {
        FlowTable::new(&self.plane)
    }

    /// What all flows have in common.
    pub(super) fn common<A: Family>(&self) -> Common {
        let (mac_head, mac_tail) = split(PEER_MAC);
        Common {
            origin: Origin {
                mac_head,
                mac_tail,
                ifindex: self.ifindex as u16,
            },
            first_server: first_server::<A>(),
            now: Plane::now(),
        }
    }

    /// Says what the next packets are for.
    pub(super) fn aim<A: Family>(&mut self, keys: &[FlowKey<A>]) -> Result<()> {
        let map = Mapped::<Key<A>>::new(&self.bench, A::KEYS)?;
        for (index, key) in (0..).zip(keys) {
            // SAFETY: in the mapping; no program runs.
            unsafe { map.pointer(index).write(Key(*key)) };
        }
        set(&mut self.bench, "COUNT", 0, keys.len() as u32)?;
        self.rewind()
    }

    /// Starts with the first key again.
    pub(super) fn rewind(&mut self) -> Result<()> {
        set(&mut self.bench, "PROGRESS", 0, [0_u32; 2])?;
        Ok(())
    }

    /// Puts a program in the place that is measured.
    pub(super) fn under_test(&mut self, candidate: Candidate) -> Result<()> {
        let fd = self.candidate(candidate)?.fd()?.try_clone()?;
        let jumps = self.bench.map_mut("UNDER_TEST").context("no jump table")?;
        ProgramArray::try_from(jumps)?.set(0, &fd, 0)?;
        Ok(())
    }

    /// The program itself.
    pub(super) fn candidate(&mut self, candidate: Candidate) -> Result<&mut Xdp> {
        match candidate {
            Candidate::Balancer => program(self.plane.ebpf(), map::PROGRAM),
            Candidate::Floor => program(&mut self.bench, "bench_floor"),
            Candidate::Other(name) => program(&mut self.bench, name),
        }
    }

    /// Leaves the place that is measured empty: the entry programs then send the frames they make.
    pub(super) fn nothing_under_test(&mut self) -> Result<()> {
        let jumps = self.bench.map_mut("UNDER_TEST").context("no jump table")?;
        // It may be empty already.
        drop(ProgramArray::try_from(jumps)?.clear_index(&0));
        Ok(())
    }

    /// Makes `packets` frames and sends them out by `ifindex`, `batch` at a time.
    pub(super) fn send<A: Family>(&mut self, ifindex: u32, packets: u32, batch: u32) -> Result<()> {
        let frame = frame::<A>(Flags::Ack);
        let context = XdpMd::new(frame.len() as u32, ifindex);
        let options = TestRunOptions {
            data_in: Some(&frame),
            ctx_in: Some(context.bytes()),
            repeat: packets,
            attrs: TestRunAttrs::new().xdp_live_frames(batch),
            ..TestRunOptions::new()
        };
        program(&mut self.bench, A::ENTRY)?.test_run(options)?;
        Ok(())
    }

    /// Forgets the frames that came back.
    pub(super) fn empty_sink(&mut self) -> Result<()> {
        set(&mut self.bench, "SUNK", 0, [0_u64; 3])
    }

    /// Frames that came back.
    pub(super) fn sunk(&self) -> Result<Sunk> {
        let map = self.bench.map("SUNK").context("no map SUNK")?;
        let [frames, first, last] = Array::<_, [u64; 3]>::try_from(map)?.get(&0, 0)?;
        Ok(Sunk {
            frames,
            timed: (frames - frames % SINK_ROUND).saturating_sub(SINK_ROUND),
            time: Duration::from_nanos(last - first),
        })
    }

    /// Sends `packets` frames through the program under test, which must forward them all. Gives
    /// the time that each took, the frame's making included.
    pub(super) fn run<A: Family>(&mut self, flags: Flags, packets: u32) -> Result<Duration> {
        let options = TestRunOptions {
            data_in: Some(&frame::<A>(flags)),
            repeat: packets,
            ..TestRunOptions::new()
        };
        let result = program(&mut self.bench, A::ENTRY)?.test_run(options)?;
        ensure!(
            result.return_value == XDP_TX,
            "the last packet was not sent but got XDP action {}",
            result.return_value
        );
        Ok(result.duration)
    }

    /// Packets forwarded so far.
    pub(super) fn forwarded(&self) -> Result<Forwarded> {
        let mut sum = 0;
        for member in 1..=2 * SERVERS as u16 {
            let stats = self.plane.stats(member)?;
            sum += stats.packets_in + stats.packets_out;
        }
        Ok(Forwarded(sum))
    }

    /// Fails unless exactly `packets` were forwarded since `before`.
    pub(super) fn expect_forwarded(&self, before: Forwarded, packets: u64) -> Result<()> {
        let forwarded = self.forwarded()?.0 - before.0;
        if forwarded != packets {
            bail!(
                "{forwarded} of {packets} packets were forwarded; others: {}",
                self.verdicts()?
            );
        }
        Ok(())
    }

    /// Why packets were not forwarded.
    fn verdicts(&self) -> Result<String> {
        let drops = DropReason::ALL.iter().map(|&r| (r as u32, r.name()));
        let passes = PassReason::ALL.iter().map(|&r| (r as u32, r.name()));
        let mut text = Vec::new();
        for (number, name) in drops.chain(passes) {
            let count = self.plane.verdicts(number)?;
            if count != 0 {
                text.push(format!("{name} {count}"));
            }
        }
        Ok(text.join(", "))
    }
}

/// A key as the entry programs' arrays hold it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Key<A>(FlowKey<A>);

// SAFETY: integers, whatever the address; the alignment's padding is never read.
unsafe impl<A: Address + 'static> aya::Pod for Key<A> {}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Candidate {
    /// The balancer's program.
    Balancer,
    /// A program that does nothing but `return XDP_TX`.
    Floor,
    /// One of the programs that measure.
    Other(&'static str),
}

/// A program of an object by name.
pub(super) fn program<'a>(object: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = object.program_mut(name);
    let program = program.with_context(|| format!("no program {name}"))?;
    Ok(program.try_into()?)
}

/// Writes one value of an array.
fn set<T: Pod>(object: &mut Ebpf, name: &str, index: u32, value: T) -> Result<()> {
    let map = object
        .map_mut(name)
        .with_context(|| format!("no map {name}"))?;
    Array::try_from(map)?.set(index, value, 0)?;
    Ok(())
}

/// A frame without addresses and ports, which the entry program fills in.
pub(super) fn frame<A: Family>(flags: Flags) -> Vec<u8> {
    let mut frame = [LB_MAC, PEER_MAC].concat();
    frame.extend(A::ETHERTYPE.to_be_bytes());
    frame.extend(A::header(TCP_HEADER as u16));
    frame.extend(vec![0; 2 * size_of::<A>()]);
    let mut tcp = [0; TCP_HEADER];
    tcp[12] = (TCP_HEADER as u8 / 4) << 4;
    tcp[13] = flags as u8;
    frame.extend(tcp);
    frame
}

fn split(mac: [u8; 6]) -> (u32, u16) {
    let [a, b, c, d, e, f] = mac;
    (u32::from_ne_bytes([a, b, c, d]), u16::from_ne_bytes([e, f]))
}

/// Ticks after which an open flow may be forgotten.
const IDLE: u32 = time::ticks(24 * 3600);

/// Where a family's ring starts.
fn ring_base<A: Family>() -> u32 {
    if A::NUMBER == 4 { 0 } else { SERVERS }
}

/// Member and real id of a family's first server.
fn first_server<A: Family>() -> u16 {
    if A::NUMBER == 4 {
        1
    } else {
        1 + SERVERS as u16
    }
}
