//! How a service chooses among its servers: `balance`, `hash`, `stick`, `redispatch`, and the limits.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::reader::{Entry, Field, Reader};
use super::settings::word;
use super::tree::Value;
use super::vocabulary::STICK;
use super::{Balance, Hash, Limit, OnFull, Stick};

/// The data path's clock wraps after 52 days, and no time may exceed half of that.
const STICK_TIME: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24 * 24);
/// Clients that are remembered: below the least the kernel's map forgets too early.
const STICK_SIZE: RangeInclusive<u32> = 1_000..=10_000_000;
const DEFAULT_STICK_SIZE: u32 = 200_000;

/// What a service says about choosing; `None`: something is wrong with it.
pub(super) struct Choosing {
    pub(super) balance: Option<Balance>,
    pub(super) stick: Option<Option<Stick>>,
    pub(super) redispatch: Option<bool>,
    pub(super) limit: Option<Limit>,
}

/// Reads it from a service and its defaults.
pub(super) fn read(r: &mut Reader<'_>, entry: &Entry<'_>) -> Choosing {
    Choosing {
        balance: balance(r, entry),
        stick: r.optional(entry, "stick", stick),
        redispatch: r
            .optional(entry, "redispatch", Reader::boolean)
            .map(|given| given.unwrap_or(false)),
        limit: limit(r, entry),
    }
}

fn balance(r: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Balance> {
    let hash = match word(entry, "hash") {
        Some("source") => Hash::Source,
        _ => Hash::Tuple,
    };
    let balance = match word(entry, "balance") {
        Some("maglev") => return Some(Balance::Maglev(hash)),
        Some("leastconn") => Balance::LeastConn,
        Some("source") => Balance::Source,
        Some("first") => Balance::First,
        Some("random") => Balance::Random,
        _ => Balance::RoundRobin,
    };
    // A default is for those that it is of use to.
    let Some(field) = entry.own("hash") else {
        return Some(balance);
    };
    let fits = match balance {
        Balance::Source => hash == Hash::Source,
        _ => hash == Hash::Tuple,
    };
    if !fits {
        let message = match balance {
            Balance::Source => "`balance: source` hashes the client's address alone",
            _ => "`hash: source` is for `balance: maglev`",
        };
        r.error(field.node.place, message)
            .hint("`balance: maglev` takes either `hash`");
        return None;
    }
    Some(balance)
}

fn stick(r: &mut Reader<'_>, field: Field<'_>) -> Option<Stick> {
    let entry = r.entry(field.node, &STICK)?;
    let time = r
        .required(&entry, &STICK, "source")
        .and_then(|field| r.duration(field, STICK_TIME));
    let size = r.optional(&entry, "size", |r, field| amount(r, field, STICK_SIZE));
    Some(Stick {
        source: time?,
        size: size?.unwrap_or(DEFAULT_STICK_SIZE),
    })
}

/// A number that may end in `k` (thousands) or `m` (millions), as in HAProxy.
fn amount(r: &mut Reader<'_>, field: Field<'_>, range: RangeInclusive<u32>) -> Option<u32> {
    let Value::Text(text) = &field.node.value else {
        return r.number(field, range);
    };
    let (digits, unit) = match text.text.as_bytes().last() {
        Some(b'k') => (&text.text[..text.text.len() - 1], 1_000),
        Some(b'm') => (&text.text[..text.text.len() - 1], 1_000_000),
        _ => return r.number(field, range),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    if !plain {
        // What is wrong is said as of any number.
        return r.number(field, range);
    }
    let number = digits.parse::<u32>().ok().and_then(|n| n.checked_mul(unit));
    let number = number.filter(|number| range.contains(number));
    if number.is_none() {
        let (name, shown) = (&field.key.text, text.shown());
        let (low, high) = (range.start(), range.end());
        r.error(
            field.node.place,
            format!("`{name}` is from {low} to {high}, not {shown}"),
        );
    }
    number
}

fn limit(r: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Limit> {
    let max_flows = r.optional(entry, "max_flows", |r, f| r.number(f, 1..=u32::MAX));
    Some(Limit {
        max_flows: max_flows?.and_then(NonZeroU32::new),
        on_full: match word(entry, "on_full") {
            Some("reset") => OnFull::Reset,
            _ => OnFull::Wait,
        },
    })
}
