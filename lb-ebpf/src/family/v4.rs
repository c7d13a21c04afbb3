//! IPv4 (RFC 791).

use lb_common::addr::{self, Address};
use lb_common::csum;
use lb_common::event::Account;
use lb_common::flow::Bucket;
use lb_common::limit;

use super::{Family, PROTOCOL_TCP, Shape};
use crate::frame::{ETHERNET, Frame};
use crate::maps::{ACCOUNTS4, FLOWS4, STARTS4, buckets4};
use crate::outline::{self, Calls};
use crate::scratch::{Keys, Scratch};

pub(crate) struct V4;

impl Family for V4 {
    type Addr = u32;
    const IP_HEADER: usize = 20;
    const NUMBER: u16 = 4;
    const TABLE: u32 = 0;
    const CALLS: Calls = outline::V4;

    #[inline(always)]
    fn shape(frame: &Frame) -> Shape {
        // SAFETY: the IP header is in the frame.
        let (version, length, fragment, protocol) = unsafe {
            (
                frame.load::<u8>(ETHERNET),
                u16::from_be(frame.load(ETHERNET + 2)),
                u16::from_be(frame.load(ETHERNET + 6)),
                frame.load::<u8>(ETHERNET + 9),
            )
        };
        // More-fragments flag or an offset (RFC 791, section 3.1).
        let fragmented = fragment & 0x3fff != 0;
        if version == 0x45 && !fragmented && protocol == PROTOCOL_TCP {
            return if length as usize >= Self::IP_HEADER {
                Shape::Tcp {
                    ip_length: length as u32,
                }
            } else {
                Shape::Malformed
            };
        }
        if version >> 4 != 4 || version & 0xf < 5 {
            Shape::Malformed
        } else if protocol == 1 {
            Shape::Icmp
        } else if protocol != PROTOCOL_TCP {
            Shape::Other
        } else if fragmented {
            Shape::Fragment
        } else {
            Shape::Options
        }
    }

    #[inline(always)]
    fn addresses(frame: &Frame) -> (u32, u32) {
        // SAFETY: the IP header is in the frame.
        unsafe { (frame.load(ETHERNET + 12), frame.load(ETHERNET + 16)) }
    }

    #[inline(always)]
    fn mapped(addr: u32) -> [u32; 4] {
        addr::mapped(addr)
    }

    #[inline(always)]
    fn from_mapped(addr: [u32; 4]) -> u32 {
        addr[3]
    }

    #[inline(always)]
    fn bits(v4: u32) -> (u64, u64) {
        ((u32::from_be(v4) as u64) << 32, 0)
    }

    #[inline(always)]
    fn source(v4: u32) -> u64 {
        limit::source_of_v4(u32::from_be(v4))
    }

    #[inline(always)]
    fn buckets() -> u32 {
        buckets4()
    }

    #[inline(always)]
    fn bucket(index: u32) -> Option<*mut Bucket<u32>> {
        FLOWS4.get_ptr_mut(index)
    }

    #[inline(always)]
    fn start(index: u32) -> Option<*mut u64> {
        STARTS4.get_ptr_mut(index)
    }

    #[inline(always)]
    fn account(index: u32) -> Option<*mut Account> {
        ACCOUNTS4.get_ptr_mut(index)
    }

    #[inline(always)]
    unsafe fn rewrite_header(frame: &Frame, src: u32, dst: u32, delta: u16) {
        // SAFETY: by the caller's promise.
        unsafe {
            let check: u16 = frame.load(ETHERNET + 10);
            let ttl: u8 = frame.load(ETHERNET + 8);
            // TTL is the high byte of its word: one less is ~0x0100 + 0 in RFC 1624's terms.
            let delta = csum::combine(delta, !0x0100_u16.to_be());
            frame.store(ETHERNET + 8, ttl.wrapping_sub(1));
            frame.store(ETHERNET + 10, csum::update(check, delta));
            frame.store(ETHERNET + 12, src);
            frame.store(ETHERNET + 16, dst);
        }
    }

    #[inline(always)]
    fn hops(frame: &Frame) -> u8 {
        // SAFETY: the IP header is in the frame.
        unsafe { frame.load(ETHERNET + 8) }
    }

    #[inline(always)]
    unsafe fn turn_around(frame: &Frame, length: u16) -> u64 {
        let (src, dst) = Self::addresses(frame);
        // Version and length, no options; do not fragment; TTL 64, TCP.
        let words: [u32; 3] = [
            (0x4500_0000 | (Self::IP_HEADER as u32 + length as u32)).to_be(),
            0x0000_4000_u32.to_be(),
            0x4006_0000_u32.to_be(),
        ];
        let addresses = src.sum() + dst.sum();
        let sum = words[0] as u64 + words[1] as u64 + words[2] as u64 + addresses;
        // SAFETY: by the caller's promise.
        unsafe {
            frame.store(ETHERNET, words[0]);
            frame.store(ETHERNET + 4, words[1]);
            frame.store(ETHERNET + 8, words[2]);
            frame.store(ETHERNET + 10, !csum::fold(sum));
            frame.store(ETHERNET + 12, dst);
            frame.store(ETHERNET + 16, src);
        }
        addresses
    }

    #[inline(always)]
    unsafe fn keys(scratch: *mut Scratch) -> *mut Keys<Self::Addr> {
        // SAFETY: by the caller's promise.
        unsafe { &raw mut (*scratch).keys4 }
    }
}
