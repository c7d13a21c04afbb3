//! A configuration as YAML again, with every default written out.

use std::fmt::Write as _;

use super::duration;
use super::{
    Backups, Balance, Check, Config, Control, DataPlane, Hash, Kind, Log, LogFormat, LogLevel,
    NatSource, OnFull, Pattern, Pool, Probe, Server, Service, Step, Stick, Wanted, XdpMode,
};
use crate::access::Prefix;

/// YAML that reads back as the same configuration.
pub fn show(config: &Config) -> String {
    let mut out = Writer::default();
    data_plane(&mut out, &config.dataplane);
    control(&mut out, &config.control);
    log(&mut out, &config.log);
    out.list(0, "pools", &config.pools, pool);
    out.list(0, "services", &config.services, service);
    out.0
}

fn data_plane(out: &mut Writer, dataplane: &DataPlane) {
    out.line(0, "dataplane:");
    let interfaces: Vec<String> = dataplane
        .interfaces
        .iter()
        .map(|name| quoted(name))
        .collect();
    out.key(1, "interfaces", format_args!("[{}]", interfaces.join(", ")));
    let mode = match dataplane.xdp_mode {
        XdpMode::Auto => "auto",
        XdpMode::Driver => "driver",
        XdpMode::Generic => "generic",
    };
    out.key(1, "xdp_mode", mode);
    out.key(1, "flow_capacity", dataplane.flow_capacity);
    let ports = &dataplane.source_ports;
    out.key(
        1,
        "source_ports",
        format_args!("{}-{}", ports.start(), ports.end()),
    );
    match &dataplane.nat_source {
        NatSource::Auto => out.key(1, "nat_source", "auto"),
        NatSource::Addresses(addresses) => {
            let addresses: Vec<String> = addresses.iter().map(|a| format!("\"{a}\"")).collect();
            out.key(1, "nat_source", format_args!("[{}]", addresses.join(", ")));
        }
    }
}

fn control(out: &mut Writer, control: &Control) {
    out.line(0, "control:");
    // Validated text: it came from a UTF-8 file.
    out.key(1, "socket", quoted(&control.socket.to_string_lossy()));
    out.key(1, "mode", format_args!("\"{:04o}\"", control.mode));
    match &control.group {
        Some(group) => out.key(1, "group", quoted(group)),
        None => out.line(1, "# group: not set, the agent's own"),
    }
}

fn log(out: &mut Writer, log: &Log) {
    out.line(0, "log:");
    let level = match log.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    out.key(1, "level", level);
    let format = match log.format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    out.key(1, "format", format);
    out.key(1, "target", "stderr");
    out.key(1, "connections", log.connections);
}

fn pool(out: &mut Writer, pool: &Pool) {
    out.item(1, "name", quoted(pool.name.as_str()));
    let backups = match pool.backups {
        Backups::First => "first",
        Backups::All => "all",
    };
    out.key(2, "backups", backups);
    out.list(2, "servers", &pool.servers, server);
}

fn server(out: &mut Writer, server: &Server) {
    out.item(3, "name", quoted(server.name.as_str()));
    out.key(4, "address", format_args!("\"{}\"", server.address));
    out.key(4, "weight", server.weight.as_u16());
    out.key(4, "backup", server.backup);
    out.key(4, "enabled", server.enabled);
    match server.maxconn {
        Some(maxconn) => out.key(4, "maxconn", maxconn),
        None => out.line(4, "# maxconn: not set, no limit"),
    }
    out.line(4, "check:");
    match &server.check {
        Check::None => out.key(5, "type", "none"),
        Check::Probe(probe) => check(out, probe),
    }
}

fn check(out: &mut Writer, probe: &Probe) {
    out.key(5, "type", probe.kind.name());
    out.key(5, "address", format_args!("\"{}\"", probe.target.ip()));
    out.key(5, "port", probe.target.port());
    out.key(5, "interval", duration::show(probe.interval));
    out.key(5, "fast_interval", duration::show(probe.fast_interval));
    out.key(5, "down_interval", duration::show(probe.down_interval));
    out.key(5, "timeout", duration::show(probe.timeout));
    out.key(5, "rise", probe.rise);
    out.key(5, "fall", probe.fall);
    match &probe.kind {
        Kind::Tcp | Kind::Redis(None) => {}
        Kind::Redis(Some(login)) => {
            if let Some(user) = &login.user {
                out.key(5, "user", quoted(user));
            }
            out.key(5, "password", HIDDEN);
        }
        Kind::Script(steps) => out.list(5, "steps", steps, |out, step| match step {
            Step::Connect(None) => out.item(6, "connect", "{}"),
            Step::Connect(Some(port)) => out.item(6, "connect", format_args!("{{ port: {port} }}")),
            Step::Send(_) => out.item(6, "send", HIDDEN),
            Step::Expect(Pattern { wanted, absent }) => match wanted {
                Wanted::Text(text) if *absent => out.item(6, "expect_not", quoted(text)),
                Wanted::Text(text) => out.item(6, "expect", quoted(text)),
                Wanted::Regex(regex) => out.item(6, "expect_regex", quoted(regex.0.as_str())),
                Wanted::Hex(bytes) => {
                    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                    out.item(6, "expect_hex", quoted(&digits));
                }
            },
        }),
    }
}

/// In the place of what may be a secret.
const HIDDEN: &str = "\"***\"";

fn service(out: &mut Writer, service: &Service) {
    out.item(1, "name", quoted(service.name.as_str()));
    let listen: Vec<String> = service.listen.iter().map(|a| format!("\"{a}\"")).collect();
    out.key(2, "listen", format_args!("[{}]", listen.join(", ")));
    out.key(2, "protocol", service.protocol.word());
    out.key(2, "pool", quoted(service.pool.as_str()));
    out.key(2, "forward", service.forward.word());
    out.key(2, "balance", service.balance.name());
    if let Balance::Maglev(hash) = service.balance {
        let hash = match hash {
            Hash::Tuple => "tuple",
            Hash::Source => "source",
        };
        out.key(2, "hash", hash);
    }
    match service.stick {
        Some(Stick { source, size }) => {
            let source = duration::show(source);
            out.key(
                2,
                "stick",
                format_args!("{{ source: {source}, size: {size} }}"),
            );
        }
        None => out.line(2, "# stick: not set"),
    }
    out.key(2, "redispatch", service.redispatch);
    match service.limit.max_flows {
        Some(max_flows) => out.key(2, "max_flows", max_flows),
        None => out.line(2, "# max_flows: not set, no limit"),
    }
    let on_full = match service.limit.on_full {
        OnFull::Wait => "wait",
        OnFull::Reset => "reset",
    };
    out.key(2, "on_full", on_full);
    out.key(2, "idle_timeout", duration::show(service.idle_timeout));
    let list = service.access.as_deref();
    match list.and_then(|list| list.allow.as_deref()) {
        Some(allow) => out.key(2, "allow", prefixes(allow)),
        None => out.line(2, "# allow: not set, everybody"),
    }
    out.key(2, "deny", prefixes(list.map_or(&[], |list| &list.deny)));
    match &service.new_flows {
        None => out.line(2, "# new_flows: not set, no limit"),
        Some(new_flows) => {
            out.line(2, "new_flows:");
            out.key(3, "per_source", new_flows.per_source);
            out.key(3, "burst", new_flows.burst);
            out.key(3, "ban", duration::show(new_flows.ban));
        }
    }
}

/// On one line, however long.
fn prefixes(prefixes: &[Prefix]) -> String {
    let quoted: Vec<String> = prefixes.iter().map(|p| format!("\"{p}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

/// YAML lines, two spaces a level.
#[derive(Default)]
struct Writer(String);

impl Writer {
    fn line(&mut self, level: usize, text: &str) {
        let indent = level * 2;
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(self.0, "{:indent$}{text}", "");
    }

    fn key(&mut self, level: usize, key: &str, value: impl std::fmt::Display) {
        let indent = level * 2;
        let _ = writeln!(self.0, "{:indent$}{key}: {value}", "");
    }

    /// The first key of a list's item, whose other keys are one level deeper.
    fn item(&mut self, level: usize, key: &str, value: impl std::fmt::Display) {
        let indent = level * 2;
        let _ = writeln!(self.0, "{:indent$}- {key}: {value}", "");
    }

    fn list<T>(&mut self, level: usize, key: &str, items: &[T], each: impl Fn(&mut Self, &T)) {
        if items.is_empty() {
            self.key(level, key, "[]");
            return;
        }
        self.line(level, &format!("{key}:"));
        for item in items {
            each(self, item);
        }
    }
}

/// In double quotes: names such as `no` or `1` stay text, and nothing in it is special.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // `${` would refer to a variable.
            '$' => quoted.push_str("\\x24"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
