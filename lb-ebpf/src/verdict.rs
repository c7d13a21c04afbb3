//! How a packet's way through the program ends.

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::programs::XdpContext;
use lb_common::map::Stage;
use lb_common::service::Stats;
use lb_common::verdict::{DropReason, PASS_BASE, PassReason};

use crate::frame::Frame;
use crate::maps::{MEMBERS, SERVICE_DROPS, STAGES, STATS, TX_PORTS, VERDICTS};

/// Why a packet is not forwarded: a [`DropReason`]'s or [`PassReason`]'s number, and above that the
/// service that the packet was for, where it is known by then.
///
/// A number rather than an enum of enums, as it crosses function calls that take scalars.
#[derive(Clone, Copy)]
pub(crate) struct Outcome(u32);

/// Bits of the reason's number.
const REASON: u32 = 0x7fff;
/// Set where the client is told by a RST though the reason alone does not ask for it.
const REFUSE: u32 = 0x8000;

impl Outcome {
    /// The packet is not forwarded, and its sender is told.
    #[inline(always)]
    pub(crate) const fn refusal(reason: DropReason) -> Self {
        Self(reason as u32 | REFUSE)
    }

    #[inline(always)]
    pub(crate) const fn from_number(number: u32) -> Self {
        Self(number)
    }

    #[inline(always)]
    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    /// The same, for a packet to this service: it is counted there too. Zero: no service.
    #[inline(always)]
    pub(crate) const fn of(self, service: u16) -> Self {
        Self(self.0 & (REASON | REFUSE) | (service as u32) << 16)
    }

    /// The same, for a packet of this member's flows.
    #[inline(always)]
    pub(crate) fn of_member(self, member: u16) -> Self {
        match MEMBERS.get(member as u32) {
            Some(member) => self.of(member.service),
            None => self,
        }
    }

    #[inline(always)]
    const fn reason(self) -> u32 {
        self.0 & REASON
    }

    /// Whether the client is told by a RST.
    #[inline(always)]
    pub(crate) const fn refuses(self) -> bool {
        self.0 & REFUSE != 0
            || self.reason() == DropReason::NoServer as u32
            || self.reason() == DropReason::NoFlow as u32
            || self.reason() == DropReason::AccessDenied as u32
    }

    /// Whether the client is to prove itself first.
    #[inline(always)]
    pub(crate) const fn challenges(self) -> bool {
        self.reason() == DropReason::Challenged as u32
    }

    /// Whether no flow knows the segment.
    #[inline(always)]
    pub(crate) const fn is_stray(self) -> bool {
        self.reason() == DropReason::NoFlow as u32
    }

    /// Counts the packet and gives the XDP action.
    #[inline(always)]
    pub(crate) fn count(self) -> u32 {
        let reason = self.reason();
        if let Some(counter) = VERDICTS.get_ptr_mut(reason) {
            // SAFETY: a map value of this processor, which nothing interrupts.
            unsafe { *counter += 1 };
        }
        if reason >= PASS_BASE {
            return xdp_action::XDP_PASS;
        }
        // Service 0 is none, but an entry: the look-up is cheaper than to ask.
        if let Some(counters) = SERVICE_DROPS.get_ptr_mut(self.0 >> 16) {
            // SAFETY: as above; the reason is below the number of counters.
            unsafe { (*counters).packets[(reason % PASS_BASE) as usize] += 1 };
        }
        xdp_action::XDP_DROP
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
