//! IPv6 (RFC 8200).

use lb_common::addr::{self, Address};
use lb_common::event::Account;
use lb_common::flow::Bucket;
use lb_common::limit;

use super::{Family, PROTOCOL_TCP, Shape};
use crate::frame::{ETHERNET, Frame};
use crate::maps::{ACCOUNTS6, FLOWS6, STARTS6, buckets6};
use crate::outline::{self, Calls};
use crate::scratch::{Keys, Scratch};

pub(crate) struct V6;

impl Family for V6 {
    type Addr = [u64; 2];
    const IP_HEADER: usize = 40;
    const NUMBER: u16 = 6;
    const TABLE: u32 = 1;
    const CALLS: Calls = outline::V6;

    #[inline(always)]
    fn shape(frame: &Frame) -> Shape {
        // SAFETY: the IP header is in the frame.
        let (version, length, next) = unsafe {
            (
                frame.load::<u8>(ETHERNET),
                u16::from_be(frame.load(ETHERNET + 4)),
                frame.load::<u8>(ETHERNET + 6),
            )
        };
        if version >> 4 != 6 {
            return Shape::Malformed;
        }
        match next {
            PROTOCOL_TCP => Shape::Tcp {
                ip_length: length as u32 + Self::IP_HEADER as u32,
            },
            58 => Shape::Icmp,
            44 => Shape::Fragment,
            // Hop-by-hop, routing, destination options, authentication, mobility
            // (RFC 7045, section 3).
            0 | 43 | 60 | 51 | 135 => Shape::Options,
            _ => Shape::Other,
        }
    }

    #[inline(always)]
    fn addresses(frame: &Frame) -> ([u64; 2], [u64; 2]) {
        let at = |offset| {
            // SAFETY: the IP header is in the frame.
            unsafe { [frame.load::<u64>(offset), frame.load::<u64>(offset + 8)] }
        };
        (at(ETHERNET + 8), at(ETHERNET + 24))
    }

    #[inline(always)]
    fn mapped(v6: [u64; 2]) -> [u32; 4] {
        addr::narrow(v6)
    }

    #[inline(always)]
    fn from_mapped(v6: [u32; 4]) -> [u64; 2] {
        addr::widen(v6)
    }

    #[inline(always)]
    fn bits(v6: [u64; 2]) -> (u64, u64) {
        (u64::from_be(v6[0]), u64::from_be(v6[1]))
    }

    #[inline(always)]
    fn source(v6: [u64; 2]) -> u64 {
        limit::source_of_v6(u64::from_be(v6[0]))
    }

    #[inline(always)]
    fn buckets() -> u32 {
        buckets6()
    }

    #[inline(always)]
    fn bucket(index: u32) -> Option<*mut Bucket<[u64; 2]>> {
        FLOWS6.get_ptr_mut(index)
    }

    #[inline(always)]
    fn start(index: u32) -> Option<*mut u64> {
        STARTS6.get_ptr_mut(index)
    }

    #[inline(always)]
    fn account(index: u32) -> Option<*mut Account> {
        ACCOUNTS6.get_ptr_mut(index)
    }

    #[inline(always)]
    unsafe fn rewrite_header(frame: &Frame, src: [u64; 2], dst: [u64; 2], _delta: u16) {
        // SAFETY: by the caller's promise.
        unsafe {
            let hops: u8 = frame.load(ETHERNET + 7);
            frame.store(ETHERNET + 7, hops.wrapping_sub(1));
            store_address(frame, ETHERNET + 8, src);
            store_address(frame, ETHERNET + 24, dst);
        }
    }

    #[inline(always)]
    fn hops(frame: &Frame) -> u8 {
        // SAFETY: the IP header is in the frame.
        unsafe { frame.load(ETHERNET + 7) }
    }

    #[inline(always)]
    unsafe fn turn_around(frame: &Frame, length: u16) -> u64 {
        let (src, dst) = Self::addresses(frame);
        // SAFETY: by the caller's promise.
        unsafe {
            frame.store(ETHERNET, 0x6000_0000_u32.to_be());
            // Payload length; TCP; hop limit 64.
            frame.store(ETHERNET + 4, ((length as u32) << 16 | 0x0640).to_be());
            store_address(frame, ETHERNET + 8, dst);
            store_address(frame, ETHERNET + 24, src);
        }
        src.sum() + dst.sum()
    }

    #[inline(always)]
    unsafe fn keys(scratch: *mut Scratch) -> *mut Keys<Self::Addr> {
        // SAFETY: by the caller's promise.
        unsafe { &raw mut (*scratch).keys6 }
    }
}

/// # Safety
/// Sixteen bytes from `offset` are in the frame.
#[inline(always)]
unsafe fn store_address(frame: &Frame, offset: usize, addr: [u64; 2]) {
    // SAFETY: by the caller's promise.
    unsafe {
        frame.store(offset, addr[0]);
        frame.store(offset + 8, addr[1]);
    }
}
