//! What IPv4 and IPv6 do differently.

use core::marker::PhantomData;

use lb_common::addr::Address;
use lb_common::event::Account;
use lb_common::flow::{Bucket, FlowKey, Word};
use lb_common::table::{self, Claim, Memory, Notes, Place, SlotRef};

use crate::frame::{ETHERNET, Frame};
use crate::outline::{self, Calls};
use crate::scratch::{Keys, Scratch, scratch};

mod v4;
mod v6;

pub(crate) use v4::V4;
pub(crate) use v6::V6;

const PROTOCOL_TCP: u8 = 6;

/// What a packet looks like to this program.
pub(crate) enum Shape {
    /// A whole TCP packet without IP options: `ip_length` bytes, header included.
    Tcp { ip_length: u32 },
    /// Contradicts itself.
    Malformed,
    /// Part of a datagram.
    Fragment,
    /// IPv4 options or IPv6 extension headers.
    Options,
    /// ICMP or ICMPv6.
    Icmp,
    /// Any other transport.
    Other,
}

/// An address family. Methods that read the frame want it to reach to [`Family::TRANSPORT`].
pub(crate) trait Family: Sized {
    /// An address in network order.
    type Addr: Address + Default;
    /// Bytes of the IP header without options.
    const IP_HEADER: usize;
    /// Where the transport header starts in the frame.
    const TRANSPORT: usize = ETHERNET + Self::IP_HEADER;
    /// 4 or 6.
    const NUMBER: u16;
    /// This family's index in arrays that have a value for each table.
    const TABLE: u32;
    /// The functions that are called and not inlined.
    const CALLS: Calls;

    fn shape(frame: &Frame) -> Shape;
    fn addresses(frame: &Frame) -> (Self::Addr, Self::Addr);
    fn mapped(addr: Self::Addr) -> [u32; 4];
    fn from_mapped(addr: [u32; 4]) -> Self::Addr;
    /// The address as a number of 128 bits whose first is the highest: an IPv4 address fills the
    /// first 32.
    fn bits(addr: Self::Addr) -> (u64, u64);
    /// Who is limited together: an IPv4 address, an IPv6 address's first 64 bits.
    fn source(addr: Self::Addr) -> u64;
    fn buckets() -> u32;
    fn bucket(index: u32) -> Option<*mut Bucket<Self::Addr>>;
    /// When the flow with its forward entry at `index` began.
    fn start(index: u32) -> Option<*mut u64>;
    /// The account of the entry at `index`.
    fn account(index: u32) -> Option<*mut Account>;
    /// Writes new addresses, takes one from the hop limit, and keeps the header checksum right,
    /// where there is one; `delta` is the correction for the addresses.
    ///
    /// # Safety
    /// The IP header is in the frame.
    unsafe fn rewrite_header(frame: &Frame, src: Self::Addr, dst: Self::Addr, delta: u16);
    /// The hop limit.
    fn hops(frame: &Frame) -> u8;
    /// Turns the IP header around for an answer of `length` transport bytes; gives the sum of the
    /// pseudo-header's addresses.
    ///
    /// # Safety
    /// The IP header is in the frame.
    unsafe fn turn_around(frame: &Frame, length: u16) -> u64;

    /// This family's fields of the scratch.
    ///
    /// # Safety
    /// `scratch` is a map value.
    unsafe fn keys(scratch: *mut Scratch) -> *mut Keys<Self::Addr>;
}

/// This family's flow table.
pub(crate) struct Table<F>(PhantomData<F>);

impl<F: Family> Table<F> {
    pub(crate) const NEW: Self = Self(PhantomData);

    /// The slot with this index.
    #[inline(always)]
    pub(crate) fn slot(index: u32) -> Option<SlotRef<F::Addr>> {
        table::slot(&Self::NEW, index)
    }
}

// SAFETY: map values live as long as the program.
unsafe impl<F: Family> Memory<F::Addr> for Table<F> {
    #[inline(always)]
    fn buckets(&self) -> u32 {
        F::buckets()
    }

    #[inline(always)]
    fn bucket(&self, index: u32) -> Option<*mut Bucket<F::Addr>> {
        F::bucket(index)
    }

    #[inline(always)]
    unsafe fn compare_exchange(&self, word: *mut u64, old: u64, new: u64) -> u64 {
        // SAFETY: by the caller's promise.
        unsafe { crate::flow::compare_exchange(word, old, new) }
    }

    #[inline(always)]
    fn count(&self, member: u16, flows: i64, active: i64, open: i64) {
        crate::flow::count(member, flows, active, open);
    }

    #[inline(always)]
    fn load(&self, real: u16, open: i64, unproved: i64) {
        (F::CALLS.load)(real as u32, open as i32, unproved as i32);
    }

    #[inline(always)]
    fn idle_timeout(&self, member: u16) -> u32 {
        crate::flow::idle_timeout(member)
    }

    #[inline(always)]
    fn forgotten(&self, index: u32, word: Word) {
        crate::report::forgotten::<F>(index, word);
    }

    #[inline(always)]
    fn notes(&self) -> Option<*mut Notes> {
        // SAFETY: this processor's map value.
        scratch().map(|scratch| unsafe { &raw mut (*scratch).notes })
    }

    // The key of every claim is the scratch's probe: there the function finds it.
    #[inline(always)]
    fn survey(&self, place: Place, _key: &FlowKey<F::Addr>, own: u32) -> Claim {
        outline::decode((F::CALLS.survey)(
            place.first,
            place.second,
            place.identity,
            own,
        ))
    }

    #[inline(always)]
    fn spare(&self, place: Place, now: u32) -> bool {
        (F::CALLS.spare)(place.first, place.second, now) != 0
    }

    #[inline(always)]
    fn consider(&self, index: u32, now: u32) {
        (F::CALLS.consider)(index, now);
    }
}
