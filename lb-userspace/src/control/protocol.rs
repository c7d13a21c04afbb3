//! What goes over the control socket, one type a document.
//!
//! Scripts rely on these names: fields are added, never renamed, and never change their unit.
//! Counters start at zero when the data path is loaded. Requests with unknown fields are refused;
//! readers of documents must ignore fields that they do not know.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::health::ServerHealth;

/// One request: a line of JSON such as `{"show":{"what":"flows","limit":10}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// `lb show`.
    Show(Show),
}

/// What to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// Which document.
    pub what: What,
    /// Most flows to list; [`DEFAULT_FLOW_LIMIT`] unless given. Other documents are never cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Which flows to list: every one unless given. Other documents are never selected from.
    #[serde(default, skip_serializing_if = "Selection::is_everything")]
    pub select: Selection,
}

/// Some of the flows: those that match every field that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Of this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// To this server: `POOL/SERVER`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// From this network: `10.1.0.0/16`, or one address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// In this state: the word of [`Flow::state`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Begun longer ago than this, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older_than_ms: Option<u64>,
}

impl Selection {
    /// Whether nothing is left out.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

/// Flows that `lb show flows` lists unless told otherwise: a table of a million would take minutes
/// to scroll past.
pub const DEFAULT_FLOW_LIMIT: u64 = 1000;

/// The documents there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// [`Services`].
    Services,
    /// [`Servers`].
    Servers,
    /// [`Flows`].
    Flows,
    /// [`Drops`].
    Drops,
    /// [`Bans`].
    Bans,
    /// [`Info`].
    Info,
}

/// The answer to a request that could not be served, in place of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Why, for people.
    pub error: String,
}

/// Packets and bytes, Ethernet headers included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Packets from clients to servers.
    pub packets_in: u64,
    /// Bytes from clients to servers.
    pub bytes_in: u64,
    /// Packets from servers to clients.
    pub packets_out: u64,
    /// Bytes from servers to clients.
    pub bytes_out: u64,
}

/// Flows of a service or a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowCounts {
    /// Flows whose handshake is complete and that have not been closed.
    pub open_flows: u64,
    /// Flow table entries held, whatever their state.
    pub flows: u64,
    /// Flows ever made.
    pub flows_opened_total: u64,
    /// Flows that count against `max_flows` or `maxconn`: those that have begun and are not closed,
    /// half-open ones included.
    #[serde(default)]
    pub active_flows: u64,
    /// SYNs that a server refused, or left unanswered where the flow then went to another server.
    #[serde(default)]
    pub connect_failures_total: u64,
}

/// `lb show services`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Services {
    /// In the order of the configuration.
    pub services: Vec<Service>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Where clients connect to.
    pub listen: Vec<SocketAddr>,
    /// `tcp`.
    pub protocol: String,
    /// `nat`.
    pub forward: String,
    /// The word of the configuration: `roundrobin`, `leastconn`, ...
    pub balance: String,
    /// The pool its servers are in.
    pub pool: String,
    /// Servers of the pool that are up and enabled.
    pub servers_up: u64,
    /// All servers of the pool.
    pub servers_total: u64,
    /// Most active flows; `null`: no limit.
    #[serde(default)]
    pub max_flows: Option<u32>,
    /// Its flows.
    #[serde(flatten)]
    pub flows: FlowCounts,
    /// Its packets.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// `lb show servers`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Servers {
    /// By pool and server in the order of the configuration.
    pub servers: Vec<Server>,
}

/// One server of one pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// Its pool.
    pub pool: String,
    /// Its name there.
    pub name: String,
    /// Where connections go.
    pub address: SocketAddr,
    /// What the checks say of it.
    pub state: ServerHealth,
    /// Why it is in that state, in one line.
    pub why: String,
    /// Whole seconds in that state.
    pub since_seconds: u64,
    /// Its share of new flows.
    pub weight: u16,
    /// Used only while no other server is up.
    pub backup: bool,
    /// `false`: gets no new flows by configuration.
    pub enabled: bool,
    /// Most active flows; `null`: no limit.
    #[serde(default)]
    pub maxconn: Option<u32>,
    /// Its flows, over all services.
    #[serde(flatten)]
    pub flows: FlowCounts,
    /// Its packets, over all services.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// How packets reach it; `null` without a route.
    pub via: Option<Via>,
    /// Its check; `null` for `check: none`.
    pub check: Option<Check>,
}

/// The way to a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Via {
    /// The interface that packets leave by.
    pub interface: String,
    /// The next hop's MAC address, `null` while it does not answer.
    pub mac: Option<String>,
    /// The address that the kernel uses as source: where checks come from.
    pub source: IpAddr,
}

/// A server's check and its last result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// `tcp`.
    pub kind: String,
    /// Where it connects to.
    pub target: SocketAddr,
    /// Milliseconds from one probe to the next.
    pub interval_ms: u64,
    /// Successes in a row that bring the server up.
    pub rise: u32,
    /// Failures in a row that take it down.
    pub fall: u32,
    /// Successes in a row up to now.
    pub successes: u32,
    /// Failures in a row up to now.
    pub failures: u32,
    /// Milliseconds that the last probe took; `null` before the first.
    pub duration_ms: Option<f64>,
    /// What the last probe found, in one line; `null` before the first.
    pub last_result: Option<String>,
    /// Whether the last probe succeeded; `null` before the first.
    pub last_ok: Option<bool>,
}

/// `lb show flows`. It is written with each flow on a line of its own, after a line that opens the
/// list and before one that closes it ([`FLOWS_BEGIN`]), so that whoever reads line by line needs no
/// more memory than a flow takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Flows {
    /// In the order of the table, which means nothing.
    pub flows: Vec<Flow>,
    /// How many are listed.
    pub shown: u64,
    /// Whether the limit cut the list.
    pub truncated: bool,
}

/// The first line of [`Flows`].
pub const FLOWS_BEGIN: &str = "{\"flows\":[";

/// The last line of [`Flows`]: the document's rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct FlowsEnd {
    /// [`Flows::shown`].
    pub shown: u64,
    /// [`Flows::truncated`].
    pub truncated: bool,
}

impl FlowsEnd {
    /// What stands before the other fields: the end of the list.
    const BEGIN: &str = "],";

    /// The line, without its end.
    pub fn line(self) -> String {
        let Self { shown, truncated } = self;
        format!(
            "{}\"shown\":{shown},\"truncated\":{truncated}}}",
            Self::BEGIN
        )
    }

    /// Out of the line; `None` if it is another.
    pub fn read(line: &str) -> Option<Self> {
        let rest = line.strip_prefix(Self::BEGIN)?;
        serde_json::from_str(&format!("{{{rest}")).ok()
    }
}

/// One flow, seen from the client's direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// The client.
    pub client: SocketAddr,
    /// What it connected to.
    pub vip: SocketAddr,
    /// What the server sees as the client.
    pub nat_source: SocketAddr,
    /// The server's address.
    pub server: SocketAddr,
    /// The server's name, `POOL/SERVER`; `null` if the configuration no longer has it.
    pub server_name: Option<Arc<str>>,
    /// The service's name; `null` if the configuration no longer has it.
    pub service: Option<Arc<str>>,
    /// Its state, a word.
    pub state: Cow<'static, str>,
    /// Seconds since its first packet.
    pub age_seconds: f64,
    /// Seconds since its last packet in either direction.
    pub idle_seconds: f64,
    /// What it has carried; absent unless `log.connections` has it counted.
    #[serde(flatten)]
    pub payload: Option<Payload>,
}

/// What one flow has carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// Packets from the client.
    pub packets_in: u64,
    /// Bytes of payload from the client, each once however often it was sent.
    pub payload_bytes_in: u64,
    /// Packets from the server.
    pub packets_out: u64,
    /// Bytes of payload from the server.
    pub payload_bytes_out: u64,
}

/// `lb show drops`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drops {
    /// Packets dropped, one entry a reason, in the order of the program's reasons.
    pub drops: Vec<Verdict>,
    /// Packets left to the kernel's stack, likewise.
    pub passes: Vec<Verdict>,
    /// What of the drops was for each service, in the order of the configuration. Packets that were
    /// dropped before their service was known (malformed ones, fragments) are in none of them.
    #[serde(default)]
    pub services: Vec<ServiceDrops>,
}

/// The drops of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceDrops {
    /// Its name.
    pub service: String,
    /// Reasons that have occurred, in the order of the program's reasons.
    pub drops: Vec<ReasonCount>,
}

/// One reason and the packets of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonCount {
    /// A word; the same as in [`Verdict`].
    pub reason: String,
    /// Packets since the service was configured.
    pub packets: u64,
}

/// One reason and its packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// A word; metrics use the same.
    pub reason: String,
    /// Packets since the data path was loaded.
    pub packets: u64,
    /// What it means, in one sentence.
    pub description: String,
}

/// `lb show bans`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bans {
    /// By service in the order of the configuration, then by source.
    pub bans: Vec<Ban>,
}

/// A source that may open no flows of a service for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ban {
    /// The service.
    pub service: String,
    /// The source: an IPv4 address with `/32`, or an IPv6 prefix with `/64`.
    pub source: String,
    /// For how many seconds yet.
    pub seconds_left: f64,
}

/// `lb show info`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Info {
    /// Version of the agent.
    pub version: String,
    /// Version of the layouts that agent and program share.
    pub abi: u32,
    /// Process id of the agent.
    pub pid: u32,
    /// Whole seconds since the agent started.
    pub uptime_seconds: u64,
    /// The kernel's release.
    pub kernel: String,
    /// The configuration file, as the agent was given it.
    pub config: PathBuf,
    /// Resident memory of the agent in bytes, as the kernel counts it.
    pub resident_bytes: u64,
    /// Of that, flow tables and other maps, which the agent has mapped.
    pub resident_maps_bytes: u64,
    /// The interfaces that the program is attached to.
    pub interfaces: Vec<Interface>,
    /// The flow tables, IPv4 first.
    pub flow_tables: Vec<FlowTable>,
    /// The programs loaded.
    pub programs: Vec<Program>,
    /// Connections that have ended; `null` unless `log.connections`.
    pub connection_log: Option<ConnectionLog>,
}

/// What became of the lines of `log.connections`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionLog {
    /// Connections told of by the data path.
    pub told: u64,
    /// Connections that it could not tell of: the agent was too slow.
    pub lost: u64,
}

/// An interface that the program is attached to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// `driver` or `generic`.
    pub mode: String,
    /// Its MAC address.
    pub mac: Option<String>,
    /// Largest IP packet, in bytes.
    pub mtu: Option<u32>,
}

/// A flow table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlowTable {
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// Entries it has room for. A flow takes two, one a direction.
    pub slots: u64,
    /// Entries in use.
    pub used: u64,
    /// Memory of the table in bytes.
    pub bytes: u64,
}

/// A loaded BPF program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Instructions that the kernel's verifier walked (its limit is a million); `null` where the
    /// kernel does not say (before 5.16).
    pub verified_instructions: Option<u32>,
}
