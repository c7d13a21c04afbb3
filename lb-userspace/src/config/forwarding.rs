//! What a service's way of forwarding asks of its servers.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use super::place::Places;
use super::reader::Reader;
use super::{Config, Forward, NatSource, Pool, Server, Service};
use crate::model::{Family, PoolName, ServerKey};

/// Every service's servers can be forwarded to as it says.
pub(super) fn check(
    r: &mut Reader<'_>,
    config: &Config,
    pools: &HashMap<&PoolName, &Pool>,
    places: &Places,
) {
    for service in &config.services {
        let Some(pool) = pools.get(&service.pool) else {
            continue;
        };
        families(r, service, pool, places);
        if service.forward == Forward::Dsr {
            ports(r, service, pool, places);
        }
    }
    nat_source(r, config, pools, places);
}

/// Only a tunnel can carry IPv4 to an IPv6 server or the other way about. Else each family that a
/// service listens on needs a server of it, and a server of another family gets nothing.
fn families(r: &mut Reader<'_>, service: &Service, pool: &Pool, places: &Places) {
    let mode = service.forward.mode();
    for (family, word) in [(Family::V4, "IPv4"), (Family::V6, "IPv6")] {
        let mut listens = service.listen.iter();
        let listen = listens.find(|listen| Family::of(listen) == family);
        let mut servers = pool.servers.iter();
        let server = servers.find(|server| family.reaches(&server.address, mode));
        match (listen, server) {
            (Some(listen), None) => {
                let message = format!(
                    "pool `{}` has no {word} server for this address of service `{}`",
                    pool.name, service.name
                );
                let hint = format!("`{}` does not translate between IPv4 and IPv6", mode.name());
                r.error(places.listens[&(*listen, service.protocol)], message)
                    .hint(hint);
            }
            (None, Some(server)) if !mode.tunnels() => {
                if let Some(&place) = places.servers.get(&key(pool, server)) {
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

/// `dsr` leaves packets as they are, and with them the port.
fn ports(r: &mut Reader<'_>, service: &Service, pool: &Pool, places: &Places) {
    for server in &pool.servers {
        let differs = |listen: &&SocketAddr| {
            Family::of(listen) == Family::of(&server.address)
                && listen.port() != server.address.port()
        };
        let (Some(listen), Some(&place)) = (
            service.listen.iter().find(differs),
            places.servers.get(&key(pool, server)),
        ) else {
            continue;
        };
        let message = format!(
            "service `{}` forwards by `dsr`, which does not change the port {} that it listens on",
            service.name,
            listen.port()
        );
        r.error(place, message)
            .hint("give the server the service's port, or use `forward: dnat`");
    }
}

/// `nat_source` has an address for every family that it is used with, and none of them is a server's.
fn nat_source(
    r: &mut Reader<'_>,
    config: &Config,
    pools: &HashMap<&PoolName, &Pool>,
    places: &Places,
) {
    let (NatSource::Addresses(sources), Some(place)) =
        (&config.dataplane.nat_source, places.nat_source)
    else {
        return;
    };
    // Of a pool that no service uses (yet), `nat` is expected.
    let with_source = |pool: &&&Pool| {
        let mut services = config.services.iter().filter(|s| s.pool == pool.name);
        let keeps_client = |service: &Service| service.forward.mode().keeps_client();
        services.clone().next().is_none() || !services.all(keeps_client)
    };
    let servers: Vec<SocketAddr> = pools
        .values()
        .filter(with_source)
        .flat_map(|pool| &pool.servers)
        .map(|server| server.address)
        .collect();
    for (family, v4) in [("IPv4", true), ("IPv6", false)] {
        let used = servers.iter().any(|server| server.is_ipv4() == v4);
        if used && !sources.iter().any(|source| source.is_ipv4() == v4) {
            let message =
                format!("`nat_source` has no {family} address, and there are {family} servers");
            r.error(place, message);
        }
    }
    let all: HashSet<IpAddr> = config
        .pools
        .iter()
        .flat_map(|pool| &pool.servers)
        .map(|server| server.address.ip())
        .collect();
    if sources.iter().any(|source| all.contains(source)) {
        r.error(place, "`nat_source` has the address of a server");
    }
}

fn key(pool: &Pool, server: &Server) -> ServerKey {
    ServerKey {
        pool: pool.name.clone(),
        server: server.name.clone(),
    }
}
