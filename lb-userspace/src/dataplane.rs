//! The data path as the agent sees it: maps to write, counters to read.
//!
//! [`DataPlane`] is every operation that [`crate::reconcile`] needs. Each is idempotent: done twice
//! it is as if done once, so that whoever is not sure whether it took effect does it again.

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
pub(crate) mod faulty;
pub mod ids;
pub mod kernel;
pub mod wire;

use std::io;

use lb_common::access::Node;
use lb_common::service::{Counts, Member, Port, Real, Service, ServiceKey, SnatSource};

pub use ids::{GaugeId, MemberId, RealId, ServiceId};

/// What the agent writes to the maps.
pub trait DataPlane {
    /// Describes an interface, and allows frames to leave by it.
    fn put_port(&mut self, ifindex: u32, port: Port) -> Result<(), MapError>;

    /// Forgets an interface: what comes in there passes to the stack, and nothing leaves by it.
    fn remove_port(&mut self, ifindex: u32) -> Result<(), MapError>;

    /// Writes NAT sources from index `base` on.
    fn write_snat(&mut self, base: u32, sources: &[SnatSource]) -> Result<(), MapError>;

    /// Writes a server.
    fn put_real(&mut self, id: RealId, real: Real) -> Result<(), MapError>;

    /// A server as the map has it; all zero for none.
    fn real(&self, id: RealId) -> Result<Real, MapError>;

    /// Clears a server's entry.
    fn remove_real(&mut self, id: RealId) -> Result<(), MapError>;

    /// Sets the counters of a member that has no flows to zero, before its id is used anew.
    fn clear_counters(&mut self, id: MemberId) -> Result<(), MapError>;

    /// Sets the drops counted for a service to zero and forgets its sources, before its id is used
    /// anew.
    fn clear_service(&mut self, id: ServiceId) -> Result<(), MapError>;

    /// Writes a member.
    fn put_member(&mut self, id: MemberId, member: Member) -> Result<(), MapError>;

    /// Clears a member's entry.
    fn remove_member(&mut self, id: MemberId) -> Result<(), MapError>;

    /// Writes ring slots from index `base` on.
    fn write_ring(&mut self, base: u32, slots: &[MemberId]) -> Result<(), MapError>;

    /// Writes nodes of access lists from index `base` on.
    fn write_access(&mut self, base: u32, nodes: &[Node]) -> Result<(), MapError>;

    /// Writes a listening address or an address mark; readers see the old value or the new one.
    fn put_service(&mut self, key: ServiceKey, service: Service) -> Result<(), MapError>;

    /// Removes a listening address or an address mark; it may be gone already.
    fn remove_service(&mut self, key: ServiceKey) -> Result<(), MapError>;

    /// A member's flows.
    fn counts(&self, id: MemberId) -> Counts;

    /// Slots of all rings together.
    fn ring_slots(&self) -> u32;

    /// Nodes of all access lists together.
    fn access_nodes(&self) -> u32;

    /// One more than the largest service id that there are counters for.
    fn service_ids(&self) -> u32;
}

/// A map operation failed.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The kernel's fault, or a map's that is full.
    #[error("map {map}: the kernel refused to {action}: {source}")]
    Kernel {
        /// The map.
        map: &'static str,
        /// What was to be done.
        action: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A bug: ids and slices are handed out within the maps' sizes.
    #[error("map {map} ends at {len}: no room for entry {index} (a bug, please report it)")]
    OutOfBounds {
        /// The map.
        map: &'static str,
        /// The entry that was to be written.
        index: u32,
        /// Entries that the map has.
        len: u32,
    },
}
