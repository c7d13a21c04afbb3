//! `dataplane`, `control` and `log`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::place::Places;
use super::reader::{Entry, Field, Reader};
use super::tree::{Map, Node, Value};
use super::vocabulary::{CONTROL, DATAPLANE, LOG, Table};
use super::{Control, DataPlane, Log, LogFormat, LogLevel, NatSource, XdpMode};

/// Smallest and largest `flow_capacity`.
const FLOW_CAPACITY: RangeInclusive<u32> = 1_024..=16_777_216;
/// Longest path of a unix socket: `sun_path` less the final zero (unix(7)).
const SOCKET_PATH_MAX: usize = 107;
/// Most addresses of `nat_source`: the data path has room for the old list, the new one and as many
/// again of the host's own ([`lb_common::map::SNAT_MAX`]).
const NAT_SOURCES_MAX: usize = 1_024;
const _: () = assert!(NAT_SOURCES_MAX * 4 <= lb_common::map::SNAT_MAX as usize);
/// Longest interface name: `IFNAMSIZ` less the final zero.
const INTERFACE_MAX: usize = 15;

impl Default for DataPlane {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            xdp_mode: XdpMode::Auto,
            flow_capacity: 1 << 20,
            source_ports: 20_000..=32_767,
            nat_source: NatSource::Auto,
        }
    }
}

impl Default for Control {
    fn default() -> Self {
        Self {
            socket: PathBuf::from("/run/lb/control.sock"),
            mode: 0o660,
            group: None,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            format: LogFormat::Text,
            connections: false,
        }
    }
}

/// A section that may be absent.
fn section<'n>(r: &mut Reader<'_>, root: &'n Map, name: &str, table: &Table) -> Option<Entry<'n>> {
    let (_, node) = root.get(name)?;
    r.entry(node, table)
}

/// `dataplane:`; what is wrong or absent takes its default.
pub(super) fn data_plane(r: &mut Reader<'_>, root: &Map, places: &mut Places) -> DataPlane {
    let mut result = DataPlane::default();
    let Some(entry) = section(r, root, "dataplane", &DATAPLANE) else {
        return result;
    };
    if let Some(field) = entry.get("interfaces") {
        result.interfaces = interfaces(r, field, places);
    }
    if let Some(mode) = word(&entry, "xdp_mode") {
        result.xdp_mode = match mode {
            "driver" => XdpMode::Driver,
            "generic" => XdpMode::Generic,
            _ => XdpMode::Auto,
        };
    }
    if let Some(capacity) = entry
        .get("flow_capacity")
        .and_then(|f| r.number(f, FLOW_CAPACITY))
    {
        result.flow_capacity = capacity;
    }
    if let Some(field) = entry.get("source_ports") {
        places.source_ports = Some(field.node.place);
        if let Some(ports) = source_ports(r, field) {
            result.source_ports = ports;
        }
    }
    if let Some(field) = entry.get("nat_source") {
        places.nat_source = Some(field.node.place);
        if let Some(source) = nat_source(r, field) {
            result.nat_source = source;
        }
    }
    result
}

/// `control:`.
pub(super) fn control(r: &mut Reader<'_>, root: &Map, places: &mut Places) -> Control {
    let mut result = Control::default();
    let Some(entry) = section(r, root, "control", &CONTROL) else {
        return result;
    };
    if let Some(field) = entry.get("socket")
        && let Some(text) = r.text(field, "the path of a socket")
    {
        if !text.text.starts_with('/') || text.text.contains('\0') {
            r.error(field.node.place, "`socket` is an absolute path")
                .hint("for example /run/lb/control.sock");
        } else if text.text.len() > SOCKET_PATH_MAX {
            let message = format!("the path of a socket has at most {SOCKET_PATH_MAX} bytes");
            r.error(field.node.place, message);
        } else {
            result.socket = PathBuf::from(&text.text);
        }
    }
    if let Some(mode) = entry.get("mode").and_then(|field| socket_mode(r, field)) {
        result.mode = mode;
    }
    if let Some(field) = entry.get("group")
        && let Some(text) = r.name(field)
    {
        places.group = Some(field.node.place);
        result.group = Some(text.text.clone());
    }
    result
}

/// `log:`.
pub(super) fn log(r: &mut Reader<'_>, root: &Map) -> Log {
    let mut result = Log::default();
    let Some(entry) = section(r, root, "log", &LOG) else {
        return result;
    };
    if let Some(level) = word(&entry, "level") {
        result.level = match level {
            "error" => LogLevel::Error,
            "warn" => LogLevel::Warn,
            "debug" => LogLevel::Debug,
            "trace" => LogLevel::Trace,
            _ => LogLevel::Info,
        };
    }
    if word(&entry, "format") == Some("json") {
        result.format = LogFormat::Json;
    }
    if let Some(connections) = entry.get("connections").and_then(|field| r.boolean(field)) {
        result.connections = connections;
    }
    result
}

/// A word that the vocabulary has checked; what it refused is reported already.
pub(super) fn word<'n>(entry: &Entry<'n>, key: &str) -> Option<&'n str> {
    match &entry.get(key)?.node.value {
        Value::Text(text) => Some(&text.text),
        _ => None,
    }
}

fn interfaces(r: &mut Reader<'_>, field: Field<'_>, places: &mut Places) -> Vec<String> {
    let mut names = Vec::new();
    for node in r.one_or_list(field).unwrap_or_default() {
        let Some(text) = r.text(Field { node, ..field }, "the name of an interface") else {
            continue;
        };
        let name = &text.text;
        let shown = text.shown();
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':');
        if name.is_empty() || name.len() > INTERFACE_MAX || name.contains(odd) {
            r.error(
                node.place,
                format!("`{shown}` cannot be the name of an interface"),
            );
        } else if let Some(first) = places.interfaces.get(name) {
            let first = r.sources.locate(*first);
            r.error(node.place, format!("the interface `{shown}` is here twice"))
                .hint(format!("it is already at {first}"));
        } else {
            places.interfaces.insert(name.clone(), node.place);
            names.push(name.clone());
        }
    }
    names
}

/// `LOW-HIGH`.
fn source_ports(r: &mut Reader<'_>, field: Field<'_>) -> Option<RangeInclusive<u16>> {
    let text = r.text(field, "a range of ports such as 20000-32767")?;
    let port = |text: &str| -> Option<u32> {
        let text = text.trim();
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
    };
    let place = field.node.place;
    let shown = text.shown();
    let parsed = text
        .text
        .split_once('-')
        .and_then(|(low, high)| port(low).zip(port(high)));
    let Some((low, high)) = parsed else {
        r.error(
            place,
            format!("`source_ports: {shown}` is not a range of ports"),
        )
        .hint("for example 20000-32767");
        return None;
    };
    match (u16::try_from(low), u16::try_from(high)) {
        (Ok(low), Ok(_)) if low < 1_024 => {
            r.error(place, format!("`source_ports: {shown}` starts below 1024"))
                .hint("ports below 1024 belong to services of the host");
            None
        }
        (Ok(low), Ok(high)) if low <= high => Some(low..=high),
        (Ok(_), Ok(_)) => {
            r.error(
                place,
                format!("`source_ports: {shown}` ends before it starts"),
            );
            None
        }
        _ => {
            r.error(
                place,
                format!("`source_ports: {shown}`: a port is at most 65535"),
            );
            None
        }
    }
}

/// `auto`, an address or a list of addresses.
fn nat_source(r: &mut Reader<'_>, field: Field<'_>) -> Option<NatSource> {
    if let Value::Text(text) = &field.node.value
        && text.text == "auto"
    {
        return Some(NatSource::Auto);
    }
    let items = r.one_or_list(field)?;
    if items.is_empty() {
        r.error(field.key.place, "`nat_source` names no address")
            .hint("`auto`, or addresses");
        return None;
    }
    if items.len() > NAT_SOURCES_MAX {
        let message = format!("`nat_source` has at most {NAT_SOURCES_MAX} addresses");
        r.error(field.key.place, message);
        return None;
    }
    let mut first_at: HashMap<IpAddr, &Node> = HashMap::new();
    let mut addresses = Vec::new();
    for node in items {
        let Some(address) = r.ip(Field { node, ..field }) else {
            continue;
        };
        if let Some(first) = first_at.get(&address) {
            let first = r.sources.locate(first.place);
            r.error(node.place, "this address is in `nat_source` twice")
                .hint(format!("it is already at {first}"));
        } else {
            first_at.insert(address, node);
            addresses.push(address);
        }
    }
    // Empty only if every address was refused.
    (!addresses.is_empty()).then_some(NatSource::Addresses(addresses))
}

/// Permission bits in octal.
fn socket_mode(r: &mut Reader<'_>, field: Field<'_>) -> Option<u32> {
    let text = r.text(field, "permission bits such as \"0660\"")?;
    let octal = text.text.len() == 4 && text.text.starts_with('0');
    let mode = u32::from_str_radix(&text.text, 8).ok().filter(|_| octal);
    let Some(mode) = mode else {
        let shown = text.shown();
        r.error(
            field.node.place,
            format!("`mode: {shown}` is not permission bits"),
        )
        .hint("four octal digits, the first 0: \"0660\"");
        return None;
    };
    if mode & 0o002 != 0 {
        r.warn(
            field.node.place,
            "with this mode every user of the host can control lb",
        );
    }
    Some(mode)
}
