//! The XDP programs.
//!
//! [`lb_xdp`] forwards. A frame goes through these stages, in this order:
//!
//! 1. [`frame`]: is it addressed to us, on an interface we know?
//! 2. [`parse`]: IPv4 or IPv6, TCP, headers whole.
//! 3. [`flow`]: is there an entry for it? An open flow leaves from here to stage 6.
//! 4. [`select`]: which service is it for, and which server shall have it?
//! 5. [`open`]: claim entries and a source port for a new flow.
//! 6. [`track`]: what the segment says about the flow's state.
//! 7. [`rewrite`]: addresses, ports, checksums, hop limit, MAC addresses.
//! 8. [`verdict`]: out by the same interface or another, or why not.
//!
//! [`refuse`] answers with a RST where there is nobody to forward to. [`expire`] is a program of
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

mod expire;
mod family;
mod flow;
mod frame;
mod maps;
mod open;
mod outline;
mod parse;
mod refuse;
mod rewrite;
mod scratch;
mod select;
mod track;
mod verdict;

use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

use crate::family::{V4, V6};
use crate::frame::Frame;
use crate::parse::Network;

/// Forwards what belongs to a service; hands everything else to the kernel's stack.
#[xdp]
fn lb_xdp(ctx: XdpContext) -> u32 {
    let result = match Frame::for_us(&ctx) {
        Ok((frame, Network::V4)) => forward::<V4>(&frame),
        Ok((frame, Network::V6)) => forward::<V6>(&frame),
        Err(outcome) => Err(outcome),
    };
    match result {
        Ok(action) => action,
        Err(outcome) => outcome.count(),
    }
}

/// Stages 2 to 8 for one address family.
#[inline(always)]
fn forward<F: family::Family>(frame: &Frame) -> Result<u32, verdict::Outcome> {
    let segment = parse::segment::<F>(frame)?;
    let (entry, found) = match flow::find::<F>(&segment) {
        Some(found) => found,
        None => match open::open::<F>(frame, &segment) {
            Ok(opened) => opened,
            Err(outcome) if outcome.refuses() => {
                return refuse::refuse::<F>(frame, &segment, outcome);
            }
            Err(outcome) => return Err(outcome),
        },
    };
    track::track::<F>(frame, &segment, &entry, &found);
    rewrite::rewrite::<F>(frame, &segment, &found)
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
