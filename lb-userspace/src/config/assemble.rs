//! Tree -> validated configuration: the sections together, and what only shows across them.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use lb_common::map;

use super::diagnostic::{Diagnostic, Severity};
use super::forwarding;
use super::place::Places;
use super::reader::{Field, Reader};
use super::services::{self, Draft, Taken};
use super::tree::{Map, Node, Value};
use super::vocabulary::{TOP, nearest};
use super::{Config, Pool, Protocol, pools, settings};
use crate::model::{PoolName, ServerKey};

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
    forwarding::check(r, &config, &pools, &places);
    check_loops(r, &config.pools, &places);
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

/// A server that is a service would be sent its own packets.
fn check_loops(r: &mut Reader<'_>, pools: &[Pool], places: &Places) {
    for pool in pools {
        for server in &pool.servers {
            let key = ServerKey {
                pool: pool.name.clone(),
                server: server.name.clone(),
            };
            let listen = |protocol| places.listens.get(&(server.address, protocol));
            let (Some(listen), Some(place)) = (
                listen(Protocol::Tcp).or_else(|| listen(Protocol::Udp)),
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
    let in_services = config.services.iter().flat_map(|service| {
        let pool = pools.get(&service.pool);
        let servers = pool.into_iter().flat_map(|pool| &pool.servers);
        servers.map(|server| (server.address, service.forward.mode()))
    });
    let reals = in_services.collect::<HashSet<_>>().len().max(servers);
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
        ("pools", "servers", reals, map::REALS_MAX - 1),
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
