//! Stage 4: the service a connection is for, and the server it goes to.

use lb_common::flow::{FlowKey, split_ports};
use lb_common::hash;
use lb_common::service::{Member, Pick, Service, ServiceKey};
use lb_common::tcp;
use lb_common::verdict::{DropReason, PassReason};

use crate::family::Family;
use crate::flow::add;
use crate::maps::{MEMBERS, REALS, RING, SERVICES, TURNS};
use crate::verdict::Outcome;

/// Where a new flow goes.
pub(crate) struct Choice {
    pub(crate) member: u16,
    pub(crate) real: u16,
}

const PROTOCOL_TCP: u8 = 6;

/// Chooses the server for a segment that no flow knows, and notes the service as soon as that is
/// found.
#[inline(always)]
pub(crate) fn select<F: Family>(
    key: &FlowKey<F::Addr>,
    flags: u8,
    service_id: &mut u16,
) -> Result<Choice, Outcome> {
    let (_, port) = split_ports(key.ports);
    let service = ServiceKey {
        addr: F::mapped(key.dst),
        port,
        protocol: PROTOCOL_TCP,
        zero: 0,
    };
    // SAFETY: the agent replaces whole entries, so that what is read is of one piece.
    let Some(service) = (unsafe { SERVICES.get(service) }) else {
        return Err(PassReason::NoService.into());
    };
    *service_id = service.id;
    match flags & (tcp::SYN | tcp::ACK | tcp::FIN | tcp::RST) {
        tcp::SYN => {}
        with if with & tcp::SYN != 0 => return Err(DropReason::BadFlags.into()),
        _ => return Err(DropReason::NoFlow.into()),
    }
    if service.ring_len == 0 {
        return Err(DropReason::NoServer.into());
    }
    let index = pick::<F>(service, key)?;
    let Some(&member) = RING.get(service.ring_base.wrapping_add(index)) else {
        return Err(DropReason::BadRing.into());
    };
    let Some(&Member { real, .. }) = MEMBERS.get(member) else {
        return Err(DropReason::BadRing.into());
    };
    let Some(server) = REALS.get(real as u32) else {
        return Err(DropReason::BadRing.into());
    };
    if server.family != F::NUMBER {
        return Err(DropReason::BadRing.into());
    }
    if server.ifindex == 0 {
        return Err(DropReason::NoNeighbour.into());
    }
    if server.snat_count == 0 {
        return Err(DropReason::NoSnat.into());
    }
    Ok(Choice {
        member: member as u16,
        real,
    })
}

/// A slot of the service's ring, below its length.
#[inline(always)]
fn pick<F: Family>(service: &Service, key: &FlowKey<F::Addr>) -> Result<u32, Outcome> {
    let hash = if service.pick == Pick::Next as u8 {
        let Some(turn) = TURNS.get_ptr_mut(service.id as u32) else {
            return Err(DropReason::BadRing.into());
        };
        // SAFETY: a map value. One counter for all processors: in turn means in turn.
        let turn = unsafe { add(turn, 1) };
        return Ok(turn.checked_rem(service.ring_len as u64).unwrap_or(0) as u32);
    } else if service.pick == Pick::HashSource as u8 {
        hash::ring_source(key.src)
    } else {
        hash::ring_tuple(key.src, key.dst, key.ports, PROTOCOL_TCP)
    };
    Ok(hash::reduce(hash, service.ring_len))
}
