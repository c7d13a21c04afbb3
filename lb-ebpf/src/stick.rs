//! Clients that go to the server that they had last.
//!
//! A client is noted when its flow opens, that is when it has shown that it is there: SYNs from
//! made-up addresses cannot push others out of the map.

use lb_common::flow::FlowKey;
use lb_common::service::{Service, Stick, StickKey};
use lb_common::table::SlotRef;
use lb_common::time;

use crate::family::Family;
use crate::flow::now;
use crate::maps::{MEMBERS, STICKS, use_sticks};

/// The member that the client of a new flow had last, if that is not too long ago and it still takes
/// new flows.
#[inline(always)]
pub(crate) fn find<F: Family>(service: &Service, key: &FlowKey<F::Addr>) -> Option<u32> {
    if use_sticks() == 0 || service.stick == 0 {
        return None;
    }
    let client = StickKey {
        addr: F::mapped(key.src),
        service: service.gauge as u32,
    };
    // SAFETY: small values, replaced as a whole; what it names is looked at before it is used.
    let stick = unsafe { STICKS.get(client) }?;
    if time::since(now(), stick.seen) > service.stick {
        return None;
    }
    let id = stick.member as u32;
    // The id may be another's by now.
    MEMBERS
        .get(id)
        .is_some_and(|member| member.service == service.id && member.weight != 0)
        .then_some(id)
}

/// Notes the server of a flow that has just opened.
#[inline(always)]
pub(crate) fn note<F: Family>(forward: SlotRef<F::Addr>) {
    if use_sticks() == 0 {
        return;
    }
    let slot = forward.pointer();
    // SAFETY: a map value.
    let (id, client) = unsafe {
        (
            (&raw const (*slot).member).read_volatile(),
            (&raw const (*slot).src).read_volatile(),
        )
    };
    let Some(member) = MEMBERS.get(id as u32) else {
        return;
    };
    if member.stick == 0 {
        return;
    }
    let client = StickKey {
        addr: F::mapped(client),
        service: member.service_gauge as u32,
    };
    let stick = Stick {
        seen: now(),
        member: id,
        zero: 0,
    };
    // It fails only if the map has no entry that could be spared at this moment.
    let _ = STICKS.insert(client, stick, 0);
}
