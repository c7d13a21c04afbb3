//! Single changes to the maps.

use lb_common::access::Node;
use lb_common::service::{Member, Port, Real, Service, ServiceKey, SnatSource};

use super::MemberKey;
use crate::dataplane::{DataPlane, MapError, MemberId, RealId, ServiceId};
use crate::model::{RealKey, ServiceHalf};

/// One change. Doing it again changes nothing more.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    PutPort {
        ifindex: u32,
        port: Port,
    },
    RemovePort {
        ifindex: u32,
    },
    WriteSources {
        base: u32,
        sources: Vec<SnatSource>,
    },
    PutReal {
        key: RealKey,
        id: RealId,
        real: Real,
    },
    RemoveReal {
        key: RealKey,
        id: RealId,
    },
    /// A new member: what its id counted before is none of its.
    AddMember {
        key: MemberKey,
        id: MemberId,
        member: Member,
    },
    PutMember {
        key: MemberKey,
        id: MemberId,
        member: Member,
    },
    RemoveMember {
        key: MemberKey,
        id: MemberId,
    },
    WriteAccess {
        base: u32,
        nodes: Vec<Node>,
    },
    /// A new service: what its id counted before is none of its.
    ClearService {
        service: ServiceHalf,
        id: ServiceId,
    },
    WriteRing {
        service: ServiceHalf,
        base: u32,
        slots: Vec<MemberId>,
    },
    PutService {
        key: ServiceKey,
        service: Service,
    },
    RemoveService {
        key: ServiceKey,
    },
}

impl Step {
    /// Does it. On failure nothing, a part or all of it may be done.
    pub(super) fn apply(&self, plane: &mut impl DataPlane) -> Result<(), MapError> {
        match self {
            Self::PutPort { ifindex, port } => plane.put_port(*ifindex, *port),
            Self::RemovePort { ifindex } => plane.remove_port(*ifindex),
            Self::WriteSources { base, sources } => plane.write_snat(*base, sources),
            Self::PutReal { id, real, .. } => put_real(plane, *id, *real),
            Self::RemoveReal { id, .. } => plane.remove_real(*id),
            Self::AddMember { id, member, .. } => {
                plane.clear_counters(*id)?;
                plane.put_member(*id, *member)
            }
            Self::PutMember { id, member, .. } => plane.put_member(*id, *member),
            Self::RemoveMember { id, .. } => plane.remove_member(*id),
            Self::WriteAccess { base, nodes } => plane.write_access(*base, nodes),
            Self::ClearService { id, .. } => plane.clear_service(*id),
            Self::WriteRing { base, slots, .. } => plane.write_ring(*base, slots),
            Self::PutService { key, service } => plane.put_service(*key, *service),
            Self::RemoveService { key } => plane.remove_service(*key),
        }
    }
}

/// Writes a server.
///
/// The kernel copies an array's entry while programs read it: one may see the new base of the NAT
/// sources with the old count. So these change one at a time, with a count that fits both slices.
/// What the map has is read from it: after a write that failed nobody else knows.
fn put_real(plane: &mut impl DataPlane, id: RealId, real: Real) -> Result<(), MapError> {
    let held = plane.real(id)?;
    if held.snat_base != real.snat_base && held.snat_count != real.snat_count {
        let snat_count = held.snat_count.min(real.snat_count);
        plane.put_real(id, Real { snat_count, ..held })?;
        plane.put_real(id, Real { snat_count, ..real })?;
    }
    plane.put_real(id, real)
}
