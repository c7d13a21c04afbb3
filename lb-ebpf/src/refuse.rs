//! A RST in answer to a segment that has nowhere to go.

use aya_ebpf::bindings::xdp_action;
use lb_common::csum;
use lb_common::tcp;

use crate::family::Family;
use crate::frame::Frame;
use crate::parse::{Segment, TCP};
use crate::verdict::Outcome;

/// Turns the segment into the RST that a host without the connection sends (RFC 9293, section
/// 3.10.7.1), so that clients fail at once instead of waiting. A RST is never answered.
///
/// The frame keeps its length; what follows the new IP packet in it is padding.
#[inline(always)]
pub(crate) fn refuse<F: Family>(
    frame: &Frame,
    segment: &Segment<F>,
    outcome: Outcome,
) -> Result<u32, Outcome> {
    if segment.flags & tcp::RST != 0 {
        return Err(outcome);
    }
    outcome.count();
    let (seq, ack, flags) = if segment.flags & tcp::ACK != 0 {
        (segment.ack, 0, tcp::RST)
    } else {
        let control =
            (segment.flags & tcp::SYN != 0) as u32 + (segment.flags & tcp::FIN != 0) as u32;
        (0, segment.end.wrapping_add(control), tcp::RST | tcp::ACK)
    };
    Ok(answer(frame, segment, seq, ack, flags))
}

/// Turns the segment around into an empty one with these numbers and flags, its window zero; gives
/// the XDP action.
#[inline(always)]
pub(crate) fn answer<F: Family>(
    frame: &Frame,
    segment: &Segment<F>,
    seq: u32,
    ack: u32,
    flags: u8,
) -> u32 {
    // Data offset 5, flags, window 0.
    let words: [u32; 4] = [
        segment.key.reversed().ports,
        seq.to_be(),
        ack.to_be(),
        (0x5000_0000 | (flags as u32) << 16).to_be(),
    ];
    // SAFETY: parsing has seen both headers in the frame.
    unsafe {
        let addresses = F::turn_around(frame, TCP as u16);
        let mut sum = addresses + (6_u16.to_be() as u64) + (TCP as u16).to_be() as u64;
        let mut i = 0;
        while i < 4 {
            frame.store(F::TRANSPORT + i * 4, words[i]);
            sum += words[i] as u64;
            i += 1;
        }
        frame.store(F::TRANSPORT + 16, !csum::fold(sum) as u32 & 0xffff);
        let (to_head, to_tail): (u32, u16) = (frame.load(6), frame.load(10));
        let (from_head, from_tail): (u32, u16) = (frame.load(0), frame.load(4));
        frame.store(0, to_head);
        frame.store(4, to_tail);
        frame.store(6, from_head);
        frame.store(10, from_tail);
    }
    xdp_action::XDP_TX
}
