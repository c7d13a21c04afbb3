//! Gives ids and slices to what is wanted and has none. Touches no map.

use lb_common::map::{ACCESS, RING, SNAT};

use super::books::{
    Books, ListSet, MemberEntry, RealEntry, Record, Ring, RingContent, ServiceEntry, SourceSet,
};
use super::id_pool::IdPool;
use super::{GaugeOf, MemberKey, ReconcileError};
use crate::access::trie;
use crate::dataplane::ids::Id;
use crate::desired::{Algorithm, DesiredService, DesiredState};
use crate::model::{ServerKey, ServiceHalf};
use crate::ring::{Identity, Share, maglev, smooth_round_robin};

/// Ids for servers, services and members; slices for NAT sources.
pub(super) fn assign(books: &mut Books, desired: &DesiredState, failed: &mut Vec<ReconcileError>) {
    for (key, real) in &desired.reals {
        if !books.reals.contains_key(key)
            && let Some(id) = id(&mut books.real_ids, failed, || key.to_string())
        {
            let record = Record::default();
            books.reals.insert(*key, RealEntry { id, record });
        }
        if !real.sources.is_empty() && books.source_set(&real.sources).is_none() {
            let len = real.sources.len() as u32;
            match books.snat.allocate(len) {
                Some(slice) => books.sources.push(SourceSet {
                    slice,
                    sources: real.sources.clone(),
                    written: false,
                }),
                None => failed.push(ReconcileError::NoRoom {
                    map: SNAT,
                    len,
                    wanted: format!("the nat_source addresses of {key}"),
                }),
            }
        }
    }
    for of in desired.services.iter().flat_map(gauges) {
        if !books.gauges.contains_key(&of)
            && let Some(id) = id(&mut books.gauge_ids, failed, || format!("{of:?}"))
        {
            books.gauges.insert(of, id);
        }
    }
    for (name, service) in &desired.services {
        if !books.services.contains_key(name) {
            let Some(id) = id(&mut books.service_ids, failed, || format!("service {name}")) else {
                continue;
            };
            let entry = ServiceEntry {
                id,
                cleared: false,
                ring: None,
                replaced: Vec::new(),
            };
            books.services.insert(name.clone(), entry);
        }
        if let Some(list) = &service.access
            && books.list_set(list, name.family).is_none()
        {
            let nodes = trie(list, name.family);
            let len = nodes.len() as u32;
            match books.access.allocate(len) {
                Some(slice) => books.lists.push(ListSet {
                    slice,
                    list: list.clone(),
                    family: name.family,
                    nodes,
                }),
                None => failed.push(ReconcileError::NoRoom {
                    map: ACCESS,
                    len,
                    wanted: format!("the access list of service {name}"),
                }),
            }
        }
        for key in member_keys(name, service) {
            if !books.members.contains_key(&key)
                && let Some(id) = id(&mut books.member_ids, failed, || {
                    format!("{} of service {name}", key.server)
                })
            {
                let record = Record::default();
                books.members.insert(key, MemberEntry { id, record });
            }
        }
    }
}

/// The gauges that a service should have.
pub(super) fn gauges(
    (name, service): (&ServiceHalf, &DesiredService),
) -> impl Iterator<Item = GaugeOf> {
    let servers = service.members.keys().cloned().map(GaugeOf::Server);
    servers.chain([GaugeOf::Service(name.service.clone())])
}

/// The members that a service should have.
pub(super) fn member_keys<'a>(
    name: &'a ServiceHalf,
    service: &'a DesiredService,
) -> impl Iterator<Item = MemberKey> + 'a {
    service.members.iter().map(|(server, real)| MemberKey {
        service: name.clone(),
        server: server.clone(),
        real: *real,
    })
}

/// Builds the rings that are not as they should be, each in a slice of its own. A ring names only
/// members that are in the maps.
pub(super) fn lay_out_rings(
    books: &mut Books,
    desired: &DesiredState,
    failed: &mut Vec<ReconcileError>,
) {
    for (name, service) in &desired.services {
        let content = content(books, name, service);
        let Some(entry) = books.services.get_mut(name) else {
            continue;
        };
        if entry
            .ring
            .as_ref()
            .is_some_and(|ring| ring.content == content)
        {
            continue;
        }
        let slots = match content.algorithm {
            Algorithm::RoundRobin | Algorithm::Random => smooth_round_robin(&content.shares),
            Algorithm::LeastFlows | Algorithm::First => {
                content.shares.iter().map(|share| share.value).collect()
            }
            Algorithm::Maglev { len, .. } => maglev(&content.shares, len),
        };
        let len = slots.len() as u32;
        match books.rings.allocate(len) {
            Some(slice) => {
                let ring = Ring {
                    slice,
                    content,
                    slots,
                };
                entry.replaced.extend(entry.ring.replace(ring));
            }
            None => failed.push(ReconcileError::NoRoom {
                map: RING,
                len,
                wanted: format!("the ring of service {name}"),
            }),
        }
    }
}

fn content(books: &Books, name: &ServiceHalf, service: &DesiredService) -> RingContent {
    let share = |server: &ServerKey| {
        let key = MemberKey {
            service: name.clone(),
            server: server.clone(),
            real: *service.members.get(server)?,
        };
        let weight = *service.ring.shares.get(server)?;
        let member = books.members.get(&key)?;
        member.record.held.as_ref()?;
        Some(Share {
            identity: Identity::of(key.real.address),
            weight,
            value: member.id,
        })
    };
    let shares = service.ring.order.iter().filter_map(share).collect();
    RingContent {
        algorithm: service.ring.algorithm,
        shares,
    }
}

fn id<I: Id>(
    ids: &mut IdPool<I>,
    failed: &mut Vec<ReconcileError>,
    wanted: impl Fn() -> String,
) -> Option<I> {
    let id = ids.allocate();
    if id.is_none() {
        failed.push(ReconcileError::NoId {
            kind: I::KIND,
            most: ids.most(),
            wanted: wanted(),
        });
    }
    id
}
