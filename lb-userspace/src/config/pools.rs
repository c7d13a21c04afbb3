//! `pools`, their servers, and what services say inline.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;

use super::check;
use super::place::Places;
use super::reader::{Entry, Field, Reader};
use super::settings::word;
use super::source::Place;
use super::tree::{Map, Node};
use super::vocabulary::{DEFAULTS, POOL, SERVER, SERVICE};
use super::{Backups, Pool, Server};
use crate::model::{PoolName, ServerKey, ServerName, Weight};

/// HAProxy's default.
const DEFAULT_WEIGHT: Weight = Weight::new(1).unwrap();

/// `defaults:`.
#[derive(Default)]
pub(super) struct Defaults<'n> {
    check: Option<Entry<'n>>,
    pub(super) pool: Option<Entry<'n>>,
    pool_check: Option<Entry<'n>>,
    server: Option<Entry<'n>>,
    server_check: Option<Entry<'n>>,
    pub(super) service: Option<Entry<'n>>,
}

/// Names that are taken, and where.
pub(super) type Names = HashMap<String, Place>;

/// Reads `defaults:` and reports what is wrong in it even if nothing uses it.
pub(super) fn defaults<'n>(r: &mut Reader<'_>, root: &'n Map) -> Defaults<'n> {
    let Some(entry) = root
        .get("defaults")
        .and_then(|(_, node)| r.entry(node, &DEFAULTS))
    else {
        return Defaults::default();
    };
    let mut of = |key, table| entry.get(key).and_then(|field| r.defaults(field, table));
    let pool = of("pool", &POOL);
    let server = of("server", &SERVER);
    let service = of("service", &SERVICE);
    let mut check_of = |entry: Option<&Entry<'n>>| {
        let found = check::entry(r, entry?.get("check")?)?;
        // Any address does: only the values are looked at.
        check::read(r, &found, SocketAddr::from(([192, 0, 2, 1], 1)));
        Some(found)
    };
    let defaults = Defaults {
        check: check_of(Some(&entry)),
        pool_check: check_of(pool.as_ref()),
        server_check: check_of(server.as_ref()),
        pool,
        server,
        service,
    };
    if let Some(server) = &defaults.server {
        options(r, server);
    }
    defaults
}

/// Records a name, or reports that `what` has it already.
pub(super) fn claim(
    r: &mut Reader<'_>,
    names: &mut Names,
    what: &str,
    name: &str,
    field: Field<'_>,
) -> bool {
    let Some(first) = names.get(name) else {
        names.insert(name.to_owned(), field.node.place);
        return true;
    };
    let first = r.sources.locate(*first);
    let shown = field.shown();
    r.error(
        field.node.place,
        format!("there is already {what} named `{shown}`"),
    )
    .hint(format!("it is at {first}"));
    false
}

/// One of `pools:`. Its name is taken even if the rest is wrong, so that services may refer to it.
pub(super) fn pool<'n>(
    r: &mut Reader<'_>,
    node: &'n Node,
    defaults: &Defaults<'n>,
    names: &mut Names,
    places: &mut Places,
) -> Option<Pool> {
    let entry = r.entry(node, &POOL)?;
    let name = r.required(&entry, &POOL, "name").and_then(|field| {
        let name = r.name(field)?;
        claim(r, names, "a pool", &name.text, field).then(|| PoolName::new(name.text.as_str()))
    });
    let entry = entry.or_else(defaults.pool.as_ref());
    let servers = r.required(&entry, &POOL, "servers");
    // An unnamed pool's servers are read all the same: for what is wrong with them.
    let unnamed = name.is_none();
    let pool = members(
        r,
        name.unwrap_or_else(|| PoolName::new("")),
        &entry,
        servers?,
        defaults,
        places,
    )?;
    (!unnamed).then_some(pool)
}

/// The servers of a pool or of a service, `entry`, with the `check` and `backups` it has.
pub(super) fn members<'n>(
    r: &mut Reader<'_>,
    name: PoolName,
    entry: &Entry<'n>,
    field: Field<'n>,
    defaults: &Defaults<'n>,
    places: &mut Places,
) -> Option<Pool> {
    let own_check = entry.own("check").and_then(|field| {
        let own = check::entry(r, field)?;
        let all = Entry::join(
            own.place,
            [
                Some(&own),
                defaults.pool_check.as_ref(),
                defaults.check.as_ref(),
            ],
        );
        check::read(r, &all, SocketAddr::from(([192, 0, 2, 1], 1)));
        Some(own)
    });
    let items = r.list(field)?;
    if items.is_empty() {
        r.error(field.key.place, "a pool needs at least one server");
        return None;
    }
    let mut taken = Taken::default();
    let mut servers = Vec::new();
    for item in items {
        let inherited = [
            own_check.as_ref(),
            defaults.server_check.as_ref(),
            defaults.pool_check.as_ref(),
            defaults.check.as_ref(),
        ];
        let Some((server, place)) = server(r, item, defaults, inherited, &mut taken) else {
            continue;
        };
        let key = ServerKey {
            pool: name.clone(),
            server: server.name.clone(),
        };
        places.servers.insert(key, place);
        servers.push(server);
    }
    if servers.len() < items.len() {
        return None;
    }
    warn_if_idle(r, field, &servers);
    let backups = match word(entry, "backups") {
        Some("all") => Backups::All,
        _ => Backups::First,
    };
    Some(Pool {
        name,
        servers,
        backups,
    })
}

/// Names and addresses of one pool's servers.
#[derive(Default)]
struct Taken {
    names: Names,
    addresses: HashMap<SocketAddr, Place>,
}

/// A server and where its address is written.
fn server<'n>(
    r: &mut Reader<'_>,
    node: &'n Node,
    defaults: &Defaults<'n>,
    inherited: [Option<&Entry<'n>>; 4],
    taken: &mut Taken,
) -> Option<(Server, Place)> {
    let entry = r.entry(node, &SERVER)?;
    let name = r.required(&entry, &SERVER, "name").and_then(|field| {
        let name = r.name(field)?;
        claim(r, &mut taken.names, "a server", &name.text, field)
            .then(|| ServerName::new(name.text.as_str()))
    });
    let address = r.required(&entry, &SERVER, "address").and_then(|field| {
        let address = r.socket(field)?;
        Some((address, field))
    });
    if let Some((address, field)) = address {
        if let Some(first) = taken.addresses.get(&address) {
            let first = r.sources.locate(*first);
            r.error(
                field.node.place,
                "another server of the pool has this address",
            )
            .hint(format!("it is at {first}; for a larger share use `weight`"));
        } else {
            taken.addresses.insert(address, field.node.place);
        }
    }
    let own_check = entry.own("check").and_then(|field| check::entry(r, field));
    let parts = std::iter::once(own_check.as_ref()).chain(inherited);
    let check_entry = Entry::join(entry.place, parts);
    // Without an address the check's own values are still looked at.
    let target = address.map_or(SocketAddr::from(([192, 0, 2, 1], 1)), |(address, _)| {
        address
    });
    let check = check::read(r, &check_entry, target);
    let options = options(r, &entry.or_else(defaults.server.as_ref()));
    let (address, field) = address?;
    let Options {
        weight,
        backup,
        enabled,
        maxconn,
    } = options?;
    let server = Server {
        name: name?,
        address,
        weight,
        backup,
        enabled,
        maxconn,
        check: check?,
    };
    Some((server, field.node.place))
}

/// What a server has that may have a default, but for its check.
struct Options {
    weight: Weight,
    backup: bool,
    enabled: bool,
    maxconn: Option<NonZeroU32>,
}

fn options(r: &mut Reader<'_>, entry: &Entry<'_>) -> Option<Options> {
    let largest = u32::from(Weight::MAX);
    let weight = r.optional(entry, "weight", |r, f| r.number(f, 0..=largest));
    let backup = r.optional(entry, "backup", Reader::boolean);
    let enabled = r.optional(entry, "enabled", Reader::boolean);
    let maxconn = r.optional(entry, "maxconn", |r, f| r.number(f, 1..=u32::MAX));
    let weight = weight?.and_then(|weight| Weight::new(u16::try_from(weight).ok()?));
    Some(Options {
        weight: weight.unwrap_or(DEFAULT_WEIGHT),
        backup: backup?.unwrap_or(false),
        enabled: enabled?.unwrap_or(true),
        maxconn: maxconn?.and_then(NonZeroU32::new),
    })
}

/// A pool that is valid and yet will not do what its author expects.
fn warn_if_idle(r: &mut Reader<'_>, field: Field<'_>, servers: &[Server]) {
    let place = field.key.place;
    if servers
        .iter()
        .all(|server| !server.enabled || server.weight.as_u16() == 0)
    {
        r.warn(
            place,
            "no server here takes new connections: each is disabled or of weight 0",
        );
    } else if servers.iter().all(|server| server.backup) {
        r.warn(place, "every server here is a backup");
    }
}
