//! Stage 4: the service a connection is for, and the server it goes to.

use lb_common::flow::{FlowKey, split_ports};
use lb_common::service::{Member, RESET_WHEN_FULL, Service, ServiceKey};
use lb_common::tcp;
use lb_common::verdict::{DropReason, PassReason};

use crate::access;
use crate::family::Family;
use crate::gauge;
use crate::limit;
use crate::maps::{MEMBERS, REALS, RING, SERVICES};
use crate::search;
use crate::stick;
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
    access::check::<F>(service, key.src)?;
    limit::check::<F>(service, key.src)?;
    if service.ring_len == 0 {
        return Err(DropReason::NoServer.into());
    }
    if !gauge::take(service.gauge, service.max_flows) {
        return Err(full(service, DropReason::ServiceFull));
    }
    let choice = server::<F>(service, key);
    if choice.is_err() {
        gauge::change(service.gauge, -1);
    }
    choice
}

/// Another processor may take the place that a search has found; then the search is done again, so
/// many times in all.
const TAKE_TRIES: u32 = 3;

/// A server of the service, and a place on it.
#[inline(always)]
fn server<F: Family>(service: &Service, key: &FlowKey<F::Addr>) -> Result<Choice, Outcome> {
    if let Some(id) = stick::find::<F>(service, key)
        && let Ok(Some(choice)) = take::<F>(id)
    {
        return Ok(choice);
    }
    let mut tries = 0;
    while tries < TAKE_TRIES {
        tries += 1;
        let Some(index) = search::pick::<F>(service, key) else {
            // Those that were tried before are better than none.
            if search::forgive() {
                continue;
            }
            break;
        };
        let Some(&id) = RING.get(service.ring_base.wrapping_add(index)) else {
            return Err(DropReason::BadRing.into());
        };
        if let Some(choice) = take::<F>(id)? {
            return Ok(choice);
        }
    }
    Err(full(service, DropReason::ServersFull))
}

/// Takes a place on a member's server, if it can be forwarded to; `None`: it has none left.
#[inline(always)]
fn take<F: Family>(id: u32) -> Result<Option<Choice>, Outcome> {
    let Some(member) = MEMBERS.get(id) else {
        return Err(DropReason::BadRing.into());
    };
    let &Member { real, .. } = member;
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
    let choice = Choice {
        member: id as u16,
        real,
    };
    Ok(gauge::take(member.gauge, member.maxconn).then_some(choice))
}

/// What becomes of a flow for which there is no room.
#[inline(always)]
fn full(service: &Service, reason: DropReason) -> Outcome {
    if service.flags & RESET_WHEN_FULL != 0 {
        Outcome::refusal(reason)
    } else {
        reason.into()
    }
}
