//! The frame's bytes.

use aya_ebpf::helpers::generated::{bpf_xdp_adjust_head, bpf_xdp_get_buff_len};
use aya_ebpf::programs::XdpContext;

/// Bytes of an Ethernet header.
pub(crate) const ETHERNET: usize = 14;

/// The frame as it is now, or its first page, where it has several. Offsets count from its first
/// byte.
pub(crate) struct View {
    data: usize,
    end: usize,
}

impl View {
    #[inline(always)]
    pub(crate) fn of(ctx: &XdpContext) -> Self {
        Self {
            data: ctx.data(),
            end: ctx.data_end(),
        }
    }

    /// Whether the first `length` bytes can be accessed.
    #[inline(always)]
    pub(crate) fn has(&self, length: usize) -> bool {
        self.data + length <= self.end
    }

    /// Reads a field in one access of its natural width.
    ///
    /// # Safety
    /// [`Self::has`] was true for the field's end.
    #[inline(always)]
    pub(crate) unsafe fn load<T: Copy>(&self, offset: usize) -> T {
        // SAFETY: in the frame, by the caller's promise.
        unsafe { ((self.data + offset) as *const T).read_volatile() }
    }

    /// Writes a field in one access of its natural width.
    ///
    /// # Safety
    /// As for [`Self::load`].
    #[inline(always)]
    pub(crate) unsafe fn store<T: Copy>(&self, offset: usize, value: T) {
        // SAFETY: in the frame, by the caller's promise.
        unsafe { ((self.data + offset) as *mut T).write_volatile(value) };
    }
}

/// Bytes of the whole frame, whatever pages it is on (Linux 5.18).
#[inline(always)]
pub(crate) fn length(ctx: &XdpContext) -> usize {
    // SAFETY: the context is the program's own.
    unsafe { bpf_xdp_get_buff_len(ctx.ctx) as usize }
}

/// Takes `bytes` off the frame's head; every [`View`] of before is void.
#[inline(always)]
pub(crate) fn take_off(ctx: &XdpContext, bytes: usize) -> bool {
    // SAFETY: the context is the program's own.
    unsafe { bpf_xdp_adjust_head(ctx.ctx, bytes as i32) == 0 }
}
