//! Stage 7: the packet as its receiver shall see it.

use lb_common::csum;
use lb_common::flow::{Origin, State};
use lb_common::verdict::DropReason;

use crate::family::Family;
use crate::flow::Found;
use crate::frame::Frame;
use crate::maps::{PORTS, REALS};
use crate::parse::Segment;
use crate::verdict::{Outcome, send, stats};

/// The Ethernet addresses of an outgoing frame and where it goes.
struct Way {
    ethernet: [u32; 3],
    ifindex: u32,
    mtu: u32,
}

/// Rewrites the packet as its entry says and sends it.
///
/// Nothing is written before everything is known to be there: a packet that is dropped or passed
/// is as it came. Only what cannot be redirected is found out last; it has been rewritten by then.
#[inline(always)]
pub(crate) fn rewrite<F: Family>(
    frame: &Frame,
    segment: &Segment<F>,
    found: &Found<F>,
) -> Result<u32, Outcome> {
    let reply = matches!(found.state, State::Reply);
    let way = if reply {
        to_client(Origin::unpack(found.origin))?
    } else {
        to_server(found.real)?
    };
    if segment.ip_length > way.mtu {
        return Err(DropReason::MtuExceeded.into());
    }
    if F::hops(frame) <= 1 {
        return Err(DropReason::TtlExceeded.into());
    }
    let Some(stats) = stats(found.member) else {
        return Err(DropReason::BadRing.into());
    };
    // SAFETY: parsing has seen both headers in the frame.
    unsafe {
        F::rewrite_header(
            frame,
            found.rewritten.src,
            found.rewritten.dst,
            found.l3_delta,
        );
        frame.store(F::TRANSPORT, found.rewritten.ports);
        let check: u16 = frame.load(F::TRANSPORT + 16);
        frame.store(F::TRANSPORT + 16, csum::update(check, found.l4_delta));
        frame.store(0, way.ethernet[0]);
        frame.store(4, way.ethernet[1]);
        frame.store(8, way.ethernet[2]);
    }
    let action = send(frame, way.ifindex)?;
    let bytes = segment.ip_length as u64 + crate::frame::ETHERNET as u64;
    // SAFETY: a map value of this processor, which nothing interrupts.
    unsafe {
        if reply {
            (*stats).packets_out += 1;
            (*stats).bytes_out += bytes;
        } else {
            (*stats).packets_in += 1;
            (*stats).bytes_in += bytes;
        }
    }
    Ok(action)
}

#[inline(always)]
fn to_server(real: u16) -> Result<Way, Outcome> {
    match REALS.get(real as u32) {
        Some(real) if real.ifindex != 0 => Ok(Way {
            ethernet: real.ethernet,
            ifindex: real.ifindex,
            mtu: real.mtu,
        }),
        Some(_) => Err(DropReason::NoNeighbour.into()),
        None => Err(DropReason::BadRing.into()),
    }
}

#[inline(always)]
fn to_client(origin: Origin) -> Result<Way, Outcome> {
    match PORTS.get(origin.ifindex as u32) {
        Some(port) if port.known != 0 => Ok(Way {
            ethernet: [
                origin.mac_head,
                origin.mac_tail as u32 | port.mac_head << 16,
                port.mac_head >> 16 | (port.mac_tail as u32) << 16,
            ],
            ifindex: origin.ifindex as u32,
            mtu: port.mtu,
        }),
        _ => Err(DropReason::RedirectFailed.into()),
    }
}
