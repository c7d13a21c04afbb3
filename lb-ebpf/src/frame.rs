//! Stage 1: the frame, and whether it is for us.

use aya_ebpf::programs::XdpContext;
use lb_common::verdict::PassReason;

use crate::maps::PORTS;
use crate::parse::Network;
use crate::verdict::Outcome;

/// Bytes of an Ethernet header.
pub(crate) const ETHERNET: usize = 14;

/// A received frame. Offsets count from its first byte.
pub(crate) struct Frame {
    data: usize,
    end: usize,
    /// Interface it came in on.
    pub(crate) ifindex: u32,
}

impl Frame {
    /// The frame and its network protocol, if it is addressed to the interface's own MAC address.
    /// Anything else (broadcast, multicast, a promiscuous port's catch) belongs to the stack.
    #[inline(always)]
    pub(crate) fn for_us(ctx: &XdpContext) -> Result<(Self, Network), Outcome> {
        let frame = Self {
            data: ctx.data(),
            end: ctx.data_end(),
            ifindex: ctx.ingress_ifindex() as u32,
        };
        let Some(port) = PORTS.get(frame.ifindex) else {
            return Err(PassReason::UnknownInterface.into());
        };
        if port.known == 0 {
            return Err(PassReason::UnknownInterface.into());
        }
        if !frame.has(ETHERNET) {
            return Err(PassReason::NotIp.into());
        }
        // SAFETY: the header is there.
        let (head, tail, ethertype) = unsafe {
            (
                frame.load::<u32>(0),
                frame.load::<u16>(4),
                frame.load::<u16>(12),
            )
        };
        if head != port.mac_head || tail != port.mac_tail {
            return Err(PassReason::NotOurMac.into());
        }
        match u16::from_be(ethertype) {
            0x0800 => Ok((frame, Network::V4)),
            0x86dd => Ok((frame, Network::V6)),
            _ => Err(PassReason::NotIp.into()),
        }
    }

    /// Whether the first `length` bytes can be accessed. The verifier wants to see this comparison
    /// before each access.
    #[inline(always)]
    pub(crate) fn has(&self, length: usize) -> bool {
        self.data + length <= self.end
    }

    /// Bytes in the frame.
    #[inline(always)]
    pub(crate) fn length(&self) -> usize {
        self.end - self.data
    }

    /// Reads a field in one access of its natural width. The IP header is only 2-byte aligned: the
    /// BPF machine does not mind, and an `unaligned` read would become byte loads and shifts.
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
