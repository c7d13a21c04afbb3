//! How a packet's way through the program ends.

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::programs::XdpContext;
use lb_common::map::Stage;
use lb_common::service::Stats;
use lb_common::verdict::{DropReason, PASS_BASE, PassReason};

use crate::frame::Frame;
use crate::maps::{STAGES, STATS, TX_PORTS, VERDICTS};

/// Why a packet is not forwarded: a [`DropReason`]'s or [`PassReason`]'s number.
///
/// A number rather than an enum of enums, as it crosses function calls that take scalars.
#[derive(Clone, Copy)]
pub(crate) struct Outcome(u32);

impl Outcome {
    #[inline(always)]
    pub(crate) const fn from_number(number: u32) -> Self {
        Self(number)
    }

    #[inline(always)]
    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    /// Whether the client is told by a RST.
    #[inline(always)]
    pub(crate) const fn refuses(self) -> bool {
        self.0 == DropReason::NoServer as u32 || self.0 == DropReason::NoFlow as u32
    }

    /// Counts the packet and gives the XDP action.
    #[inline(always)]
    pub(crate) fn count(self) -> u32 {
        if let Some(counter) = VERDICTS.get_ptr_mut(self.0) {
            // SAFETY: a map value of this processor, which nothing interrupts.
            unsafe { *counter += 1 };
        }
        if self.0 >= PASS_BASE {
            xdp_action::XDP_PASS
        } else {
            xdp_action::XDP_DROP
        }
    }
}

impl From<DropReason> for Outcome {
    #[inline(always)]
    fn from(reason: DropReason) -> Self {
        Self(reason as u32)
    }
}

impl From<PassReason> for Outcome {
    #[inline(always)]
    fn from(reason: PassReason) -> Self {
        Self(reason as u32)
    }
}

/// Goes on in another program, which finds the frame as it is now. Comes back only if that program
/// is not there.
#[inline(always)]
pub(crate) fn continue_in(ctx: &XdpContext, stage: Stage) -> Result<u32, Outcome> {
    // SAFETY: nothing here needs to be dropped.
    unsafe { STAGES.tail_call(ctx, stage as u32) };
    Err(DropReason::NoStage.into())
}

/// Sends the frame out by `ifindex`.
#[inline(always)]
pub(crate) fn send(frame: &Frame, ifindex: u32) -> Result<u32, Outcome> {
    if ifindex == frame.ifindex {
        return Ok(xdp_action::XDP_TX);
    }
    match TX_PORTS.redirect(ifindex, xdp_action::XDP_ABORTED as u64) {
        Ok(action) => Ok(action),
        Err(_) => Err(DropReason::RedirectFailed.into()),
    }
}

/// The counters of `member` on this processor.
#[inline(always)]
pub(crate) fn stats(member: u16) -> Option<*mut Stats> {
    STATS.get_ptr_mut(member as u32)
}
