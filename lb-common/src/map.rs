//! Names and sizes of the maps and read-only globals.

/// Hash of [`crate::service::ServiceKey`] to [`crate::service::Service`].
pub const SERVICES: &str = "SERVICES";
/// Most listening addresses, address marks included.
pub const SERVICES_MAX: u32 = 16_384;

/// Array of `u32` member ids, memory-mapped: every service's ring is a slice of it.
pub const RING: &str = "RING";
/// Slots of all rings together, unless the agent asks for more when it loads the program.
pub const RING_SLOTS: u32 = 1 << 20;

/// Array of [`crate::service::Member`] by member id.
pub const MEMBERS: &str = "MEMBERS";
/// Per-processor array of [`crate::service::Stats`] by member id.
pub const STATS: &str = "STATS";
/// Memory-mapped array of [`crate::service::Counts`] by member id.
pub const COUNTS: &str = "COUNTS";
/// One more than the largest member id.
pub const MEMBERS_MAX: u32 = 16_384;

/// Array of [`crate::service::Real`] by real id.
pub const REALS: &str = "REALS";
/// Memory-mapped array of [`crate::load::Load`] by real id: who holds source ports towards a server.
pub const REAL_LOADS: &str = "REAL_LOADS";
/// One more than the largest real id.
pub const REALS_MAX: u32 = 16_384;

/// Array of [`crate::service::SnatSource`].
pub const SNAT: &str = "SNAT";
/// Most NAT sources, over all servers.
pub const SNAT_MAX: u32 = 4_096;

/// Array of [`crate::service::Port`] by interface index.
pub const PORTS: &str = "PORTS";
/// One more than the largest interface index (indices are not reused: hosts that make and remove
/// many virtual interfaces reach high ones).
pub const PORTS_MAX: u32 = 65_536;

/// Device map by interface index: the interfaces that frames may leave by.
pub const TX_PORTS: &str = "TX_PORTS";
/// Most interfaces.
pub const TX_PORTS_MAX: u32 = 256;

/// Array of `u64` by service id: whose turn it is ([`crate::service::Pick::Next`]).
pub const TURNS: &str = "TURNS";
/// One more than the largest service id.
pub const SERVICE_IDS_MAX: u32 = 4_096;

/// Memory-mapped array of `u64`: active flows (those that are not over), of a server over all
/// services, or of a service over both address families. Counted before a flow is made, so that no
/// two processors take the last place of a server.
pub const GAUGES: &str = "GAUGES";
/// One more than the largest gauge: each server and each service may have one.
pub const GAUGES_MAX: u32 = MEMBERS_MAX + SERVICE_IDS_MAX;

/// LRU hash of [`crate::service::StickKey`] to [`crate::service::Stick`]: which server clients had.
pub const STICKS: &str = "STICKS";

/// Per-processor array of `u32` by real id: where the search for a source port goes on.
pub const PORT_CURSORS: &str = "PORT_CURSORS";

/// Per-processor array of `u64` packet counts by [`crate::verdict`] number.
pub const VERDICTS: &str = "VERDICTS";

/// Per-processor array of [`crate::verdict::ServiceDrops`] by service id. It is as long as the agent
/// asks for when it loads the program, and no service gets an id beyond its end.
pub const SERVICE_DROPS: &str = "SERVICE_DROPS";
/// Its least length: so many that a reload may add services.
pub const SERVICE_DROPS_MIN: u32 = 1_024;

/// Memory-mapped array of [`crate::access::Node`]: every access list is a slice of it. It is as long as
/// the agent asks for when it loads the program.
pub const ACCESS: &str = "ACCESS";
/// Its least length: so many that a reload may add lists.
pub const ACCESS_NODES_MIN: u32 = 16_384;

/// Memory-mapped array of [`crate::limit::SourceBucket`]: what sources have opened, and who is banned.
pub const SOURCES: &str = "SOURCES";
/// Its length: 65,536 sources in 3 MiB.
pub const SOURCE_BUCKETS: u32 = 8_192;

/// Memory-mapped array of [`crate::flow::Bucket4`]: IPv4 flows.
pub const FLOWS4: &str = "FLOWS4";
/// Memory-mapped array of [`crate::flow::Bucket6`]: IPv6 flows.
pub const FLOWS6: &str = "FLOWS6";

/// Memory-mapped array of [`crate::load::Load`]: who holds [`FLOWS4`], then [`FLOWS6`].
pub const TABLE_LOADS: &str = "TABLE_LOADS";

/// Array of [`crate::challenge::Proof`]s in lines of [`crate::challenge::PROOFS`]: sources that have
/// proved themselves.
pub const PROOFS: &str = "PROOFS";
/// Lines of [`PROOFS`]: 65,536 sources in 512 kB.
pub const PROOF_LINES: u32 = 8_192;
/// Array of [`crate::challenge::Memory`]: SYNs that were challenged.
pub const SYNS: &str = "SYNS";
/// Places in [`SYNS`]: 4 MB.
pub const SYNS_MAX: u32 = 1 << 20;

/// Per-processor scratch of the program.
pub const SCRATCH: &str = "SCRATCH";

/// Memory-mapped array of one [`crate::table::Sweep`]: how far expiry has come.
pub const SWEEP: &str = "SWEEP";

/// Memory-mapped array of `u64` by index of the forward entry: when the flow's first packet came, as
/// `CLOCK_MONOTONIC` in ns. As long as the flow table.
pub const STARTS4: &str = "STARTS4";
/// The same for IPv6.
pub const STARTS6: &str = "STARTS6";

/// Memory-mapped array of [`crate::event::Account`] by index of the entry; as long as the flow table
/// if [`ACCOUNTING`], else of one value.
pub const ACCOUNTS4: &str = "ACCOUNTS4";
/// The same for IPv6.
pub const ACCOUNTS6: &str = "ACCOUNTS6";

/// Ring buffer of [`crate::event::Event`]; a page unless events are wanted.
pub const EVENTS: &str = "EVENTS";
/// Memory-mapped array of one [`crate::event::Tally`].
pub const EVENT_TALLY: &str = "EVENT_TALLY";

/// Global `HashKey`: the flow table's hash key.
pub const HASH_KEY: &str = "HASH_KEY";
/// Global `[u64; 2]`: the secret of cookies ([`crate::siphash::Key`]).
pub const COOKIE_KEY: &str = "COOKIE_KEY";
/// Global `u32`: a [`crate::challenge::When`].
pub const CHALLENGE: &str = "CHALLENGE";
/// Global `u32`: buckets of [`FLOWS4`].
pub const BUCKETS4: &str = "BUCKETS4_LEN";
/// Global `u32`: buckets of [`FLOWS6`].
pub const BUCKETS6: &str = "BUCKETS6_LEN";
/// Global `u32`: processors that may run the program.
pub const CPUS: &str = "CPUS";

/// Global `u32`: the bits of the [`crate::event::Kind`]s that are wanted.
pub const EVENT_KINDS: &str = "EVENT_KINDS";
/// Global `u32`: not zero if packets and bytes are counted for each flow.
pub const ACCOUNTING: &str = "ACCOUNTING";
/// Global `u32`: not zero if any service has [`crate::service::Service::stick`].
pub const USE_STICKS: &str = "USE_STICKS";
/// Global `u32`: not zero if any service has [`crate::service::Member::redispatches`].
pub const USE_REDISPATCH: &str = "USE_REDISPATCH";

/// Program array by [`Stage`]: where the program that is attached goes on.
pub const STAGES: &str = "STAGES";

/// The program that is attached: it forwards packets of flows that there are.
pub const PROGRAM: &str = "lb_xdp";
/// The program that opens flows.
pub const OPEN_PROGRAM: &str = "lb_open";
/// The program that asks clients to prove that they are there.
pub const CHALLENGE_PROGRAM: &str = "lb_challenge";
/// The program that forgets idle flows; run by the agent, never attached.
pub const EXPIRE_PROGRAM: &str = "lb_expire";

/// Every program, in the order in which they are loaded.
pub const PROGRAMS: [&str; 4] = [PROGRAM, OPEN_PROGRAM, CHALLENGE_PROGRAM, EXPIRE_PROGRAM];

/// A program that is entered by a tail call, as an index of [`STAGES`]. Each has a stack and a share
/// of the verifier's patience of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stage {
    /// [`OPEN_PROGRAM`].
    Open = 0,
    /// [`CHALLENGE_PROGRAM`].
    Challenge = 1,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Open, Self::Challenge];

    /// The program's name.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Open => OPEN_PROGRAM,
            Self::Challenge => CHALLENGE_PROGRAM,
        }
    }
}
