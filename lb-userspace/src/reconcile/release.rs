//! Takes back slices and service ids that nothing refers to any more. Touches no map.

use std::collections::BTreeSet;
use std::time::Instant;

use lb_common::service::Service;

use super::GaugeOf;
use super::assign::gauges;
use super::books::{Books, ListSet, Record, Ring, SourceSet};
use crate::dataplane::ids::Id;
use crate::desired::DesiredState;

/// After a round. What may still be referred to, because a write failed, is kept for the next one.
pub(super) fn release(books: &mut Books, desired: &DesiredState, now: Instant) {
    release_rings(books, desired, now);
    release_services(books, desired);
    release_sources(books, desired, now);
    release_lists(books, desired, now);
    release_gauges(books, desired);
}

/// Whether something waits for flows to end before it can go.
pub(super) fn waiting(books: &Books, desired: &DesiredState) -> bool {
    books.members.keys().any(|key| {
        let service = desired.services.get(&key.service);
        service.and_then(|service| service.members.get(&key.server)) != Some(&key.real)
    })
}

fn release_rings(books: &mut Books, desired: &DesiredState, now: Instant) {
    for (name, service) in &mut books.services {
        if !desired.services.contains_key(name) {
            service.replaced.extend(service.ring.take());
        }
    }
    let unsure = books.entries.values().any(|entry| entry.unsure);
    let mut in_use: Vec<u32> = Vec::new();
    for service in books
        .entries
        .values()
        .filter_map(|entry| entry.held.as_ref())
    {
        if service.ring_len > 0 {
            in_use.push(service.ring_base);
        }
    }
    for service in books.services.values_mut() {
        let (free, keep): (Vec<Ring>, Vec<Ring>) = service.replaced.drain(..).partition(|ring| {
            !ring.is_written() || !(unsure || in_use.contains(&ring.slice.base()))
        });
        service.replaced = keep;
        for ring in free {
            if !ring.is_written() {
                books.rings.free(ring.slice);
            } else if !ring.slice.is_empty() {
                let members = ring.members().collect();
                books.resting.insert(ring.slice.base(), members);
                books.rings.free_after_grace(ring.slice, now);
            }
        }
    }
}

fn release_services(books: &mut Books, desired: &DesiredState) {
    let gone: Vec<_> = books
        .services
        .iter()
        .filter(|(name, service)| {
            let names_it = |entry: &Record<Service>| {
                entry.unsure
                    || entry
                        .held
                        .is_some_and(|held| held.id == service.id.number())
            };
            !desired.services.contains_key(*name)
                && service.replaced.is_empty()
                && !books.entries.values().any(names_it)
                && !books.members.keys().any(|member| member.service == **name)
        })
        .map(|(name, service)| (name.clone(), service.id))
        .collect();
    for (name, id) in gone {
        books.services.remove(&name);
        books.service_ids.free(id);
    }
}

/// A gauge that no member names shows zero: what it counts is gone.
fn release_gauges(books: &mut Books, desired: &DesiredState) {
    let wanted: BTreeSet<GaugeOf> = desired.services.iter().flat_map(gauges).collect();
    let named: BTreeSet<GaugeOf> = books
        .members
        .keys()
        .flat_map(|key| {
            let service = key.service.service.clone();
            [
                GaugeOf::Server(key.server.clone()),
                GaugeOf::Service(service),
            ]
        })
        .collect();
    let ids = &mut books.gauge_ids;
    books.gauges.retain(|of, id| {
        let keep = wanted.contains(of) || named.contains(of);
        if !keep {
            ids.free(*id);
        }
        keep
    });
}

fn release_sources(books: &mut Books, desired: &DesiredState, now: Instant) {
    if books.reals.values().any(|real| real.record.unsure) {
        return;
    }
    let wanted = |set: &SourceSet| {
        desired
            .reals
            .values()
            .any(|real| real.sources == set.sources)
            || books
                .reals
                .values()
                .filter_map(|real| real.record.held)
                .any(|held| held.snat_count > 0 && held.snat_base == set.slice.base())
    };
    let (keep, free): (Vec<_>, Vec<_>) = books.sources.drain(..).partition(wanted);
    books.sources = keep;
    for set in free {
        books.snat.free_after_grace(set.slice, now);
    }
}

fn release_lists(books: &mut Books, desired: &DesiredState, now: Instant) {
    if books.entries.values().any(|entry| entry.unsure) {
        return;
    }
    let wanted = |set: &ListSet| {
        let mut services = desired.services.iter();
        let mut entries = books.entries.values().filter_map(|entry| entry.held);
        services.any(|(name, service)| {
            name.family == set.family && service.access.as_ref() == Some(&set.list)
        }) || entries.any(|held| held.access == set.reference())
    };
    let (keep, free): (Vec<_>, Vec<_>) = books.lists.drain(..).partition(wanted);
    books.lists = keep;
    for set in free {
        if set.is_written() {
            books.access.free_after_grace(set.slice, now);
        } else {
            books.access.free(set.slice);
        }
    }
}
