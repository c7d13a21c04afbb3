//! Stage 2: a TCP segment with whole headers, or what the packet is instead.

use lb_common::flow::FlowKey;
use lb_common::service::ServiceKey;
use lb_common::verdict::{DropReason, PassReason};

use crate::family::{Family, Shape};
use crate::frame::Frame;
use crate::maps::SERVICES;
use crate::verdict::Outcome;

/// Bytes of a TCP header without options.
pub(crate) const TCP: usize = 20;

/// The network protocol of a frame.
pub(crate) enum Network {
    V4,
    V6,
}

/// What the rest of the program wants to know of a segment.
pub(crate) struct Segment<F: Family> {
    /// Addresses and ports as they stand in the packet.
    pub(crate) key: FlowKey<F::Addr>,
    /// Length of the IP packet in bytes, its header included.
    pub(crate) ip_length: u32,
    /// TCP flags.
    pub(crate) flags: u8,
    /// Sequence number, host order.
    pub(crate) seq: u32,
    /// Acknowledgement number, host order.
    pub(crate) ack: u32,
    /// Sequence number after the segment's last byte, SYN and FIN not counted.
    pub(crate) end: u32,
}

/// Reads the segment.
///
/// Malformed packets for addresses of ours are dropped, so that no two readers can disagree about
/// them; malformed packets for anybody else are the stack's to judge.
#[inline(always)]
pub(crate) fn segment<F: Family>(frame: &Frame) -> Result<Segment<F>, Outcome> {
    if !frame.has(F::TRANSPORT + TCP) {
        return Err(short::<F>(frame));
    }
    let ip_length = match F::shape(frame) {
        Shape::Tcp { ip_length } => ip_length,
        other => return Err(not_plain_tcp::<F>(frame, other)),
    };
    // SAFETY: both headers are in the frame.
    let (ports, seq, ack, offset, flags) = unsafe {
        (
            frame.load::<u32>(F::TRANSPORT),
            u32::from_be(frame.load(F::TRANSPORT + 4)),
            u32::from_be(frame.load(F::TRANSPORT + 8)),
            frame.load::<u8>(F::TRANSPORT + 12),
            frame.load::<u8>(F::TRANSPORT + 13),
        )
    };
    let header = (offset >> 4) as u32 * 4;
    let payload = ip_length
        .wrapping_sub(F::IP_HEADER as u32)
        .wrapping_sub(header);
    if header < TCP as u32 || payload > u16::MAX as u32 {
        return Err(for_service::<F>(frame, DropReason::BadTcpHeader));
    }
    if ip_length as usize + crate::frame::ETHERNET > frame.length() {
        return Err(for_service::<F>(frame, DropReason::Truncated));
    }
    let (src, dst) = F::addresses(frame);
    Ok(Segment {
        key: FlowKey { src, dst, ports },
        ip_length,
        flags,
        seq,
        ack,
        end: seq.wrapping_add(payload),
    })
}

/// A frame too short for IP and TCP headers: another transport, or cut off.
#[inline(always)]
fn short<F: Family>(frame: &Frame) -> Outcome {
    if !frame.has(F::TRANSPORT) {
        return PassReason::NotIp.into();
    }
    match F::shape(frame) {
        Shape::Tcp { .. } => for_service::<F>(frame, DropReason::Truncated),
        other => not_plain_tcp::<F>(frame, other),
    }
}

#[inline(always)]
fn not_plain_tcp<F: Family>(frame: &Frame, shape: Shape) -> Outcome {
    match shape {
        Shape::Malformed => for_service::<F>(frame, DropReason::BadIpHeader),
        Shape::Fragment => for_service::<F>(frame, DropReason::Fragment),
        Shape::Options => for_service::<F>(frame, DropReason::IpOptions),
        Shape::Icmp => PassReason::Icmp.into(),
        Shape::Other | Shape::Tcp { .. } => PassReason::NotTcp.into(),
    }
}

/// `reason` if the packet is for an address of a service; else the stack may have it.
#[inline(always)]
fn for_service<F: Family>(frame: &Frame, reason: DropReason) -> Outcome {
    let (_, dst) = F::addresses(frame);
    let mark = ServiceKey {
        addr: F::mapped(dst),
        port: 0,
        protocol: 0,
        zero: 0,
    };
    // SAFETY: the value is not read, only whether there is one.
    if unsafe { SERVICES.get(mark) }.is_some() {
        reason.into()
    } else {
        PassReason::NoService.into()
    }
}
