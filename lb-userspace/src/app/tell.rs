//! What changed in the network, in lines for the log.

use std::net::IpAddr;

use crate::desired::DesiredState;
use crate::neighbour::{Mac, Network};

/// Longer lists are cut.
const SERVERS_NAMED: usize = 8;

/// A line, and whether it is bad news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// As it should be.
    Info(String),
    /// Packets are lost until it changes.
    Warn(String),
}

/// What became of the links and of the ways to `servers`.
pub(super) fn changes(old: &Network, new: &Network, servers: &[IpAddr]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (index, link) in &old.links {
        if !new.links.contains_key(index) {
            lines.push(Line::Warn(format!("interface {} is gone", link.name)));
        }
    }
    for (index, link) in &new.links {
        match old.links.get(index) {
            Some(old) if old == link => {}
            _ => lines.push(Line::Info(format!(
                "interface {}: MAC address {}, MTU {}",
                link.name,
                Mac(link.mac),
                link.mtu
            ))),
        }
    }
    for server in servers {
        lines.extend(way(old, new, *server));
    }
    lines
}

/// What became of the servers that get new flows.
pub(super) fn shares(old: &DesiredState, new: &DesiredState) -> Vec<Line> {
    let mut lines = Vec::new();
    for (name, service) in &new.services {
        let now = &service.ring.shares;
        let before = old.services.get(name).map(|service| &service.ring.shares);
        if before.is_some_and(|before| before.keys().eq(now.keys())) {
            continue;
        }
        if now.is_empty() {
            let text = format!("service {name}: no server is left, new connections are refused");
            lines.push(Line::Warn(text));
            continue;
        }
        let mut servers: Vec<_> = now
            .keys()
            .take(SERVERS_NAMED)
            .map(ToString::to_string)
            .collect();
        if now.len() > SERVERS_NAMED {
            servers.push(format!("{} more", now.len() - SERVERS_NAMED));
        }
        let text = format!(
            "service {name}: new connections go to {}",
            servers.join(", ")
        );
        lines.push(Line::Info(text));
    }
    lines
}

fn way(old: &Network, new: &Network, server: IpAddr) -> Option<Line> {
    let (before, now) = (old.hops.get(&server), new.hops.get(&server));
    if before == now {
        return None;
    }
    let Some(hop) = now else {
        return Some(Line::Warn(format!("no route to server {server} any more")));
    };
    let link = new.links.get(&hop.ifindex);
    let interface = match link {
        Some(link) => link.name.clone(),
        None => format!("interface {} (where lb is not attached)", hop.ifindex),
    };
    let Some(mac) = hop.mac else {
        return Some(match before.and_then(|hop| hop.mac) {
            Some(mac) => Line::Warn(format!(
                "next hop of server {server} on {interface} no longer answers (it was {})",
                Mac(mac)
            )),
            None => Line::Warn(format!(
                "next hop of server {server} on {interface} does not answer yet"
            )),
        });
    };
    let line = format!("next hop of server {server} is {} on {interface}", Mac(mac));
    Some(match link {
        Some(_) => Line::Info(line),
        None => Line::Warn(line),
    })
}

#[cfg(test)]
mod tests;
