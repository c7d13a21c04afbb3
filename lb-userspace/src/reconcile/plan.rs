//! What a stage has to do: the difference between what is wanted and what the books say.

use std::collections::BTreeSet;

use lb_common::limit::Limit;
use lb_common::service::{Member, RESET_WHEN_FULL, Real, Service, ServiceKey, SnatSource};

use super::GaugeOf;
use super::assign::member_keys;
use super::books::{Books, ListSet, Record, Ring, SourceSet};
use super::step::Step;
use crate::dataplane::ids::Id;
use crate::dataplane::{MemberId, wire};
use crate::desired::{DesiredReal, DesiredState};
use crate::model::RealKey;

/// The parts of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Ports,
    Sources,
    Reals,
    Members,
    NewServices,
    Access,
    Rings,
    Services,
    RemoveServices,
    RemoveMembers,
    RemoveReals,
    RemovePorts,
}

impl Stage {
    /// What is referred to comes before what refers to it, and goes after it.
    pub(super) const ORDER: [Self; 12] = [
        Self::Ports,
        Self::Sources,
        Self::Reals,
        Self::Members,
        Self::NewServices,
        Self::Access,
        Self::Rings,
        Self::Services,
        Self::RemoveServices,
        Self::RemoveMembers,
        Self::RemoveReals,
        Self::RemovePorts,
    ];
}

/// The steps of `stage`. `flows` tells how many flows a member has.
pub(super) fn plan(
    stage: Stage,
    books: &Books,
    desired: &DesiredState,
    flows: impl Fn(MemberId) -> u64,
) -> Vec<Step> {
    match stage {
        Stage::Ports => put_ports(books, desired),
        Stage::Sources => write_sources(books, desired),
        Stage::Reals => put_reals(books, desired),
        Stage::Members => put_members(books, desired),
        Stage::NewServices => clear_services(books, desired),
        Stage::Access => write_access(books, desired),
        Stage::Rings => write_rings(books, desired),
        Stage::Services => put_services(books, desired),
        Stage::RemoveServices => remove_services(books, desired),
        Stage::RemoveMembers => remove_members(books, desired, flows),
        Stage::RemoveReals => remove_reals(books, desired),
        Stage::RemovePorts => remove_ports(books, desired),
    }
}

fn put_ports(books: &Books, desired: &DesiredState) -> Vec<Step> {
    let needs = |ifindex: &u32, port| books.ports.get(ifindex).is_none_or(|held| held.needs(port));
    let ports = desired
        .ports
        .iter()
        .filter(|(ifindex, port)| needs(ifindex, port));
    ports
        .map(|(&ifindex, &port)| Step::PutPort { ifindex, port })
        .collect()
}

fn write_sources(books: &Books, desired: &DesiredState) -> Vec<Step> {
    let wanted = |set: &&SourceSet| {
        desired
            .reals
            .values()
            .any(|real| real.sources == set.sources)
    };
    let sets = books
        .sources
        .iter()
        .filter(|set| !set.written)
        .filter(wanted);
    sets.map(|set| Step::WriteSources {
        base: set.slice.base(),
        sources: set.sources.clone(),
    })
    .collect()
}

fn put_reals(books: &Books, desired: &DesiredState) -> Vec<Step> {
    let mut steps = Vec::new();
    for (key, wanted) in &desired.reals {
        let Some(entry) = books.reals.get(key) else {
            continue;
        };
        let real = real(books, *key, wanted, &entry.record);
        if entry.record.needs(&real) {
            steps.push(Step::PutReal {
                key: *key,
                id: entry.id,
                real,
            });
        }
    }
    steps
}

/// A server as the map should hold it. If its NAT sources could not be written, it keeps those that
/// it has.
fn real(books: &Books, key: RealKey, wanted: &DesiredReal, record: &Record<Real>) -> Real {
    let set = books.source_set(&wanted.sources).filter(|set| set.written);
    let (snat_base, snat_count, ports) = match (set, record.held) {
        (Some(set), _) => (set.slice.base(), set.slice.len(), ports(&set.sources)),
        (None, Some(held)) if !wanted.sources.is_empty() => {
            (held.snat_base, held.snat_count, held.ports)
        }
        (None, _) => (0, 0, 0),
    };
    Real {
        ethernet: wanted.way.map_or([0; 3], |way| way.ethernet),
        ifindex: wanted.way.map_or(0, |way| way.ifindex),
        mtu: wanted.way.map_or(0, |way| way.mtu),
        snat_base,
        snat_count,
        port: key.address.port().to_be(),
        family: if key.address.is_ipv4() { 4 } else { 6 },
        addr: wire::words(key.address.ip()),
        mode: key.mode as u8,
        zero: [0; 11],
        ports,
    }
}

/// Ports that NAT sources have together.
fn ports(sources: &[SnatSource]) -> u32 {
    let ports = |source: &SnatSource| u32::from(source.port_high - source.port_low) + 1;
    sources.iter().map(ports).sum()
}

fn put_members(books: &Books, desired: &DesiredState) -> Vec<Step> {
    let mut steps = Vec::new();
    for (name, service) in &desired.services {
        let Some(service_id) = books.services.get(name).map(|entry| entry.id) else {
            continue;
        };
        for key in member_keys(name, service) {
            let (Some(entry), Some(real)) = (books.members.get(&key), books.reals.get(&key.real))
            else {
                continue;
            };
            if real.record.held.is_none() {
                continue;
            }
            let id = entry.id;
            let member = Member {
                real: real.id.number(),
                service: service_id.number(),
                idle_timeout: service.idle_timeout,
                maxconn: service.maxconn.get(&key.server).copied().unwrap_or(0),
                weight: service.ring.shares.get(&key.server).copied().unwrap_or(0),
                gauge: books.gauge(&GaugeOf::Server(key.server.clone())),
                service_gauge: books.gauge(&GaugeOf::Service(name.service.clone())),
                redispatches: service.policy.redispatches,
                stick: service.policy.stick,
                limited: (service.limit != Limit::default()).into(),
                ..Member::default()
            };
            if entry.record.held.is_none() {
                steps.push(Step::AddMember { key, id, member });
            } else if entry.record.needs(&member) {
                steps.push(Step::PutMember { key, id, member });
            }
        }
    }
    steps
}

fn write_access(books: &Books, desired: &DesiredState) -> Vec<Step> {
    let wanted = |set: &&ListSet| {
        let mut services = desired.services.iter();
        services.any(|(name, service)| {
            name.family == set.family && service.access.as_ref() == Some(&set.list)
        })
    };
    let sets = books.lists.iter().filter(|set| !set.is_written());
    sets.filter(wanted)
        .map(|set| Step::WriteAccess {
            base: set.slice.base(),
            nodes: set.nodes.clone(),
        })
        .collect()
}

fn clear_services(books: &Books, desired: &DesiredState) -> Vec<Step> {
    let entries = desired.services.keys().filter_map(|name| {
        let entry = books.services.get(name)?;
        Some((name, entry))
    });
    entries
        .filter(|(_, entry)| !entry.cleared)
        .map(|(name, entry)| Step::ClearService {
            service: name.clone(),
            id: entry.id,
        })
        .collect()
}

fn write_rings(books: &Books, desired: &DesiredState) -> Vec<Step> {
    let mut steps = Vec::new();
    for name in desired.services.keys() {
        let ring = books
            .services
            .get(name)
            .and_then(|entry| entry.ring.as_ref());
        if let Some(ring) = ring.filter(|ring| !ring.is_written()) {
            steps.push(Step::WriteRing {
                service: name.clone(),
                base: ring.slice.base(),
                slots: ring.slots.clone(),
            });
        }
    }
    steps
}

fn put_services(books: &Books, desired: &DesiredState) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut put = |key: ServiceKey, service: Service| {
        if books
            .entries
            .get(&key)
            .is_none_or(|held| held.needs(&service))
        {
            steps.push(Step::PutService { key, service });
        }
    };
    for (name, wanted) in &desired.services {
        let Some(entry) = books.services.get(name).filter(|entry| entry.cleared) else {
            continue;
        };
        let Some(ring) = entry.ring.as_ref().filter(|ring| ring.is_written()) else {
            continue;
        };
        let service = Service {
            id: entry.id.number(),
            pick: ring.content.algorithm.pick() as u8,
            ring_base: ring.slice.base(),
            ring_len: ring.slice.len(),
            idle_timeout: wanted.idle_timeout,
            blind: wanted.blind.into(),
            limit: wanted.limit,
            flags: if wanted.policy.reset_when_full {
                RESET_WHEN_FULL
            } else {
                0
            },
            max_flows: wanted.policy.max_flows,
            gauge: books.gauge(&GaugeOf::Service(name.service.clone())),
            stick: wanted.policy.stick,
            ..Service::default()
        };
        let list = wanted.access.as_ref().map(|list| {
            let set = books.list_set(list, name.family);
            set.filter(|set| set.is_written()).map(ListSet::reference)
        });
        for key in &wanted.listen {
            let held = books.entries.get(key).and_then(|record| record.held);
            let access = match list {
                None => 0,
                Some(Some(reference)) => reference,
                // The list could not be written. Whoever is served goes on with the list that there
                // is; nobody is served without the list that there should be.
                Some(None) => match held {
                    Some(held) if held.id == service.id => held.access,
                    _ => continue,
                },
            };
            put(*key, Service { access, ..service });
        }
    }
    let mark = Service::default();
    for address in &desired.marks {
        put(wire::mark_key(*address), mark);
    }
    steps
}

fn remove_services(books: &Books, desired: &DesiredState) -> Vec<Step> {
    let mut wanted: BTreeSet<ServiceKey> = desired
        .marks
        .iter()
        .map(|address| wire::mark_key(*address))
        .collect();
    wanted.extend(
        desired
            .services
            .values()
            .flat_map(|service| &service.listen),
    );
    let entries = books.entries.keys().filter(|key| !wanted.contains(*key));
    entries.map(|&key| Step::RemoveService { key }).collect()
}

fn remove_members(
    books: &Books,
    desired: &DesiredState,
    flows: impl Fn(MemberId) -> u64,
) -> Vec<Step> {
    let wanted: BTreeSet<_> = desired
        .services
        .iter()
        .flat_map(|(name, service)| member_keys(name, service))
        .collect();
    let mut in_rings: BTreeSet<MemberId> = books.resting.values().flatten().copied().collect();
    for service in books.services.values() {
        let rings = service.replaced.iter().chain(&service.ring);
        in_rings.extend(rings.flat_map(Ring::members));
    }
    books
        .members
        .iter()
        .filter(|(key, member)| {
            !wanted.contains(*key) && !in_rings.contains(&member.id) && flows(member.id) == 0
        })
        .map(|(key, member)| Step::RemoveMember {
            key: key.clone(),
            id: member.id,
        })
        .collect()
}

fn remove_reals(books: &Books, desired: &DesiredState) -> Vec<Step> {
    let in_use: BTreeSet<RealKey> = books.members.keys().map(|key| key.real).collect();
    books
        .reals
        .iter()
        .filter(|(key, _)| !desired.reals.contains_key(key) && !in_use.contains(key))
        .map(|(key, real)| Step::RemoveReal {
            key: *key,
            id: real.id,
        })
        .collect()
}

fn remove_ports(books: &Books, desired: &DesiredState) -> Vec<Step> {
    let ports = books
        .ports
        .keys()
        .filter(|ifindex| !desired.ports.contains_key(ifindex));
    ports.map(|&ifindex| Step::RemovePort { ifindex }).collect()
}
