//! Who may open connections to a service, and how many: `allow`, `deny` and `new_flows`.

mod prefix;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::NewFlows;
use super::rate::{self, Rate, RateError};
use super::reader::{Entry, Field, Reader};
use super::tree::Value;
use super::vocabulary::NEW_FLOWS;
use crate::access::{AccessList, Prefix};
use crate::model::Family;

/// Flows that a source may open at once.
const BURST: RangeInclusive<u32> = 1..=1_000_000;
/// How long a source may be banned; `0s`: not at all.
const BAN: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(24 * 24);

/// `allow` and `deny`. The outer `None`: something is wrong with them; the inner one: everybody may
/// connect.
pub(super) fn access(r: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Option<Arc<AccessList>>> {
    let allow = r.optional(entry, "allow", prefixes);
    let deny = r.optional(entry, "deny", prefixes);
    let (allow, deny) = (allow?, deny?.unwrap_or_default());
    if let (Some(field), Some([])) = (entry.get("allow"), allow.as_deref()) {
        r.error(
            field.key.place,
            "`allow` names no prefix: nobody could connect",
        )
        .hint("leave `allow` out to admit everybody");
        return None;
    }
    if allow.is_none() && deny.is_empty() {
        return Some(None);
    }
    Some(Some(Arc::new(AccessList { allow, deny })))
}

/// Warns of a family that a service listens on and that its `allow` leaves out.
pub(super) fn warn_of_nobody(
    r: &mut Reader<'_>,
    entry: &Entry<'_>,
    listen: &[SocketAddr],
    list: &AccessList,
) {
    let (Some(field), Some(allow)) = (entry.get("allow"), &list.allow) else {
        return;
    };
    for (family, name) in [(Family::V4, "IPv4"), (Family::V6, "IPv6")] {
        let listens = listen.iter().any(|listen| Family::of(listen) == family);
        if listens && !allow.iter().any(|prefix| prefix.family() == family) {
            let message = format!(
                "`allow` has no {name} prefix, and the service listens on {name}: nobody can connect \
                 there"
            );
            r.warn(field.key.place, message);
        }
    }
}

fn prefixes(r: &mut Reader<'_>, field: Field<'_>) -> Option<Vec<Prefix>> {
    let items = r.one_or_list(field)?;
    let prefixes: Vec<Prefix> = items
        .iter()
        .filter_map(|node| one(r, Field { node, ..field }))
        .collect();
    (prefixes.len() == items.len()).then_some(prefixes)
}

fn one(r: &mut Reader<'_>, field: Field<'_>) -> Option<Prefix> {
    let text = r.text(field, "a prefix such as 10.0.0.0/8")?;
    match prefix::parse(&text.text) {
        Ok(prefix) => Some(prefix),
        Err(why) => {
            let message = format!("`{}: {}`: {why}", field.key.text, text.shown());
            let error = r.error(field.node.place, message);
            // A hint may repeat the value, and this one came from the environment.
            if let Some(hint) = why.hint().filter(|_| text.written.is_none()) {
                error.hint(hint);
            }
            None
        }
    }
}

/// `new_flows`. The outer `None`: something is wrong with it; the inner one: no limit.
pub(super) fn new_flows(r: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Option<NewFlows>> {
    let Some(field) = entry.get("new_flows") else {
        return Some(None);
    };
    let own = r.entry(field.node, &NEW_FLOWS)?;
    let per_source = r.required(&own, &NEW_FLOWS, "per_source");
    let per_source = per_source.and_then(|field| rate(r, field));
    let burst = r.optional(&own, "burst", |r, f| r.number(f, BURST));
    let ban = r.optional(&own, "ban", |r, f| r.duration(f, BAN));
    let (per_source, burst, ban) = (per_source?, burst?, ban?);
    Some(Some(NewFlows {
        per_source,
        burst: burst.unwrap_or(per_source.count()),
        ban: ban.unwrap_or(Duration::ZERO),
    }))
}

fn rate(r: &mut Reader<'_>, field: Field<'_>) -> Option<Rate> {
    let name = &field.key.text;
    let Value::Text(text) = &field.node.value else {
        r.wrong_type(field, "a rate such as 100/s");
        return None;
    };
    let shown = text.shown();
    match rate::parse(&text.text) {
        Ok(rate) => Some(rate),
        Err(why) => {
            let error = r.error(field.node.place, format!("`{name}: {shown}` {why}"));
            match why {
                RateError::NoUnit => error.hint(format!(
                    "write {shown}/s for so many in a second, {shown}/m in a minute, {shown}/h in an \
                     hour"
                )),
                RateError::OutOfRange => {}
                RateError::UnknownUnit | RateError::Malformed => {
                    error.hint("for example 100/s, 20/m or 5/h");
                }
            }
            None
        }
    }
}
