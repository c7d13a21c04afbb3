//! Maps and read-only globals; their names and meaning are in `lb_common::map`.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, DevMapHash, HashMap, LruHashMap, PerCpuArray, ProgramArray, RingBuf};
use lb_common::access::Node;
use lb_common::challenge;
use lb_common::event::{Account, Tally};
use lb_common::flow::Bucket;
use lb_common::hash::HashKey;
use lb_common::limit::SourceBucket;
use lb_common::load::Load;
use lb_common::map::{
    ACCESS_NODES_MIN, GAUGES_MAX, MEMBERS_MAX, PORTS_MAX, PROOF_LINES, REALS_MAX, RING_SLOTS,
    SERVICE_DROPS_MIN, SERVICE_IDS_MAX, SERVICES_MAX, SNAT_MAX, SOURCE_BUCKETS, SYNS_MAX, Stage,
    TX_PORTS_MAX,
};
use lb_common::service::{
    Counts, Member, Port, Real, Service, ServiceKey, SnatSource, Stats, Stick, StickKey,
};
use lb_common::siphash;
use lb_common::table::Sweep;
use lb_common::verdict::{ServiceDrops, VERDICT_COUNTERS};

use crate::scratch::Scratch;

#[map]
pub(crate) static SERVICES: HashMap<ServiceKey, Service> =
    HashMap::with_max_entries(SERVICES_MAX, 0);
#[map]
pub(crate) static RING: Array<u32> = Array::with_max_entries(RING_SLOTS, BPF_F_MMAPABLE);
#[map]
pub(crate) static MEMBERS: Array<Member> = Array::with_max_entries(MEMBERS_MAX, 0);
#[map]
pub(crate) static STATS: PerCpuArray<Stats> = PerCpuArray::with_max_entries(MEMBERS_MAX, 0);
#[map]
pub(crate) static COUNTS: Array<Counts> = Array::with_max_entries(MEMBERS_MAX, BPF_F_MMAPABLE);
#[map]
pub(crate) static REALS: Array<Real> = Array::with_max_entries(REALS_MAX, 0);
#[map]
pub(crate) static SNAT: Array<SnatSource> = Array::with_max_entries(SNAT_MAX, 0);
#[map]
pub(crate) static PORTS: Array<Port> = Array::with_max_entries(PORTS_MAX, 0);
#[map]
pub(crate) static TX_PORTS: DevMapHash = DevMapHash::with_max_entries(TX_PORTS_MAX, 0);
#[map]
pub(crate) static TURNS: Array<u64> = Array::with_max_entries(SERVICE_IDS_MAX, 0);
#[map]
pub(crate) static GAUGES: Array<u64> = Array::with_max_entries(GAUGES_MAX, BPF_F_MMAPABLE);
// The loader gives it the size that services ask for.
#[map]
pub(crate) static STICKS: LruHashMap<StickKey, Stick> = LruHashMap::with_max_entries(1, 0);
#[map]
pub(crate) static PORT_CURSORS: PerCpuArray<u32> = PerCpuArray::with_max_entries(REALS_MAX, 0);
#[map]
pub(crate) static VERDICTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(VERDICT_COUNTERS, 0);
// The loader makes it as long as the lists are.
#[map]
pub(crate) static ACCESS: Array<Node> = Array::with_max_entries(ACCESS_NODES_MIN, BPF_F_MMAPABLE);
#[map]
pub(crate) static SOURCES: Array<SourceBucket> =
    Array::with_max_entries(SOURCE_BUCKETS, BPF_F_MMAPABLE);
// The loader makes it as long as there are services.
#[map]
pub(crate) static SERVICE_DROPS: PerCpuArray<ServiceDrops> =
    PerCpuArray::with_max_entries(SERVICE_DROPS_MIN, 0);
#[map]
pub(crate) static SWEEP: Array<Sweep> = Array::with_max_entries(1, BPF_F_MMAPABLE);
// The loader gives both tables their real size.
#[map]
pub(crate) static FLOWS4: Array<Bucket<u32>> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
pub(crate) static FLOWS6: Array<Bucket<[u64; 2]>> = Array::with_max_entries(1, BPF_F_MMAPABLE);
// These too: starts are as long as the tables; the others only if they are wanted.
#[map]
pub(crate) static STARTS4: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
pub(crate) static STARTS6: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
pub(crate) static ACCOUNTS4: Array<Account> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
pub(crate) static ACCOUNTS6: Array<Account> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(4096, 0);
#[map]
pub(crate) static EVENT_TALLY: Array<Tally> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
pub(crate) static STAGES: ProgramArray = ProgramArray::with_max_entries(Stage::ALL.len() as u32, 0);
#[map]
pub(crate) static REAL_LOADS: Array<Load> = Array::with_max_entries(REALS_MAX, BPF_F_MMAPABLE);
#[map]
pub(crate) static TABLE_LOADS: Array<Load> = Array::with_max_entries(2, BPF_F_MMAPABLE);
#[map]
pub(crate) static PROOFS: Array<[u64; challenge::PROOFS as usize]> =
    Array::with_max_entries(PROOF_LINES, 0);
#[map]
pub(crate) static SYNS: Array<u32> = Array::with_max_entries(SYNS_MAX, 0);
#[map]
pub(crate) static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

#[unsafe(no_mangle)]
static HASH_KEY: HashKey = HashKey::new(0, 0);
#[unsafe(no_mangle)]
static COOKIE_KEY: siphash::Key = [0; 2];
#[unsafe(no_mangle)]
static CHALLENGE: u32 = 0;
#[unsafe(no_mangle)]
static BUCKETS4_LEN: u32 = 1;
#[unsafe(no_mangle)]
static BUCKETS6_LEN: u32 = 1;
#[unsafe(no_mangle)]
static CPUS: u32 = 1;
#[unsafe(no_mangle)]
static EVENT_KINDS: u32 = 0;
#[unsafe(no_mangle)]
static ACCOUNTING: u32 = 0;
#[unsafe(no_mangle)]
static USE_STICKS: u32 = 0;
#[unsafe(no_mangle)]
static USE_REDISPATCH: u32 = 0;

/// Reads a global that the loader has set: volatile, or the compiler would fold in the value above.
macro_rules! global {
    ($name:ident) => {
        // SAFETY: a static's address is valid and aligned.
        unsafe { core::ptr::addr_of!($name).read_volatile() }
    };
}

#[inline(always)]
pub(crate) fn hash_key() -> HashKey {
    global!(HASH_KEY)
}

#[inline(always)]
pub(crate) fn cookie_key() -> siphash::Key {
    global!(COOKIE_KEY)
}

/// A [`challenge::When`].
#[inline(always)]
pub(crate) fn challenge() -> u32 {
    global!(CHALLENGE)
}

#[inline(always)]
pub(crate) fn buckets4() -> u32 {
    global!(BUCKETS4_LEN)
}

#[inline(always)]
pub(crate) fn buckets6() -> u32 {
    global!(BUCKETS6_LEN)
}

#[inline(always)]
pub(crate) fn cpus() -> u32 {
    global!(CPUS)
}

/// The bits of the kinds of events that are wanted.
#[inline(always)]
pub(crate) fn event_kinds() -> u32 {
    global!(EVENT_KINDS)
}

#[inline(always)]
pub(crate) fn accounting() -> bool {
    global!(ACCOUNTING) != 0
}

#[inline(always)]
pub(crate) fn use_sticks() -> u32 {
    global!(USE_STICKS)
}

#[inline(always)]
pub(crate) fn use_redispatch() -> u32 {
    global!(USE_REDISPATCH)
}
