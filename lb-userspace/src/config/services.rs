//! `services`.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::choosing;
use super::guard;
use super::place::Places;
use super::pools::{self, Defaults, Names, claim};
use super::reader::{Entry, Field, Reader};
use super::settings::word;
use super::tree::{Node, Value};
use super::vocabulary::SERVICE;
use super::{Forward, Pool, Protocol, Service};
use crate::access::AccessList;
use crate::model::{PoolName, ServiceName};

/// The data path's clock wraps after 52 days, and no timeout may exceed half of that.
const IDLE_TIMEOUT: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_hours(24 * 24);
const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_hours(24);

/// What one of `services:` amounts to; parts that are wrong are absent.
pub(super) struct Draft<'n> {
    pub(super) service: Option<Service>,
    /// Where `pool:` names a pool.
    pub(super) pool_field: Option<Field<'n>>,
    /// The name of a pool of its own.
    own_pool: Option<PoolName>,
    /// The pool made of inline servers.
    pub(super) inline: Option<Pool>,
}

impl Draft<'_> {
    /// The pool it uses, be there one or not.
    pub(super) fn pool_name(&self) -> Option<&str> {
        match self.pool_field.map(|field| &field.node.value) {
            Some(Value::Text(text)) => Some(&text.text),
            _ => self.own_pool.as_ref().map(PoolName::as_str),
        }
    }
}

/// Names taken so far.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) services: Names,
    pub(super) pools: Names,
    /// The access lists so far, each once.
    lists: Vec<Arc<AccessList>>,
}

impl Taken {
    /// The same list, shared with the services that have it too.
    fn share(&mut self, list: Arc<AccessList>) -> Arc<AccessList> {
        if let Some(same) = self.lists.iter().find(|known| **known == list) {
            return same.clone();
        }
        self.lists.push(list.clone());
        list
    }
}

/// One of `services:`.
pub(super) fn service<'n>(
    r: &mut Reader<'_>,
    node: &'n Node,
    defaults: &Defaults<'n>,
    taken: &mut Taken,
    places: &mut Places,
) -> Option<Draft<'n>> {
    let own = r.entry(node, &SERVICE)?;
    let name_field = r.required(&own, &SERVICE, "name");
    let name = name_field.and_then(|field| {
        let name = r.name(field)?;
        claim(r, &mut taken.services, "a service", &name.text, field)
            .then(|| ServiceName::new(name.text.as_str()))
    });
    let protocol = protocol(&own, defaults.service.as_ref());
    let listen = r
        .required(&own, &SERVICE, "listen")
        .and_then(|field| listen(r, field, protocol, places));
    let mut pool = None;
    let mut pool_field = None;
    let mut own_pool = None;
    let mut inline = None;
    match (own.own("pool"), own.own("servers")) {
        (Some(field), Some(servers)) => {
            let at = r.sources.locate(field.key.place);
            r.error(
                servers.key.place,
                "a service has `pool` or `servers`, not both",
            )
            .hint(format!("`pool` is at {at}"));
            pool_field = Some(field);
        }
        (Some(field), None) => {
            if let Some(check) = own.own("check") {
                r.error(
                    check.key.place,
                    "`check` belongs to the pool that `pool` names",
                );
            }
            pool = r
                .text(field, "the name of a pool")
                .map(|t| PoolName::new(t.text.as_str()));
            pool_field = Some(field);
        }
        (None, Some(field)) => {
            if let (Some(name), Some(at)) = (&name, name_field)
                && claim(r, &mut taken.pools, "a pool", name.as_str(), at)
            {
                own_pool = Some(PoolName::new(name.as_str()));
            }
            // The servers of a nameless service are read for what is wrong with them.
            let pool_name = own_pool.clone().unwrap_or_else(|| PoolName::new(""));
            let entry = Entry::join(own.place, [Some(&own), defaults.pool.as_ref()]);
            inline = pools::members(r, pool_name, &entry, field, defaults, places)
                .filter(|_| own_pool.is_some());
            pool = inline.as_ref().map(|pool| pool.name.clone());
        }
        (None, None) => {
            r.required(&own, &SERVICE, "pool");
        }
    }
    let entry = own.or_else(defaults.service.as_ref());
    let idle_timeout = idle_timeout(r, &entry);
    let access = guard::access(r, &entry);
    if let (Some(Some(list)), Some(listen)) = (&access, &listen) {
        guard::warn_of_nobody(r, &entry, listen, list);
    }
    let new_flows = guard::new_flows(r, &entry);
    let choosing = choosing::read(r, &entry);
    let forward = match word(&entry, "forward") {
        Some("dnat") => Forward::Dnat,
        Some("dsr") => Forward::Dsr,
        Some("ipip") => Forward::Ipip,
        Some("gue") => Forward::Gue,
        _ => Forward::Nat,
    };
    let service = || {
        Some(Service {
            name: name?,
            listen: listen?,
            protocol,
            pool: pool?,
            forward,
            balance: choosing.balance?,
            stick: choosing.stick?,
            redispatch: choosing.redispatch?,
            limit: choosing.limit?,
            idle_timeout: idle_timeout?,
            access: access?.map(|list| taken.share(list)),
            new_flows: new_flows?,
        })
    };
    Some(Draft {
        service: service(),
        pool_field,
        own_pool,
        inline,
    })
}

/// Checks the values of `defaults.service`.
pub(super) fn defaults(r: &mut Reader<'_>, entry: &Entry<'_>) {
    idle_timeout(r, entry);
    guard::access(r, entry);
    guard::new_flows(r, entry);
    choosing::read(r, entry);
}

fn idle_timeout(r: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Duration> {
    let timeout = r.optional(entry, "idle_timeout", |r, f| r.duration(f, IDLE_TIMEOUT))?;
    Some(timeout.unwrap_or(DEFAULT_IDLE_TIMEOUT))
}

fn protocol(own: &Entry<'_>, defaults: Option<&Entry<'_>>) -> Protocol {
    let given = word(own, "protocol").or_else(|| word(defaults?, "protocol"));
    match given {
        Some("udp") => Protocol::Udp,
        _ => Protocol::Tcp,
    }
}

fn listen(
    r: &mut Reader<'_>,
    field: Field<'_>,
    protocol: Protocol,
    places: &mut Places,
) -> Option<Vec<SocketAddr>> {
    let items = r.one_or_list(field)?;
    if items.is_empty() {
        r.error(field.key.place, "`listen` names no address");
        return None;
    }
    let mut addresses = Vec::new();
    for node in items {
        let Some(address) = r.socket(Field { node, ..field }) else {
            continue;
        };
        if let Some(first) = places.listens.get(&(address, protocol)) {
            let first = r.sources.locate(*first);
            let shown = Field { node, ..field }.shown();
            r.error(node.place, format!("`{shown}` is already listened on"))
                .hint(format!("at {first}"));
            continue;
        }
        places.listens.insert((address, protocol), node.place);
        addresses.push(address);
    }
    (addresses.len() == items.len()).then_some(addresses)
}
