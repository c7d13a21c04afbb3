//! Every key and word of the configuration, and which of them this version does.
//!
//! What is marked as coming later is refused by name: never ignored, never called unknown.

/// The keys of one kind of map.
#[derive(Debug)]
pub(super) struct Table {
    /// With its article, for messages: "a server".
    pub(super) what: &'static str,
    pub(super) keys: &'static [Key],
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A value that its reader checks.
    Value,
    /// The same, and `defaults` cannot give it.
    Own,
    /// One of the first words; the others come later.
    Word(&'static [&'static str], &'static [&'static str]),
    /// `false`; `true` or more comes later.
    Off,
    /// `0s`; longer comes later.
    Zero,
    /// Comes later as a whole.
    Later,
}

impl Table {
    pub(super) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

use Kind::{Later, Off, Own, Value, Word, Zero};

macro_rules! table {
    ($(#[$doc:meta])* $name:ident, $what:literal, { $($key:literal: $kind:expr),* $(,)? }) => {
        $(#[$doc])*
        pub(super) static $name: Table = Table {
            what: $what,
            keys: &[$(Key { name: $key, kind: $kind }),*],
        };
    };
}

table!(
    /// A whole file.
    TOP, "a configuration", {
        "include": Value,
        "defaults": Value,
        "dataplane": Value,
        "control": Value,
        "metrics": Later,
        "log": Value,
        "pools": Value,
        "services": Value,
        "vrrp": Later,
        "flow_sync": Later,
    }
);
table!(
    /// `defaults:`.
    DEFAULTS, "`defaults`", {
        "check": Value,
        "service": Value,
        "pool": Value,
        "server": Value,
        "vrrp": Later,
    }
);
table!(
    /// `dataplane:`.
    DATAPLANE, "`dataplane`", {
        "interfaces": Value,
        "xdp_mode": Word(&["auto", "driver", "generic"], &[]),
        "flow_capacity": Value,
        "source_ports": Value,
        "nat_source": Value,
        "pin_dir": Later,
    }
);
table!(
    /// `control:`.
    CONTROL, "`control`", {
        "socket": Value,
        "mode": Value,
        "group": Value,
        "haproxy_socket": Later,
    }
);
table!(
    /// `log:`.
    LOG, "`log`", {
        "level": Word(&["error", "warn", "info", "debug", "trace"], &[]),
        "format": Word(&["text", "json"], &[]),
        "target": Word(&["stderr"], &["journal", "syslog"]),
        "connections": Value,
    }
);
table!(
    /// One of `pools:`.
    POOL, "a pool", {
        "name": Own,
        "servers": Own,
        "check": Value,
        "backups": Word(&["first", "all"], &[]),
        "slow_start": Zero,
        "observe": Later,
        "two_primaries": Later,
        "max_lag": Later,
    }
);
table!(
    /// One of `servers:`.
    SERVER, "a server", {
        "name": Own,
        "address": Own,
        "weight": Value,
        "backup": Value,
        "enabled": Value,
        "check": Value,
        "maxconn": Value,
    }
);
table!(
    /// `check:`.
    CHECK, "a check", {
        "type": Word(&["tcp", "script", "redis", "none"], &["http", "postgres", "mysql", "patroni"]),
        "port": Value,
        "address": Value,
        "interval": Value,
        "timeout": Value,
        "rise": Value,
        "fall": Value,
        "tls": Off,
        "fast_interval": Value,
        "down_interval": Value,
        "agent": Later,
        "steps": Value,
        "method": Later,
        "path": Later,
        "host": Later,
        "headers": Later,
        "expect": Later,
        "roles": Later,
        "user": Value,
        "password": Value,
        "password_file": Value,
        "role": Off,
    }
);
table!(
    /// One of `steps:`.
    STEP, "a step", {
        "connect": Value,
        "send": Value,
        "send_hex": Value,
        "expect": Value,
        "expect_regex": Value,
        "expect_hex": Value,
        "expect_not": Value,
    }
);
table!(
    /// `connect:` of a step.
    CONNECT, "`connect`", {
        "port": Value,
        "tls": Off,
    }
);
table!(
    /// One of `services:`.
    SERVICE, "a service", {
        "name": Own,
        "listen": Own,
        "protocol": Word(&["tcp"], &["udp"]),
        "pool": Own,
        "servers": Own,
        "check": Own,
        "role": Word(&["any"], &["primary", "replica"]),
        "fallback": Word(&["none"], &["primary"]),
        "forward": Word(&["nat"], &["dnat", "dsr", "ipip", "gue", "proxy", "http"]),
        "balance": Word(&["roundrobin", "leastconn", "source", "maglev", "first", "random"], &[]),
        "hash": Word(&["tuple", "source"], &[]),
        "stick": Value,
        "on_down": Word(&["keep"], &["reset", "drain"]),
        "panic": Word(&["refuse"], &["all"]),
        "redispatch": Value,
        "idle_timeout": Value,
        "max_flows": Value,
        "on_full": Word(&["wait", "reset"], &[]),
        "allow": Value,
        "deny": Value,
        "new_flows": Value,
    }
);
table!(
    /// `new_flows:`.
    NEW_FLOWS, "`new_flows`", {
        "per_source": Value,
        "burst": Value,
        "ban": Value,
    }
);

table!(
    /// `stick:`.
    STICK, "`stick`", {
        "source": Value,
        "size": Value,
    }
);

// The sections that come later as a whole. They are not read: their keys are here so that one
// that stands in the wrong place is said to belong here.
table!(
    /// `metrics:`.
    METRICS, "`metrics`", { "listen": Later }
);
table!(
    /// One of `vrrp:`.
    VRRP, "a vrrp entry", {
        "name": Later,
        "interface": Later,
        "virtual_router_id": Later,
        "priority": Later,
        "state": Later,
        "version": Later,
        "checksum": Later,
        "advert_interval": Later,
        "preempt": Later,
        "preempt_delay": Later,
        "accept": Later,
        "addresses": Later,
        "extra_addresses": Later,
        "virtual_mac": Later,
        "garp": Later,
        "unicast": Later,
        "auth": Later,
        "sync_group": Later,
        "track": Later,
        "notify": Later,
    }
);
table!(
    /// `flow_sync:`.
    FLOW_SYNC, "`flow_sync`", {
        "listen": Later,
        "peers": Later,
        "key_file": Later,
        "wait": Later,
    }
);

/// All tables, the likeliest place of a stray key first.
pub(super) static ALL: &[&Table] = &[
    &SERVER, &CHECK, &STEP, &POOL, &SERVICE, &NEW_FLOWS, &STICK, &DATAPLANE, &CONTROL, &LOG, &VRRP,
    &FLOW_SYNC, &METRICS, &DEFAULTS, &TOP, &CONNECT,
];

/// The candidate that was probably meant, if any is close: a letter or, in longer words, two wrong
/// (swapped neighbours count as one), or one is the start of the other.
pub(super) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    const LONGEST: usize = 64;
    const SHORTENED: usize = 3;
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_ascii_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let distance = strsim::osa_distance(&word, candidate);
            let starts = word.starts_with(candidate) || candidate.starts_with(&word);
            let short = word.len().min(candidate.len());
            let close = distance <= (candidate.len() / 3).clamp(1, 2) && distance < short;
            (close || starts && short >= SHORTENED).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
