//! The maps in memory, for tests of what writes to them.

use std::collections::BTreeMap;
use std::fmt;

use lb_common::access::Node;
use lb_common::service::{Counts, Member, Port, Real, Service, ServiceKey, SnatSource};

use super::ids::Id;
use super::{DataPlane, MapError, MemberId, RealId, ServiceId, wire};

/// Every map's entries by key; an entry that was cleared is not there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fake {
    pub(crate) ports: BTreeMap<u32, Port>,
    pub(crate) snat: BTreeMap<u32, SnatSource>,
    pub(crate) reals: BTreeMap<u16, Real>,
    pub(crate) members: BTreeMap<u16, Member>,
    pub(crate) ring: BTreeMap<u32, u16>,
    pub(crate) services: BTreeMap<ServiceKey, Service>,
    /// Set by the test, as the data path would.
    pub(crate) counts: BTreeMap<u16, Counts>,
    pub(crate) ring_slots: u32,
    /// Set by the test: packets of each service that were dropped.
    pub(crate) drops: BTreeMap<u16, u64>,
    pub(crate) service_ids: u32,
    pub(crate) access: BTreeMap<u32, Node>,
    pub(crate) access_nodes: u32,
}

impl Fake {
    pub(crate) fn new(ring_slots: u32) -> Self {
        Self {
            ring_slots,
            access_nodes: lb_common::map::ACCESS_NODES_MIN,
            service_ids: lb_common::map::SERVICE_IDS_MAX,
            ..Self::default()
        }
    }

    /// The members in a service's ring; `None`: a slot was never written.
    pub(crate) fn ring_of(&self, service: &Service) -> Option<Vec<u16>> {
        let slots = service.ring_base..service.ring_base + service.ring_len;
        slots.map(|slot| self.ring.get(&slot).copied()).collect()
    }
}

impl DataPlane for Fake {
    fn put_port(&mut self, ifindex: u32, port: Port) -> Result<(), MapError> {
        self.ports.insert(ifindex, port);
        Ok(())
    }

    fn remove_port(&mut self, ifindex: u32) -> Result<(), MapError> {
        self.ports.remove(&ifindex);
        Ok(())
    }

    fn write_snat(&mut self, base: u32, sources: &[SnatSource]) -> Result<(), MapError> {
        self.snat.extend((base..).zip(sources.iter().copied()));
        Ok(())
    }

    fn put_real(&mut self, id: RealId, real: Real) -> Result<(), MapError> {
        self.reals.insert(id.number(), real);
        Ok(())
    }

    fn real(&self, id: RealId) -> Result<Real, MapError> {
        Ok(self.reals.get(&id.number()).copied().unwrap_or_default())
    }

    fn remove_real(&mut self, id: RealId) -> Result<(), MapError> {
        self.reals.remove(&id.number());
        Ok(())
    }

    fn clear_counters(&mut self, id: MemberId) -> Result<(), MapError> {
        self.counts.remove(&id.number());
        Ok(())
    }

    fn clear_service(&mut self, id: ServiceId) -> Result<(), MapError> {
        self.drops.remove(&id.number());
        Ok(())
    }

    fn put_member(&mut self, id: MemberId, member: Member) -> Result<(), MapError> {
        self.members.insert(id.number(), member);
        Ok(())
    }

    fn remove_member(&mut self, id: MemberId) -> Result<(), MapError> {
        self.members.remove(&id.number());
        Ok(())
    }

    fn write_ring(&mut self, base: u32, slots: &[MemberId]) -> Result<(), MapError> {
        assert!(
            base + slots.len() as u32 <= self.ring_slots,
            "beyond the map"
        );
        self.ring
            .extend((base..).zip(slots.iter().map(|id| id.number())));
        Ok(())
    }

    fn write_access(&mut self, base: u32, nodes: &[Node]) -> Result<(), MapError> {
        assert!(
            base + nodes.len() as u32 <= self.access_nodes,
            "beyond the map"
        );
        self.access.extend((base..).zip(nodes.iter().copied()));
        Ok(())
    }

    fn put_service(&mut self, key: ServiceKey, service: Service) -> Result<(), MapError> {
        self.services.insert(key, service);
        Ok(())
    }

    fn remove_service(&mut self, key: ServiceKey) -> Result<(), MapError> {
        self.services.remove(&key);
        Ok(())
    }

    fn counts(&self, id: MemberId) -> Counts {
        self.counts.get(&id.number()).copied().unwrap_or_default()
    }

    fn ring_slots(&self) -> u32 {
        self.ring_slots
    }

    fn access_nodes(&self) -> u32 {
        self.access_nodes
    }

    fn service_ids(&self) -> u32 {
        self.service_ids
    }
}

/// What the maps say, a line an entry; rings as far as services show them.
impl fmt::Display for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (ifindex, port) in &self.ports {
            writeln!(f, "port {ifindex} mtu {}", port.mtu)?;
        }
        for (index, source) in &self.snat {
            let SnatSource {
                addr,
                port_low,
                port_high,
            } = source;
            writeln!(f, "snat {index} {} {port_low}-{port_high}", wire::ip(*addr))?;
        }
        for (id, real) in &self.reals {
            let port = u16::from_be(real.port);
            write!(
                f,
                "real {id} {} port {port} by {}",
                wire::ip(real.addr),
                real.ifindex
            )?;
            writeln!(f, " snat {}+{}", real.snat_base, real.snat_count)?;
        }
        for (id, member) in &self.members {
            writeln!(
                f,
                "member {id} real {} service {}",
                member.real, member.service
            )?;
        }
        for (key, service) in &self.services {
            let port = u16::from_be(key.port);
            write!(
                f,
                "listen {} port {port} service {}",
                wire::ip(key.addr),
                service.id
            )?;
            match self.ring_of(service) {
                Some(ring) => writeln!(
                    f,
                    " ring {}+{} {ring:?}",
                    service.ring_base, service.ring_len
                )?,
                None => writeln!(
                    f,
                    " ring {}+{} not written",
                    service.ring_base, service.ring_len
                )?,
            }
        }
        Ok(())
    }
}
