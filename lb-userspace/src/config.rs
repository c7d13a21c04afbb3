//! The validated configuration: nothing past here can hold an invalid one.
//!
//! Text becomes a tree with places (`yaml`), the tree becomes a [`Config`] (`assemble`). A
//! mistake is noted and reading goes on, so that one run reports all of them.

mod address;
mod assemble;
mod check;
mod choosing;
mod diagnostic;
pub mod duration;
mod environment;
mod forwarding;
mod guard;
pub mod host;
mod load;
mod place;
mod pools;
pub mod prefix;
mod probe;
mod rate;
mod reader;
mod secret;
mod services;
mod settings;
mod show;
mod source;
#[cfg(test)]
mod tests;
mod tree;
mod vocabulary;
mod yaml;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use diagnostic::{ConfigErrors, Diagnostic, Severity};
pub use environment::Lookup;
pub use load::{Loaded, load, parse};
pub use prefix::prefix;
pub use probe::{Bytes, Check, Kind, Login, Pattern, Probe, Regex, Step, Wanted};
pub use rate::Rate;
pub use show::show;
pub use source::Source;

use lb_common::flow::Transport;
use lb_common::service::Mode;

use crate::access::AccessList;
use crate::model::{PoolName, ServerName, ServiceName, Weight};

/// A whole configuration, all files joined, defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The data path.
    pub dataplane: DataPlane,
    /// The control socket.
    pub control: Control,
    /// Logging.
    pub log: Log,
    /// Groups of servers; inline `servers:` of a service become a pool of the service's name.
    pub pools: Vec<Pool>,
    /// What clients connect to.
    pub services: Vec<Service>,
}

/// `dataplane:`.
#[derive(Clone, Debug, PartialEq)]
pub struct DataPlane {
    /// Interfaces to attach to; `--iface` adds to them. Names, no doubles.
    pub interfaces: Vec<String>,
    /// How to attach.
    pub xdp_mode: XdpMode,
    /// Flows that the table holds.
    pub flow_capacity: u32,
    /// Ports for NAT on addresses that the host uses too.
    pub source_ports: RangeInclusive<u16>,
    /// Addresses that servers see connections come from.
    pub nat_source: NatSource,
}

/// `dataplane.xdp_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// Driver mode where the interface has it, else generic, and says so.
    Auto,
    /// Driver mode or an error.
    Driver,
    /// In the kernel's generic receive path: works everywhere, slower.
    Generic,
}

/// `dataplane.nat_source`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NatSource {
    /// The address of the interface towards each server.
    Auto,
    /// These, per family; never empty.
    Addresses(Vec<IpAddr>),
}

/// `control:`.
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    /// The unix socket's path.
    pub socket: PathBuf,
    /// Its permission bits.
    pub mode: u32,
    /// Its group; `None`: the agent's.
    pub group: Option<String>,
}

/// `log:`.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// Least important level written.
    pub level: LogLevel,
    /// Text or JSON.
    pub format: LogFormat,
    /// One line for each connection that has ended.
    pub connections: bool,
}

/// `log.level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the variants are the words of the configuration"
)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// `log.format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// One of `pools:`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Unique.
    pub name: PoolName,
    /// Never empty, names unique in the pool.
    pub servers: Vec<Server>,
    /// Which backups take over.
    pub backups: Backups,
}

/// `pools[].backups`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backups {
    /// Only the first backup that is up.
    First,
    /// Every backup that is up.
    All,
}

/// One of `pools[].servers`.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Unique in its pool.
    pub name: ServerName,
    /// Where connections go. Never unspecified, multicast or loopback; port never 0.
    pub address: SocketAddr,
    /// Share of new flows.
    pub weight: Weight,
    /// Used only while no server that is not a backup is up.
    pub backup: bool,
    /// `false`: gets no new flows, as if drained at start.
    pub enabled: bool,
    /// Most active flows, over all services; `None`: no limit.
    pub maxconn: Option<NonZeroU32>,
    /// How it is probed.
    pub check: Check,
}

/// One of `services:`.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Unique.
    pub name: ServiceName,
    /// Where clients connect to: never empty, unique over all services of the protocol.
    pub listen: Vec<SocketAddr>,
    /// The transport.
    pub protocol: Protocol,
    /// Name of one of [`Config::pools`]; it exists.
    pub pool: PoolName,
    /// How packets reach the server.
    pub forward: Forward,
    /// How a server is chosen.
    pub balance: Balance,
    /// Whether, and for how long, clients go to the server that they had last.
    pub stick: Option<Stick>,
    /// Whether a SYN that its server refuses or leaves unanswered tries another server.
    pub redispatch: bool,
    /// How many flows it may have, and what becomes of more.
    pub limit: Limit,
    /// After which an open flow without packets may be forgotten.
    pub idle_timeout: Duration,
    /// Who may connect; `None`: everybody. Services with the same list share it.
    pub access: Option<Arc<AccessList>>,
    /// How fast a source may connect; `None`: as fast as it likes.
    pub new_flows: Option<NewFlows>,
}

/// `services[].new_flows`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewFlows {
    /// How fast the source's bucket fills.
    pub per_source: Rate,
    /// How many connections a full bucket is good for, at least one.
    pub burst: u32,
    /// For how long a source is shut out that wanted more; zero: not at all.
    pub ban: Duration,
}

/// `services[].protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// The word of the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    /// What its flows are to the data path.
    pub const fn transport(self) -> Transport {
        match self {
            Self::Tcp => Transport::Tcp,
            Self::Udp => Transport::Udp,
        }
    }
}

/// `services[].forward`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// Source and destination rewritten.
    Nat,
    /// Destination rewritten.
    Dnat,
    /// MAC addresses only.
    Dsr,
    /// In an IP packet.
    Ipip,
    /// In a UDP datagram.
    Gue,
}

impl Forward {
    /// What the data path calls it.
    pub const fn mode(self) -> Mode {
        match self {
            Self::Nat => Mode::Nat,
            Self::Dnat => Mode::Dnat,
            Self::Dsr => Mode::Dsr,
            Self::Ipip => Mode::Ipip,
            Self::Gue => Mode::Gue,
        }
    }

    /// The word of the configuration.
    pub const fn word(self) -> &'static str {
        self.mode().name()
    }
}

/// `services[].balance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// In turn, smoothly by weight.
    RoundRobin,
    /// The server with the fewest active flows for its weight.
    LeastConn,
    /// By consistent hash of the client's address.
    Source,
    /// By consistent hash of what [`Hash`] says.
    Maglev(Hash),
    /// The first server, in the order of the configuration, that is below its `maxconn`.
    First,
    /// By chance, by weight.
    Random,
}

/// `services[].hash`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// The connection's addresses and ports.
    Tuple,
    /// The client's address alone.
    Source,
}

/// `services[].stick`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stick {
    /// How long a client's address keeps its server after its last connection opened.
    pub source: Duration,
    /// How many addresses are remembered.
    pub size: u32,
}

/// `services[].max_flows` and `on_full`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Most active flows; `None`: no limit.
    pub max_flows: Option<NonZeroU32>,
    /// What becomes of a flow beyond that, or one that no server has room for.
    pub on_full: OnFull,
}

/// `services[].on_full`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFull {
    /// Its SYN is dropped: the client repeats it.
    Wait,
    /// It is answered with a RST.
    Reset,
}

impl Balance {
    /// The word by which the configuration knows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "roundrobin",
            Self::LeastConn => "leastconn",
            Self::Source => "source",
            Self::Maglev(_) => "maglev",
            Self::First => "first",
            Self::Random => "random",
        }
    }
}
