//! A configuration against the host that is to run it.
//!
//! Pure: [`HostFacts`] are gathered elsewhere.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::diagnostic::{Diagnostic, Severity};
use super::load::Loaded;
use super::source::Place;
use super::{Check, Config, NatSource, Server};
use crate::model::ServerKey;

/// What a configuration needs to know of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// Every interface, loopback included.
    pub interfaces: Vec<Interface>,
    /// The way to each server's address; an address without a route is absent.
    pub routes: BTreeMap<IpAddr, Route>,
    /// Ports that the host's own connections come from (`net.ipv4.ip_local_port_range`, for both
    /// families); `None` if unknown.
    pub local_ports: Option<RangeInclusive<u16>>,
    /// Whether `control.group` exists; `None` if unknown or not set.
    pub group_exists: Option<bool>,
}

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its addresses with prefix lengths.
    pub addresses: Vec<(IpAddr, u8)>,
}

/// The way to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Number of the interface that packets leave by.
    pub interface: u32,
    /// The source address that the kernel chooses.
    pub source: IpAddr,
}

/// Where a server sees traffic come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenFrom {
    /// The server.
    pub server: ServerKey,
    /// Clients' connections; empty if there is no route to the server.
    pub connections: Vec<IpAddr>,
    /// Probes; `None` if the server is not probed or there is no route to where it is.
    pub checks: Option<IpAddr>,
}

/// What would fail or surprise on this host.
pub fn check(loaded: &Loaded, facts: &HostFacts) -> Vec<Diagnostic> {
    let mut checker = Checker {
        loaded,
        facts,
        found: Vec::new(),
    };
    checker.interfaces();
    checker.servers();
    checker.listens();
    checker.control_group();
    checker.source_ports();
    checker.nat_source();
    checker.found
}

/// Where each server sees connections and checks come from, in the order of the configuration.
pub fn seen_from(config: &Config, facts: &HostFacts) -> Vec<SeenFrom> {
    let source = |to: IpAddr| facts.routes.get(&to).map(|route| route.source);
    let each = |server: &Server| {
        let address = server.address.ip();
        let connections = match &config.dataplane.nat_source {
            NatSource::Auto => source(address).into_iter().collect(),
            NatSource::Addresses(all) => all
                .iter()
                .copied()
                .filter(|a| a.is_ipv4() == address.is_ipv4())
                .collect(),
        };
        let checks = match &server.check {
            Check::None => None,
            Check::Probe(probe) => source(probe.target.ip()),
        };
        (connections, checks)
    };
    let mut seen = Vec::new();
    for pool in &config.pools {
        for server in &pool.servers {
            let (connections, checks) = each(server);
            let server = ServerKey {
                pool: pool.name.clone(),
                server: server.name.clone(),
            };
            seen.push(SeenFrom {
                server,
                connections,
                checks,
            });
        }
    }
    seen
}

/// Every address that [`HostFacts::routes`] is asked for.
pub fn destinations(config: &Config) -> Vec<IpAddr> {
    let servers = config.pools.iter().flat_map(|pool| &pool.servers);
    let mut all: Vec<IpAddr> = servers
        .flat_map(|server| {
            let probed = match &server.check {
                Check::None => None,
                Check::Probe(probe) => Some(probe.target.ip()),
            };
            std::iter::once(server.address.ip()).chain(probed)
        })
        .collect();
    all.sort();
    all.dedup();
    all
}

struct Checker<'a> {
    loaded: &'a Loaded,
    facts: &'a HostFacts,
    found: Vec<Diagnostic>,
}

impl Checker<'_> {
    /// Warnings only: a configuration may be checked on another host than its own.
    fn interfaces(&mut self) {
        let names: Vec<_> = self
            .facts
            .interfaces
            .iter()
            .map(|i| i.name.as_str())
            .collect();
        let hint = format!("there are {}", names.join(", "));
        for name in &self.loaded.config.dataplane.interfaces {
            if !names.contains(&name.as_str()) {
                let place = self.loaded.places.interfaces.get(name).copied();
                let message = "there is no such interface on this host";
                self.at(Severity::Warning, place, message, &hint);
            }
        }
    }

    fn servers(&mut self) {
        for pool in &self.loaded.config.pools {
            for server in &pool.servers {
                let key = ServerKey {
                    pool: pool.name.clone(),
                    server: server.name.clone(),
                };
                let place = self.loaded.places.servers.get(&key).copied();
                self.server(server, place);
            }
        }
    }

    fn server(&mut self, server: &Server, place: Option<Place>) {
        let address = server.address.ip();
        if let Some(interface) = self.owner(address) {
            let message = format!(
                "this server is this host itself ({}): XDP does not see local traffic",
                interface.name
            );
            let hint = "run the server on another host, or take it out of the pool on this one";
            self.at(Severity::Error, place, message, hint);
            return;
        }
        let Some(route) = self.facts.routes.get(&address) else {
            self.at(
                Severity::Warning,
                place,
                "there is no route to this server",
                "",
            );
            return;
        };
        // Without any, all come from `--iface`.
        let attached = &self.loaded.config.dataplane.interfaces;
        let leaves_by = self
            .facts
            .interfaces
            .iter()
            .find(|i| i.index == route.interface);
        if let Some(interface) = leaves_by
            && !attached.is_empty()
            && !attached.contains(&interface.name)
        {
            let name = &interface.name;
            let message =
                format!("packets to this server leave by `{name}`, where lb does not attach");
            let hint = format!("its answers would be lost: add `{name}` to `interfaces`");
            self.at(Severity::Warning, place, message, &hint);
        }
    }

    fn listens(&mut self) {
        for service in &self.loaded.config.services {
            for listen in &service.listen {
                if self.owner(listen.ip()).is_none() {
                    let place = self
                        .loaded
                        .places
                        .listens
                        .get(&(*listen, service.protocol))
                        .copied();
                    let message = "no interface of this host has this address";
                    let hint = "clients reach it only if they have a route to it by this host";
                    self.at(Severity::Warning, place, message, hint);
                }
            }
        }
    }

    fn control_group(&mut self) {
        if self.facts.group_exists == Some(false) {
            let message = "there is no such group on this host: the socket stays with the agent's";
            self.at(Severity::Warning, self.loaded.places.group, message, "");
        }
    }

    /// Two senders on one address must not take the same port.
    fn source_ports(&mut self) {
        let Some(local) = &self.facts.local_ports else {
            return;
        };
        let ours = &self.loaded.config.dataplane.source_ports;
        if ours.start() <= local.end() && local.start() <= ours.end() {
            let message = format!(
                "`source_ports` {}-{} overlap the ports of this host's own connections, {}-{}",
                ours.start(),
                ours.end(),
                local.start(),
                local.end()
            );
            let hint = "change one of them: sysctl net.ipv4.ip_local_port_range";
            self.at(
                Severity::Warning,
                self.loaded.places.source_ports,
                message,
                hint,
            );
        }
    }

    fn nat_source(&mut self) {
        let pools = &self.loaded.config.pools;
        if self.loaded.config.dataplane.nat_source == NatSource::Auto && !pools.is_empty() {
            let message = "servers see connections come from this host's own addresses: \
                           connections will not survive this host";
            let place = self.loaded.places.nat_source;
            self.at(Severity::Warning, place, message, "");
        }
    }

    fn owner(&self, address: IpAddr) -> Option<&Interface> {
        let has = |i: &&Interface| i.addresses.iter().any(|(own, _)| *own == address);
        self.facts.interfaces.iter().find(has)
    }

    fn at(
        &mut self,
        severity: Severity,
        place: Option<Place>,
        message: impl Into<String>,
        hint: &str,
    ) {
        let mut diagnostic = match place {
            Some(place) => Diagnostic::at(&self.loaded.sources, severity, place, message),
            None => Diagnostic::general(severity, "", message),
        };
        if !hint.is_empty() {
            diagnostic.hint(hint);
        }
        self.found.push(diagnostic);
    }
}
