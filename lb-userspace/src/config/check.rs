//! `check`.

mod login;
mod script;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::reader::{Entry, Field, Reader};
use super::settings::word;
use super::vocabulary::CHECK;
use super::{Check, Kind, Probe};

const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_hours(24);
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(24);
/// Bounds of `rise` and `fall`.
const TIMES: RangeInclusive<u32> = 1..=1_000;

const DEFAULT_INTERVAL: Duration = Duration::from_secs(2);
/// Unless the interval is shorter.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
const DEFAULT_RISE: NonZeroU32 = NonZeroU32::new(2).unwrap();
const DEFAULT_FALL: NonZeroU32 = NonZeroU32::new(3).unwrap();

/// Keys that only one type of check has.
const OWNED: [(&str, &str); 4] = [
    ("steps", "script"),
    ("user", "redis"),
    ("password", "redis"),
    ("password_file", "redis"),
];

/// Checks the keys of a map `check:`.
pub(super) fn entry<'n>(r: &mut Reader<'_>, field: Field<'n>) -> Option<Entry<'n>> {
    let entry = r.entry(field.node, &CHECK)?;
    if word(&entry, "type") == Some("none") {
        for key in entry.own_keys().filter(|key| key.text != "type") {
            r.warn(
                key.place,
                format!("`{}` has no effect: `type: none` never probes", key.text),
            );
        }
    }
    Some(entry)
}

/// The check of a server at `address`; `entry` says what its own check, its pool's and the
/// defaults say.
pub(super) fn read(r: &mut Reader<'_>, entry: &Entry<'_>, address: SocketAddr) -> Option<Check> {
    // All are read before any is missed, so that every wrong one is reported.
    let port = r.optional(entry, "port", |r, f| r.number(f, 1..=65_535));
    let host = r.optional(entry, "address", Reader::ip);
    let interval = r.optional(entry, "interval", |r, f| r.duration(f, INTERVAL));
    let timeout = r.optional(entry, "timeout", |r, f| r.duration(f, TIMEOUT));
    let fast = r.optional(entry, "fast_interval", |r, f| r.duration(f, INTERVAL));
    let down = r.optional(entry, "down_interval", |r, f| r.duration(f, INTERVAL));
    let rise = r.optional(entry, "rise", times);
    let fall = r.optional(entry, "fall", times);
    let (port, host, interval, timeout) = (port?, host?, interval?, timeout?);
    let (fast, down, rise, fall) = (fast?, down?, rise?, fall?);

    let interval = interval.unwrap_or(DEFAULT_INTERVAL);
    let all = [
        ("interval", Some(interval)),
        ("fast_interval", fast),
        ("down_interval", down),
    ];
    let shortest = all
        .into_iter()
        .filter_map(|(name, value)| Some((value?, name)))
        .min();
    let (shortest, name) = shortest?;
    let timeout = timeout.unwrap_or(DEFAULT_TIMEOUT.min(shortest));
    if timeout > shortest {
        let field = entry.get("timeout").or_else(|| entry.get(name))?;
        r.error(
            field.node.place,
            format!("`timeout` is longer than `{name}`"),
        )
        .hint("the next probe starts when this one is over");
        return None;
    }
    let kind = kind(r, entry);
    if word(entry, "type") == Some("none") {
        return Some(Check::None);
    }
    let port = port
        .and_then(|port| u16::try_from(port).ok())
        .unwrap_or(address.port());
    Some(Check::Probe(Probe {
        kind: kind?,
        target: SocketAddr::new(host.unwrap_or(address.ip()), port),
        interval,
        fast_interval: fast.unwrap_or(interval),
        down_interval: down.unwrap_or(interval),
        timeout,
        rise: rise.unwrap_or(DEFAULT_RISE),
        fall: fall.unwrap_or(DEFAULT_FALL),
    }))
}

/// What a probe does; `None` as well where it does nothing.
fn kind(r: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Kind> {
    let kind = word(entry, "type").unwrap_or("tcp");
    let known = OWNED.iter().any(|(_, owner)| *owner == kind) || kind == "tcp";
    for (key, owner) in OWNED {
        // Of types that come later or are misspelt nobody knows what they have.
        if known
            && owner != kind
            && let Some(key) = entry.own_keys().find(|own| own.text == key)
        {
            r.error(
                key.place,
                format!("`{}` has no effect with `type: {kind}`", key.text),
            )
            .hint(format!("it belongs to `type: {owner}`"));
        }
    }
    match kind {
        "tcp" => Some(Kind::Tcp),
        "script" => {
            let steps = r.required(entry, &CHECK, "steps")?;
            Some(Kind::Script(script::steps(r, steps)?))
        }
        "redis" => Some(Kind::Redis(login::read(r, entry)?)),
        _ => None,
    }
}

fn times(r: &mut Reader<'_>, field: Field<'_>) -> Option<NonZeroU32> {
    NonZeroU32::new(r.number(field, TIMES)?)
}
