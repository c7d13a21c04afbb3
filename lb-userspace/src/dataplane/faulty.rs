//! A data plane whose operations fail when told to, for tests of what uses it.

use std::io;

use lb_common::access::Node;
use lb_common::service::{Counts, Member, Port, Real, Service, ServiceKey, SnatSource};

use super::{DataPlane, MapError, MemberId, RealId, ServiceId};

/// What becomes of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Succeeds,
    /// It fails and nothing has happened.
    FailsBefore,
    /// It takes effect and is reported as failed.
    FailsAfter,
}

/// Asks `fate` before each operation, which it names.
pub(crate) struct Faulty<D, F> {
    pub(crate) plane: D,
    pub(crate) fate: F,
}

impl<D, F: FnMut(&'static str) -> Fate> Faulty<D, F> {
    fn run(
        &mut self,
        map: &'static str,
        operation: impl FnOnce(&mut D) -> Result<(), MapError>,
    ) -> Result<(), MapError> {
        let failed = Err(MapError::Kernel {
            map,
            action: "do what it was told".into(),
            source: io::Error::other("told to fail"),
        });
        match (self.fate)(map) {
            Fate::Succeeds => operation(&mut self.plane),
            Fate::FailsBefore => failed,
            Fate::FailsAfter => operation(&mut self.plane).and(failed),
        }
    }
}

impl<D: DataPlane, F: FnMut(&'static str) -> Fate> DataPlane for Faulty<D, F> {
    fn put_port(&mut self, ifindex: u32, port: Port) -> Result<(), MapError> {
        self.run("put_port", |plane| plane.put_port(ifindex, port))
    }

    fn remove_port(&mut self, ifindex: u32) -> Result<(), MapError> {
        self.run("remove_port", |plane| plane.remove_port(ifindex))
    }

    fn write_snat(&mut self, base: u32, sources: &[SnatSource]) -> Result<(), MapError> {
        self.run("write_snat", |plane| plane.write_snat(base, sources))
    }

    fn put_real(&mut self, id: RealId, real: Real) -> Result<(), MapError> {
        self.run("put_real", |plane| plane.put_real(id, real))
    }

    fn real(&self, id: RealId) -> Result<Real, MapError> {
        self.plane.real(id)
    }

    fn remove_real(&mut self, id: RealId) -> Result<(), MapError> {
        self.run("remove_real", |plane| plane.remove_real(id))
    }

    fn clear_counters(&mut self, id: MemberId) -> Result<(), MapError> {
        self.run("clear_counters", |plane| plane.clear_counters(id))
    }

    fn clear_service(&mut self, id: ServiceId) -> Result<(), MapError> {
        self.run("clear_service", |plane| plane.clear_service(id))
    }

    fn put_member(&mut self, id: MemberId, member: Member) -> Result<(), MapError> {
        self.run("put_member", |plane| plane.put_member(id, member))
    }

    fn remove_member(&mut self, id: MemberId) -> Result<(), MapError> {
        self.run("remove_member", |plane| plane.remove_member(id))
    }

    fn write_ring(&mut self, base: u32, slots: &[MemberId]) -> Result<(), MapError> {
        self.run("write_ring", |plane| plane.write_ring(base, slots))
    }

    fn write_access(&mut self, base: u32, nodes: &[Node]) -> Result<(), MapError> {
        self.run("write_access", |plane| plane.write_access(base, nodes))
    }

    fn put_service(&mut self, key: ServiceKey, service: Service) -> Result<(), MapError> {
        self.run("put_service", |plane| plane.put_service(key, service))
    }

    fn remove_service(&mut self, key: ServiceKey) -> Result<(), MapError> {
        self.run("remove_service", |plane| plane.remove_service(key))
    }

    fn counts(&self, id: MemberId) -> Counts {
        self.plane.counts(id)
    }

    fn ring_slots(&self) -> u32 {
        self.plane.ring_slots()
    }

    fn access_nodes(&self) -> u32 {
        self.plane.access_nodes()
    }

    fn service_ids(&self) -> u32 {
        self.plane.service_ids()
    }
}
