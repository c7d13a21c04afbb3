//! The XDP programs.
//!
//! [`lb_xdp`] is attached and forwards what belongs to a flow; what opens one goes on in [`lb_open`],
//! by a tail call. A frame goes through these stages, in this order:
//!
//! 1. [`frame`]: is it addressed to us, on an interface we know?
//! 2. [`parse`]: IPv4 or IPv6, TCP, headers whole.
//! 3. [`flow`]: is there an entry for it? An open flow leaves from here to stage 6.
//! 4. [`select`], in `lb_open` as is the next: which service is it for, may the client open a flow
//!    there ([`access`], [`limit`]), and which server shall have it ([`stick`], [`search`]), if there
//!    is room ([`gauge`])?
//! 5. [`open`]: claim entries and a source port for a new flow.
//! 6. [`track`]: what the segment says about the flow's state.
//! 7. [`rewrite`]: addresses, ports, checksums, hop limit, MAC addresses.
//! 8. [`verdict`]: out by the same interface or another, or why not.
//!
//! [`account`] counts a flow's packets and bytes, and [`report`] tells the agent when one opens or
//! ends, where somebody wants to know. [`refuse`] answers with a RST where there is nobody to forward
//! to; [`redispatch`] lets a flow that its server does not take move on to another. [`expire`] is a program of
//! its own, run by the agent: it forgets idle flows. [`maps`] holds what programs and agent share.
//!
//! What an open flow's packet needs is inlined into the program; everything else is in functions of
//! its own ([`outline`]), which the verifier walks once.
#![no_std]
#![no_main]
#![expect(
    internal_features,
    reason = "the BPF target has no atomic types with compare-and-exchange; the intrinsics compile"
)]
#![feature(core_intrinsics)]

mod access;
mod account;
mod challenge;
mod expire;
mod family;
mod flow;
mod frame;
mod gauge;
mod limit;
mod maps;
mod open;
mod outline;
mod parse;
mod redispatch;
mod refuse;
mod report;
mod rewrite;
mod scratch;
mod search;
mod select;
mod stick;
mod track;
mod verdict;

use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use lb_common::map::Stage;

use crate::family::{Family, V4, V6};
use crate::frame::Frame;
use crate::parse::Network;
use crate::verdict::Outcome;

/// Forwards what belongs to a flow; hands what is for no service to the kernel's stack.
#[xdp]
fn lb_xdp(ctx: XdpContext) -> u32 {
    act(match Frame::for_us(&ctx) {
        Ok((frame, Network::V4)) => forward::<V4>(&ctx, &frame),
        Ok((frame, Network::V6)) => forward::<V6>(&ctx, &frame),
        Err(outcome) => Err(outcome),
    })
}

/// Opens a flow for the segment, chooses its server, and forwards it.
#[xdp]
fn lb_open(ctx: XdpContext) -> u32 {
    act(match Frame::for_us(&ctx) {
        Ok((frame, Network::V4)) => open_and_forward::<V4>(&ctx, &frame),
        Ok((frame, Network::V6)) => open_and_forward::<V6>(&ctx, &frame),
        Err(outcome) => Err(outcome),
    })
}

/// Lets a client prove that it is there.
#[xdp]
fn lb_challenge(ctx: XdpContext) -> u32 {
    act(match Frame::for_us(&ctx) {
        Ok((frame, Network::V4)) => challenge::challenge::<V4>(&ctx, &frame),
        Ok((frame, Network::V6)) => challenge::challenge::<V6>(&ctx, &frame),
        Err(outcome) => Err(outcome),
    })
}

/// What XDP shall do with the frame.
#[inline(always)]
fn act(result: Result<u32, Outcome>) -> u32 {
    match result {
        Ok(action) => action,
        Err(outcome) => outcome.count(),
    }
}

/// Stages 2, 3 and 6 to 8 for one address family.
#[inline(always)]
fn forward<F: Family>(ctx: &XdpContext, frame: &Frame) -> Result<u32, Outcome> {
    let segment = parse::segment::<F>(frame)?;
    let Some((entry, found)) = flow::find::<F>(&segment) else {
        return verdict::continue_in(ctx, Stage::Open);
    };
    track::track::<F>(frame, &segment, &entry, &found)?;
    send::<F>(frame, &segment, &found)
}

/// Stages 2 and 4 to 8 for one address family.
#[inline(always)]
fn open_and_forward<F: Family>(ctx: &XdpContext, frame: &Frame) -> Result<u32, Outcome> {
    let segment = parse::segment::<F>(frame)?;
    let (entry, found) = match open::open::<F>(frame, &segment) {
        Ok(opened) => opened,
        Err(outcome) if challenge::concerns(outcome, segment.flags) => {
            return verdict::continue_in(ctx, Stage::Challenge);
        }
        Err(outcome) if outcome.refuses() => {
            return refuse::refuse::<F>(frame, &segment, outcome);
        }
        Err(outcome) => return Err(outcome),
    };
    track::track::<F>(frame, &segment, &entry, &found)?;
    send::<F>(frame, &segment, &found)
}

/// Stages 7 and 8. What stops a packet here is counted for its service too.
#[inline(always)]
fn send<F: Family>(
    frame: &Frame,
    segment: &parse::Segment<F>,
    found: &flow::Found<F>,
) -> Result<u32, Outcome> {
    rewrite::rewrite::<F>(frame, segment, found).map_err(|outcome| outcome.of_member(found.member))
}

/// Tells the kernel that GPL-only helpers may be used; the source is also under the MIT licence.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a program in which this can be reached.
    loop {}
}
