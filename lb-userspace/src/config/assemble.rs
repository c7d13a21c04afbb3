//! Tree -> validated configuration: the sections together, and what only shows across them.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use lb_common::map;

use super::diagnostic::{Diagnostic, Severity};
use super::place::Places;
use super::reader::{Field, Reader};
use super::services::{self, Draft, Taken};
use super::tree::{Map, Node, Value};
use super::vocabulary::{TOP, nearest};
use super::{Config, NatSource, Pool, Service, pools, settings};
use crate::model::{Family, PoolName, ServerKey};

/// Reads the whole tree. What is wrong is in the reader's problems; the configuration means
/// something only if no error is among them.
pub(super) fn config(r: &mut Reader<'_>, map: &Map) -> (Config, Places) {
    let mut places = Places::default();
    r.check_keys(map, &TOP);
    let defaults = pools::defaults(r, map);
    if let Some(entry) = &defaults.service {
        services::defaults(r, entry);
    }
    let mut config = Config {
        dataplane: settings::data_plane(r, map, &mut places),
        control: settings::control(r, map, &mut places),
        log: settings::log(r, map),
        pools: Vec::new(),
        services: Vec::new(),
    };

    let mut taken = Taken::default();
    for node in items(r, map, "pools") {
        let pool = pools::pool(r, node, &defaults, &mut taken.pools, &mut places);
        config.pools.extend(pool);
    }
    let mut drafts = Vec::new();
    for node in items(r, map, "services") {
        drafts.extend(services::service(
            r,
            node,
            &defaults,
            &mut taken,
            &mut places,
        ));
    }
    for draft in &drafts {
        config.pools.extend(draft.inline.clone());
        config.services.extend(draft.service.clone());
    }

    // What a syntax error swallowed may be what others refer to.
    if !map.cut {
        find_pools(r, &drafts, &taken);
    }
    warn_of_unused(r, &drafts, &taken);
    let pools: HashMap<&PoolName, &Pool> = config.pools.iter().map(|p| (&p.name, p)).collect();
    check_families(r, &config.services, &pools, &places);
    check_loops(r, &config.pools, &places);
    check_nat_source(r, &config, &places);
    check_sizes(r, &config, &pools, map);
    (config, places)
}

fn items<'n>(r: &mut Reader<'_>, map: &'n Map, key: &str) -> &'n [Node] {
    map.get(key)
        .and_then(|(key, node)| r.list(Field { key, node }))
        .unwrap_or_default()
}

/// Every `pool:` names a pool that is there.
fn find_pools(r: &mut Reader<'_>, drafts: &[Draft<'_>], taken: &Taken) {
    for field in drafts.iter().filter_map(|draft| draft.pool_field) {
        let Value::Text(name) = &field.node.value else {
            continue;
        };
        if taken.pools.contains_key(&name.text) {
            continue;
        }
        let shown = name.shown();
        let error = r.problems.error(
            r.sources,
            field.node.place,
            format!("there is no pool named `{shown}`"),
        );
        let known = taken.pools.keys().map(String::as_str);
        if let Some(meant) = nearest(&name.text, known).filter(|_| name.written.is_none()) {
            error.hint(format!("did you mean `{meant}`?"));
        }
    }
}

fn warn_of_unused(r: &mut Reader<'_>, drafts: &[Draft<'_>], taken: &Taken) {
    // What seems to be missing may be what was refused.
    if r.problems.any_error() {
        return;
    }
    if drafts.is_empty() {
        let message = "there are no services: lb has nothing to do";
        r.problems
            .push(Diagnostic::general(Severity::Warning, "", message));
        return;
    }
    let used: HashSet<&str> = drafts.iter().filter_map(Draft::pool_name).collect();
    for (name, place) in &taken.pools {
        if !used.contains(name.as_str()) {
            r.warn(*place, "no service uses this pool");
        }
    }
}

/// `nat` cannot turn IPv4 into IPv6: each family that a service listens on needs a server of it, and
/// a server of another family gets nothing.
fn check_families(
    r: &mut Reader<'_>,
    services: &[Service],
    pools: &HashMap<&PoolName, &Pool>,
    places: &Places,
) {
    for service in services {
        let Some(pool) = pools.get(&service.pool) else {
            continue;
        };
        for (family, word) in [(Family::V4, "IPv4"), (Family::V6, "IPv6")] {
            let mut listens = service.listen.iter();
            let listen = listens.find(|listen| Family::of(listen) == family);
            let mut servers = pool.servers.iter();
            let server = servers.find(|server| Family::of(&server.address) == family);
            match (listen, server) {
                (Some(listen), None) => {
                    let message = format!(
                        "pool `{}` has no {word} server for this address of service `{}`",
                        pool.name, service.name
                    );
                    r.error(places.listens[listen], message)
                        .hint("`nat` does not translate between IPv4 and IPv6");
                }
                (None, Some(server)) => {
                    let key = ServerKey {
                        pool: pool.name.clone(),
                        server: server.name.clone(),
                    };
                    if let Some(&place) = places.servers.get(&key) {
                        let message = format!(
                            "service `{}` does not listen on {word}: this server gets nothing of it",
                            service.name
                        );
                        r.warn(place, message);
                    }
                }
                _ => {}
            }
        }
    }
}

/// A server that is a service would be sent its own packets.
fn check_loops(r: &mut Reader<'_>, pools: &[Pool], places: &Places) {
    for pool in pools {
        for server in &pool.servers {
            let key = ServerKey {
                pool: pool.name.clone(),
                server: server.name.clone(),
            };
            let (Some(listen), Some(place)) = (
                places.listens.get(&server.address),
                places.servers.get(&key),
            ) else {
                continue;
            };
            let listen = r.sources.locate(*listen);
            r.error(
                *place,
                "the server's address is one that a service listens on",
            )
            .hint(format!("at {listen}"));
        }
    }
}

/// `nat_source` has an address for every family in use, and none of them is a server's.
fn check_nat_source(r: &mut Reader<'_>, config: &Config, places: &Places) {
    let (NatSource::Addresses(sources), Some(place)) =
        (&config.dataplane.nat_source, places.nat_source)
    else {
        return;
    };
    let servers = || {
        config
            .pools
            .iter()
            .flat_map(|pool| &pool.servers)
            .map(|s| s.address)
    };
    for (family, v4) in [("IPv4", true), ("IPv6", false)] {
        let used = servers().any(|server| server.is_ipv4() == v4);
        if used && !sources.iter().any(|source| source.is_ipv4() == v4) {
            let message =
                format!("`nat_source` has no {family} address, and there are {family} servers");
            r.error(place, message);
        }
    }
    let servers: HashSet<IpAddr> = servers().map(|server: SocketAddr| server.ip()).collect();
    if sources.iter().any(|source| servers.contains(source)) {
        r.error(place, "`nat_source` has the address of a server");
    }
}

/// What the data path's maps hold.
fn check_sizes(r: &mut Reader<'_>, config: &Config, pools: &HashMap<&PoolName, &Pool>, root: &Map) {
    let addresses: HashSet<IpAddr> = config
        .services
        .iter()
        .flat_map(|s| &s.listen)
        .map(SocketAddr::ip)
        .collect();
    let listens: usize = config.services.iter().map(|s| s.listen.len()).sum();
    let servers: usize = config.pools.iter().map(|pool| pool.servers.len()).sum();
    let members: usize = config
        .services
        .iter()
        .filter_map(|s| pools.get(&s.pool))
        .map(|p| p.servers.len())
        .sum();
    let sizes = [
        (
            "services",
            "services",
            config.services.len(),
            map::SERVICE_IDS_MAX - 1,
        ),
        (
            "services",
            "listening addresses",
            listens + addresses.len(),
            map::SERVICES_MAX,
        ),
        (
            "services",
            "servers of all services together",
            members,
            map::MEMBERS_MAX - 1,
        ),
        ("pools", "servers", servers, map::REALS_MAX - 1),
    ];
    for (section, what, count, max) in sizes {
        if count > max as usize
            && let Some((key, _)) = root.get(section)
        {
            r.error(
                key.place,
                format!("there are {count} {what}; at most {max} fit"),
            );
        }
    }
}
