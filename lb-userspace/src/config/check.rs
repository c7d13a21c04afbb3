//! `check`.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::reader::{Entry, Field, Reader};
use super::settings::word;
use super::vocabulary::CHECK;
use super::{Check, Probe};

const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_hours(24);
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(24);
/// Bounds of `rise` and `fall`.
const TIMES: RangeInclusive<u32> = 1..=1_000;

const DEFAULT_INTERVAL: Duration = Duration::from_secs(2);
/// Unless the interval is shorter.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
const DEFAULT_RISE: NonZeroU32 = NonZeroU32::new(2).unwrap();
const DEFAULT_FALL: NonZeroU32 = NonZeroU32::new(3).unwrap();

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
    let rise = r.optional(entry, "rise", times);
    let fall = r.optional(entry, "fall", times);
    let (port, host, interval, timeout) = (port?, host?, interval?, timeout?);
    let (rise, fall) = (rise?, fall?);

    let interval = interval.unwrap_or(DEFAULT_INTERVAL);
    let timeout = timeout.unwrap_or(DEFAULT_TIMEOUT.min(interval));
    if timeout > interval {
        let field = entry.get("timeout").or_else(|| entry.get("interval"))?;
        r.error(field.node.place, "`timeout` is longer than `interval`")
            .hint("the next probe starts when this one is over");
        return None;
    }
    match word(entry, "type") {
        None | Some("tcp") => {}
        Some("none") => return Some(Check::None),
        Some(_) => return None,
    }
    let port = port
        .and_then(|port| u16::try_from(port).ok())
        .unwrap_or(address.port());
    Some(Check::Tcp(Probe {
        target: SocketAddr::new(host.unwrap_or(address.ip()), port),
        interval,
        timeout,
        rise: rise.unwrap_or(DEFAULT_RISE),
        fall: fall.unwrap_or(DEFAULT_FALL),
    }))
}

fn times(r: &mut Reader<'_>, field: Field<'_>) -> Option<NonZeroU32> {
    NonZeroU32::new(r.number(field, TIMES)?)
}
