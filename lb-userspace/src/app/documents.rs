//! The documents of the control socket, put together from what the agent knows: pure.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Instant;

use lb_common::service::{Counts, Stats};
use lb_common::verdict::{DropReason, PassReason, ServiceDrops};

use crate::config::{self, Config};
use crate::control::protocol::{
    self, Ban, Bans, Check, Drops, FlowCounts, ReasonCount, Server, Servers, Service, Services,
    Traffic, Verdict, Via,
};
use crate::dataplane::{ServiceId, kernel};
use crate::health::driver::Statuses;
use crate::health::{ServerHealth, Status};
use crate::model::{ServerKey, ServiceHalf, ServiceName};
use crate::neighbour::{Mac, Network};
use crate::reconcile::GaugeOf;

/// What the data path has counted for one server as one service uses it.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) service: ServiceName,
    pub(super) server: ServerKey,
    pub(super) counts: Counts,
    pub(super) stats: Stats,
}

/// Active flows of servers and services.
pub(super) type Active = BTreeMap<GaugeOf, u64>;

/// `lb show services`.
pub(super) fn services(
    config: &Config,
    statuses: &Statuses,
    tallies: &[Tally],
    active: &Active,
) -> Services {
    let service = |service: &config::Service| {
        let pool = config.pools.iter().find(|pool| pool.name == service.pool);
        let servers = pool.map_or(&[][..], |pool| &pool.servers);
        let up = |server: &&config::Server| {
            let key = ServerKey {
                pool: service.pool.clone(),
                server: server.name.clone(),
            };
            server.enabled && is_up(statuses.get(&key))
        };
        let (mut flows, traffic) =
            sum(tallies.iter().filter(|tally| tally.service == service.name));
        let gauge = GaugeOf::Service(service.name.clone());
        flows.active_flows = active.get(&gauge).copied().unwrap_or(0);
        Service {
            name: service.name.to_string(),
            listen: service.listen.clone(),
            protocol: service.protocol.word().to_owned(),
            forward: service.forward.word().to_owned(),
            balance: service.balance.name().to_owned(),
            pool: service.pool.to_string(),
            servers_up: servers.iter().filter(up).count() as u64,
            servers_total: servers.len() as u64,
            max_flows: service.limit.max_flows.map(NonZeroU32::get),
            flows,
            traffic,
        }
    };
    Services {
        services: config.services.iter().map(service).collect(),
    }
}

/// `lb show servers`.
pub(super) fn servers(
    config: &Config,
    statuses: &Statuses,
    network: &Network,
    tallies: &[Tally],
    active: &Active,
    now: Instant,
) -> Servers {
    let pools = config.pools.iter();
    let servers = pools.flat_map(|pool| pool.servers.iter().map(|server| (&pool.name, server)));
    let servers = servers.map(|(pool, server)| {
        let key = ServerKey {
            pool: pool.clone(),
            server: server.name.clone(),
        };
        let status = statuses.get(&key);
        let (mut flows, traffic) = sum(tallies.iter().filter(|tally| tally.server == key));
        let gauge = GaugeOf::Server(key);
        flows.active_flows = active.get(&gauge).copied().unwrap_or(0);
        Server {
            pool: pool.to_string(),
            name: server.name.to_string(),
            address: server.address,
            state: if is_up(status) {
                ServerHealth::Up
            } else {
                ServerHealth::Down
            },
            why: status.map_or_else(|| "not checked yet".to_owned(), |s| s.why.clone()),
            since_seconds: status.map_or(0, |s| now.saturating_duration_since(s.since).as_secs()),
            weight: server.weight.as_u16(),
            backup: server.backup,
            enabled: server.enabled,
            maxconn: server.maxconn.map(NonZeroU32::get),
            flows,
            traffic,
            via: via(network, server.address.ip()),
            check: check(&server.check, status),
        }
    });
    Servers {
        servers: servers.collect(),
    }
}

/// `lb show drops`. `packets` counts by number of the reason, `services` those of them that were for
/// a service.
pub(super) fn drops(
    config: &Config,
    services: &BTreeMap<ServiceName, ServiceDrops>,
    packets: impl Fn(u32) -> u64,
) -> Drops {
    let verdict = |number: u32, name: &str, text: &str| Verdict {
        reason: name.to_owned(),
        packets: packets(number),
        description: text.to_owned(),
    };
    let drops = DropReason::ALL
        .iter()
        .map(|r| verdict(*r as u32, r.name(), r.describe()));
    let passes = PassReason::ALL
        .iter()
        .map(|r| verdict(*r as u32, r.name(), r.describe()));
    Drops {
        drops: drops.collect(),
        passes: passes.collect(),
        services: config
            .services
            .iter()
            .map(|service| service_drops(service, services.get(&service.name)))
            .collect(),
    }
}

fn service_drops(
    service: &config::Service,
    counted: Option<&ServiceDrops>,
) -> protocol::ServiceDrops {
    let reasons = DropReason::ALL.iter().filter_map(|reason| {
        let packets = *counted?.packets.get(*reason as usize)?;
        (packets > 0).then(|| ReasonCount {
            reason: reason.name().to_owned(),
            packets,
        })
    });
    protocol::ServiceDrops {
        service: service.name.to_string(),
        drops: reasons.collect(),
    }
}

/// `lb show bans`.
pub(super) fn bans(
    config: &Config,
    services: &HashMap<ServiceId, ServiceHalf>,
    bans: &[kernel::Ban],
) -> Bans {
    let place = |name: &ServiceName| config.services.iter().position(|s| s.name == *name);
    let named = bans.iter().filter_map(|ban| {
        let half = services.get(&ban.service)?;
        Some((place(&half.service)?, ban.source(half.family)?, half, ban))
    });
    let mut named: Vec<_> = named.collect();
    named.sort_by_key(|(place, source, ..)| (*place, *source));
    let bans = named.into_iter().map(|(_, source, half, ban)| Ban {
        service: half.service.to_string(),
        source: source.to_string(),
        seconds_left: ban.left.as_secs_f64(),
    });
    Bans {
        bans: bans.collect(),
    }
}

fn is_up(status: Option<&Status>) -> bool {
    status.is_some_and(|status| status.health == ServerHealth::Up)
}

fn via(network: &Network, server: IpAddr) -> Option<Via> {
    let hop = network.hops.get(&server)?;
    let name = network
        .links
        .get(&hop.ifindex)
        .map(|link| link.name.clone());
    Some(Via {
        interface: name.unwrap_or_else(|| format!("#{} (not attached)", hop.ifindex)),
        mac: hop.mac.map(|mac| Mac(mac).to_string()),
        source: hop.source,
    })
}

fn check(check: &config::Check, status: Option<&Status>) -> Option<Check> {
    let config::Check::Probe(probe) = check else {
        return None;
    };
    let last = status.and_then(|status| status.last.as_ref());
    Some(Check {
        kind: probe.kind.name().to_owned(),
        target: probe.target,
        interval_ms: u64::try_from(probe.interval.as_millis()).unwrap_or(u64::MAX),
        rise: probe.rise.get(),
        fall: probe.fall.get(),
        successes: status.map_or(0, |status| status.successes),
        failures: status.map_or(0, |status| status.failures),
        duration_ms: last.map(|finding| finding.took.as_secs_f64() * 1e3),
        last_result: last.map(crate::health::machine::Finding::describe),
        last_ok: last.map(|finding| finding.result.is_ok()),
    })
}

fn sum<'a>(tallies: impl Iterator<Item = &'a Tally>) -> (FlowCounts, Traffic) {
    let mut flows = FlowCounts::default();
    let mut traffic = Traffic::default();
    for Tally { counts, stats, .. } in tallies {
        flows.open_flows += counts.open;
        flows.flows += counts.flows;
        flows.flows_opened_total += counts.opened_total;
        flows.connect_failures_total += counts.failed_total;
        traffic.packets_in += stats.packets_in;
        traffic.bytes_in += stats.bytes_in;
        traffic.packets_out += stats.packets_out;
        traffic.bytes_out += stats.bytes_out;
    }
    (flows, traffic)
}

#[cfg(test)]
mod tests;
