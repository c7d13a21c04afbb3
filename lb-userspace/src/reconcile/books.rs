//! The account of what the maps say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use lb_common::access::Node;
use lb_common::map::SNAT_MAX;
use lb_common::service::{Member, Port, Real, Service, ServiceKey, SnatSource};

use super::id_pool::IdPool;
use super::step::Step;
use super::{GaugeOf, MemberKey};
use crate::access::AccessList;
use crate::dataplane::ids::Id;
use crate::dataplane::{GaugeId, MemberId, RealId, ServiceId};
use crate::desired::Algorithm;
use crate::model::{Family, RealKey, ServiceHalf};
use crate::ring::{Share, Slice, Slices};

#[derive(Debug)]
pub(super) struct Books {
    pub(super) ports: BTreeMap<u32, Record<Port>>,
    pub(super) sources: Vec<SourceSet>,
    pub(super) snat: Slices,
    pub(super) reals: BTreeMap<RealKey, RealEntry>,
    pub(super) real_ids: IdPool<RealId>,
    pub(super) members: BTreeMap<MemberKey, MemberEntry>,
    pub(super) member_ids: IdPool<MemberId>,
    pub(super) services: BTreeMap<ServiceHalf, ServiceEntry>,
    pub(super) service_ids: IdPool<ServiceId>,
    pub(super) lists: Vec<ListSet>,
    pub(super) access: Slices,
    pub(super) gauges: BTreeMap<GaugeOf, GaugeId>,
    pub(super) gauge_ids: IdPool<GaugeId>,
    /// Listening addresses and address marks, whosever they are: one may pass from one service to
    /// another.
    pub(super) entries: BTreeMap<ServiceKey, Record<Service>>,
    pub(super) rings: Slices,
    /// Members named by rings that rest, by the base of the slice.
    pub(super) resting: BTreeMap<u32, BTreeSet<MemberId>>,
}

/// One map entry.
#[derive(Debug)]
pub(super) struct Record<V> {
    /// What it was last seen to hold; `None`: nothing yet.
    pub(super) held: Option<V>,
    /// A write or removal failed since: it may hold something else by now.
    pub(super) unsure: bool,
}

impl<V> Default for Record<V> {
    fn default() -> Self {
        Self {
            held: None,
            unsure: false,
        }
    }
}

impl<V> Record<V> {
    const fn lost() -> Self {
        Self {
            held: None,
            unsure: true,
        }
    }
}

impl<V: PartialEq> Record<V> {
    pub(super) fn needs(&self, wanted: &V) -> bool {
        self.unsure || self.held.as_ref() != Some(wanted)
    }

    fn holds(&mut self, value: V) {
        self.held = Some(value);
        self.unsure = false;
    }
}

#[derive(Debug)]
pub(super) struct RealEntry {
    pub(super) id: RealId,
    pub(super) record: Record<Real>,
}

#[derive(Debug)]
pub(super) struct MemberEntry {
    pub(super) id: MemberId,
    pub(super) record: Record<Member>,
}

#[derive(Debug)]
pub(super) struct ServiceEntry {
    pub(super) id: ServiceId,
    /// Whether what its id counted before is gone.
    pub(super) cleared: bool,
    /// The ring that its listening addresses use, or will.
    pub(super) ring: Option<Ring>,
    /// Rings that they used before; some still may, where switching failed.
    pub(super) replaced: Vec<Ring>,
}

/// NAT sources, shared by all servers that have the same ones.
#[derive(Debug)]
pub(super) struct SourceSet {
    pub(super) slice: Slice,
    pub(super) sources: Vec<SnatSource>,
    pub(super) written: bool,
}

/// The part of an access list that is of one family, shared by all services that have the list.
#[derive(Debug)]
pub(super) struct ListSet {
    pub(super) slice: Slice,
    pub(super) list: Arc<AccessList>,
    pub(super) family: Family,
    /// What is to be written; nothing once it was.
    pub(super) nodes: Vec<Node>,
}

impl ListSet {
    pub(super) fn is_written(&self) -> bool {
        self.nodes.is_empty()
    }

    /// What services say that refer to it.
    pub(super) const fn reference(&self) -> u32 {
        self.slice.base() + 1
    }
}

#[derive(Debug)]
pub(super) struct Ring {
    pub(super) slice: Slice,
    pub(super) content: RingContent,
    /// What is to be written; nothing once it was.
    pub(super) slots: Vec<MemberId>,
}

/// What a ring is built from: as long as that is the same, so is the ring.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RingContent {
    pub(super) algorithm: Algorithm,
    pub(super) shares: Vec<Share<MemberId>>,
}

impl Ring {
    pub(super) fn is_written(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn members(&self) -> impl Iterator<Item = MemberId> {
        self.content.shares.iter().map(|share| share.value)
    }
}

impl Books {
    pub(super) fn new(ring_slots: u32, access_nodes: u32, service_ids: u32) -> Self {
        let service_ids = u16::try_from(service_ids).unwrap_or(u16::MAX);
        Self {
            ports: BTreeMap::new(),
            sources: Vec::new(),
            snat: Slices::new(SNAT_MAX),
            reals: BTreeMap::new(),
            real_ids: IdPool::new(),
            members: BTreeMap::new(),
            member_ids: IdPool::new(),
            services: BTreeMap::new(),
            service_ids: IdPool::below(service_ids),
            lists: Vec::new(),
            access: Slices::new(access_nodes),
            gauges: BTreeMap::new(),
            gauge_ids: IdPool::new(),
            entries: BTreeMap::new(),
            rings: Slices::new(ring_slots),
            resting: BTreeMap::new(),
        }
    }

    /// The set of exactly these NAT sources.
    pub(super) fn source_set(&self, sources: &[SnatSource]) -> Option<&SourceSet> {
        self.sources.iter().find(|set| set.sources == sources)
    }

    /// What the data path has, or will have, of a list.
    pub(super) fn list_set(&self, list: &Arc<AccessList>, family: Family) -> Option<&ListSet> {
        self.lists
            .iter()
            .find(|set| set.family == family && set.list == *list)
    }

    /// The number of a gauge in the maps; zero: there is none, and what it would count is not.
    pub(super) fn gauge(&self, of: &GaugeOf) -> u16 {
        self.gauges.get(of).map_or(0, |id| id.number())
    }

    /// Lets slices that have rested be used again.
    pub(super) fn settle(&mut self, now: Instant) {
        for base in self.rings.settle(now) {
            self.resting.remove(&base);
        }
        self.snat.settle(now);
        self.access.settle(now);
    }

    pub(super) fn next_settling(&self) -> Option<Instant> {
        [&self.rings, &self.snat, &self.access]
            .into_iter()
            .filter_map(Slices::next_settling)
            .min()
    }

    /// Notes that a step was done.
    pub(super) fn did(&mut self, step: &Step) {
        match step {
            Step::PutPort { ifindex, port } => self.ports.entry(*ifindex).or_default().holds(*port),
            Step::RemovePort { ifindex } => {
                self.ports.remove(ifindex);
            }
            Step::WriteSources { base, .. } => {
                for set in self
                    .sources
                    .iter_mut()
                    .filter(|set| set.slice.base() == *base)
                {
                    set.written = true;
                }
            }
            Step::PutReal { key, real: to, .. } => {
                if let Some(real) = self.reals.get_mut(key) {
                    real.record.holds(*to);
                }
            }
            Step::RemoveReal { key, id } => {
                self.reals.remove(key);
                self.real_ids.free(*id);
            }
            Step::AddMember { key, member, .. } | Step::PutMember { key, member, .. } => {
                if let Some(entry) = self.members.get_mut(key) {
                    entry.record.holds(*member);
                }
            }
            Step::RemoveMember { key, id } => {
                self.members.remove(key);
                self.member_ids.free(*id);
            }
            Step::WriteAccess { base, .. } => {
                for set in self
                    .lists
                    .iter_mut()
                    .filter(|set| set.slice.base() == *base)
                {
                    set.nodes = Vec::new();
                }
            }
            Step::ClearService { service, .. } => {
                if let Some(service) = self.services.get_mut(service) {
                    service.cleared = true;
                }
            }
            Step::WriteRing { service, .. } => {
                let ring = self
                    .services
                    .get_mut(service)
                    .and_then(|service| service.ring.as_mut());
                if let Some(ring) = ring {
                    ring.slots = Vec::new();
                }
            }
            Step::PutService { key, service } => {
                self.entries.entry(*key).or_default().holds(*service);
            }
            Step::RemoveService { key } => {
                self.entries.remove(key);
            }
        }
    }

    /// Notes that a step failed and may have had its effect all the same. Slices and counters
    /// need no note: they are written again before anything refers to them.
    pub(super) fn failed(&mut self, step: &Step) {
        match step {
            Step::PutPort { ifindex, .. } | Step::RemovePort { ifindex } => {
                self.ports.entry(*ifindex).or_default().unsure = true;
            }
            Step::PutReal { key, .. } => {
                if let Some(real) = self.reals.get_mut(key) {
                    real.record.unsure = true;
                }
            }
            // Nothing referred to it any more, and nothing may until it has been written again.
            Step::RemoveReal { key, .. } => {
                if let Some(real) = self.reals.get_mut(key) {
                    real.record = Record::lost();
                }
            }
            Step::AddMember { key, .. } | Step::PutMember { key, .. } => {
                if let Some(entry) = self.members.get_mut(key) {
                    entry.record.unsure = true;
                }
            }
            Step::RemoveMember { key, .. } => {
                if let Some(entry) = self.members.get_mut(key) {
                    entry.record = Record::lost();
                }
            }
            Step::PutService { key, .. } | Step::RemoveService { key } => {
                self.entries.entry(*key).or_default().unsure = true;
            }
            Step::WriteSources { .. }
            | Step::WriteAccess { .. }
            | Step::ClearService { .. }
            | Step::WriteRing { .. } => {}
        }
    }
}
