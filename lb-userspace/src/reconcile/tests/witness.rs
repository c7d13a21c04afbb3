//! A data plane that looks at the maps after every single operation, as a packet might.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Instant;

use lb_common::access::Node;
use lb_common::service::{Counts, Member, Mode, Port, Real, Service, ServiceKey, SnatSource};

use crate::dataplane::fake::Fake;
use crate::dataplane::ids::Id;
use crate::dataplane::{DataPlane, MapError, MemberId, RealId, ServiceId, wire};
use crate::desired::DesiredState;
use crate::model::RealKey;
use crate::ring::slices::GRACE;

/// The fake, and what must never be seen in it.
pub(super) struct Witness {
    pub(super) fake: Fake,
    pub(super) now: Instant,
    /// Servers that may get new flows, by listening address.
    eligible: BTreeMap<ServiceKey, BTreeSet<RealKey>>,
    /// When a ring slice was last shown to packets, by base and length.
    shown: BTreeMap<(u32, u32), Instant>,
    /// When an access list was last shown to packets, by the index of its root and its length.
    lists: BTreeMap<(u32, u32), Instant>,
    /// Members that have flows: nobody may touch their entries.
    pub(super) with_flows: BTreeMap<u16, RealKey>,
}

impl Witness {
    pub(super) fn new(fake: Fake, now: Instant) -> Self {
        Self {
            fake,
            now,
            eligible: BTreeMap::new(),
            shown: BTreeMap::new(),
            lists: BTreeMap::new(),
            with_flows: BTreeMap::new(),
        }
    }

    /// From now on, this is wanted.
    pub(super) fn expect(&mut self, desired: &DesiredState) {
        self.eligible.clear();
        for service in desired.services.values() {
            let shares = service.ring.shares.keys();
            let servers: BTreeSet<_> = shares.map(|server| service.members[server]).collect();
            for key in &service.listen {
                self.eligible.insert(*key, servers.clone());
            }
        }
    }

    /// Where a member's flows go; panics if a packet would be dropped as a bug.
    fn server(&self, member: u16) -> RealKey {
        let entry = self.fake.members.get(&member);
        let entry = entry.unwrap_or_else(|| panic!("no member {member}:\n{}", self.fake));
        let real = self.fake.reals.get(&entry.real);
        let real = real.unwrap_or_else(|| panic!("no real {}:\n{}", entry.real, self.fake));
        for index in real.snat_base..real.snat_base + real.snat_count {
            assert!(
                self.fake.snat.contains_key(&index),
                "no source {index}:\n{}",
                self.fake
            );
        }
        let mode = Mode::ALL.into_iter().find(|mode| *mode as u8 == real.mode);
        RealKey {
            address: SocketAddr::new(wire::ip(real.addr), u16::from_be(real.port)),
            mode: mode.expect("a mode"),
        }
    }

    fn servers(&self, service: &Service) -> BTreeSet<RealKey> {
        let ring = self.fake.ring_of(service);
        let ring = ring.unwrap_or_else(|| panic!("a ring was never written:\n{}", self.fake));
        let members: BTreeSet<u16> = ring.into_iter().collect();
        members
            .into_iter()
            .map(|member| self.server(member))
            .collect()
    }

    /// How many nodes an access list has; panics if one was never written.
    fn list_len(&self, root: u32) -> u32 {
        let (mut next, mut len) = (0, 1);
        while next < len {
            let node = self.fake.access.get(&(root + next));
            let node = node.unwrap_or_else(|| panic!("no node {next} of list {root}"));
            len = len.max(node.first_child + node.children.count_ones());
            next += 1;
        }
        len
    }

    fn look(&mut self) -> Result<(), MapError> {
        for service in self.fake.services.values() {
            self.servers(service);
            if service.ring_len > 0 {
                self.shown
                    .insert((service.ring_base, service.ring_len), self.now);
            }
            if service.access != 0 {
                let root = service.access - 1;
                self.lists.insert((root, self.list_len(root)), self.now);
            }
        }
        for (member, server) in &self.with_flows {
            assert_eq!(self.server(*member), *server, "an open flow changed server");
        }
        Ok(())
    }
}

impl DataPlane for Witness {
    fn put_port(&mut self, ifindex: u32, port: Port) -> Result<(), MapError> {
        self.fake.put_port(ifindex, port)?;
        self.look()
    }

    fn remove_port(&mut self, ifindex: u32) -> Result<(), MapError> {
        self.fake.remove_port(ifindex)?;
        self.look()
    }

    fn write_snat(&mut self, base: u32, sources: &[SnatSource]) -> Result<(), MapError> {
        for real in self.fake.reals.values() {
            let (used, written) = (real.snat_base..real.snat_base + real.snat_count, base);
            assert!(
                used.end <= written || written + sources.len() as u32 <= used.start,
                "sources {base} are in use:\n{}",
                self.fake
            );
        }
        self.fake.write_snat(base, sources)?;
        self.look()
    }

    fn put_real(&mut self, id: RealId, real: Real) -> Result<(), MapError> {
        if let Some(held) = self
            .fake
            .reals
            .get(&id.number())
            .filter(|held| **held != real)
        {
            // A packet may see the base of one and the count of the other.
            for (base, count) in [
                (held.snat_base, real.snat_count),
                (real.snat_base, held.snat_count),
            ] {
                for index in base..base + count {
                    assert!(
                        self.fake.snat.contains_key(&index),
                        "torn: {held:?} {real:?}"
                    );
                }
            }
        }
        self.fake.put_real(id, real)?;
        self.look()
    }

    fn real(&self, id: RealId) -> Result<Real, MapError> {
        self.fake.real(id)
    }

    fn remove_real(&mut self, id: RealId) -> Result<(), MapError> {
        self.fake.remove_real(id)?;
        self.look()
    }

    fn clear_counters(&mut self, id: MemberId) -> Result<(), MapError> {
        assert!(
            !self.with_flows.contains_key(&id.number()),
            "{id} has flows"
        );
        self.fake.clear_counters(id)?;
        self.look()
    }

    fn clear_service(&mut self, id: ServiceId) -> Result<(), MapError> {
        let used = |service: &Service| service.id == id.number();
        assert!(!self.fake.services.values().any(used), "{id} is in use");
        self.fake.clear_service(id)?;
        self.look()
    }

    fn put_member(&mut self, id: MemberId, member: Member) -> Result<(), MapError> {
        self.fake.put_member(id, member)?;
        self.look()
    }

    fn remove_member(&mut self, id: MemberId) -> Result<(), MapError> {
        self.fake.remove_member(id)?;
        self.look()
    }

    fn write_ring(&mut self, base: u32, slots: &[MemberId]) -> Result<(), MapError> {
        for ((shown, len), when) in &self.shown {
            let apart = shown + len <= base || base + slots.len() as u32 <= *shown;
            assert!(
                apart || *when + GRACE <= self.now,
                "a packet may be reading slots {shown}+{len}"
            );
        }
        self.fake.write_ring(base, slots)?;
        self.look()
    }

    fn write_access(&mut self, base: u32, nodes: &[Node]) -> Result<(), MapError> {
        for ((shown, len), when) in &self.lists {
            let apart = shown + len <= base || base + nodes.len() as u32 <= *shown;
            assert!(
                apart || *when + GRACE <= self.now,
                "a packet may be reading nodes {shown}+{len}"
            );
        }
        self.fake.write_access(base, nodes)?;
        self.look()
    }

    fn put_service(&mut self, key: ServiceKey, service: Service) -> Result<(), MapError> {
        let servers = self.servers(&service);
        if service.id != 0 {
            let eligible = &self.eligible[&key];
            assert!(
                servers.is_subset(eligible),
                "{servers:?} are not all in {eligible:?}"
            );
        }
        self.fake.put_service(key, service)?;
        self.look()
    }

    fn remove_service(&mut self, key: ServiceKey) -> Result<(), MapError> {
        assert!(!self.eligible.contains_key(&key), "{key:?} is wanted");
        self.fake.remove_service(key)?;
        self.look()
    }

    fn counts(&self, id: MemberId) -> Counts {
        self.fake.counts(id)
    }

    fn ring_slots(&self) -> u32 {
        self.fake.ring_slots()
    }

    fn access_nodes(&self) -> u32 {
        self.fake.access_nodes()
    }

    fn service_ids(&self) -> u32 {
        self.fake.service_ids()
    }
}
