//! A processor's working memory: what is too large for the stack, or cannot be passed to a global
//! function.

use lb_common::flow::FlowKey;
use lb_common::limit::Limit;
use lb_common::table::Notes;

use crate::maps::SCRATCH;
use crate::search::Best;

/// One a processor: XDP programs do not interrupt each other there.
#[repr(C)]
pub(crate) struct Scratch {
    pub(crate) keys4: Keys<u32>,
    pub(crate) keys6: Keys<[u64; 2]>,
    /// Of the segment that opens a flow: its flags,
    pub(crate) flags: u32,
    /// its sequence number,
    pub(crate) seq: u32,
    /// where it came from,
    pub(crate) origin: [u32; 2],
    /// the servers that it left because they did not answer ([`lb_common::flow::Tried`], and one
    /// more; zero for none),
    pub(crate) tried: u32,
    pub(crate) left: u16,
    /// and the one chosen for it.
    pub(crate) member: u16,
    pub(crate) real: u16,
    /// The service it is for; zero until that is known.
    pub(crate) service: u16,
    pub(crate) best: Best,
    /// The limit of that service.
    pub(crate) limit: Limit,
    /// The search for a place in the table of sources: the smallest debt so far,
    pub(crate) least_debt: u64,
    /// and whose it is.
    pub(crate) least_place: u64,
    pub(crate) notes: Notes,
    /// 1: the segment passed the challenge, and is not to be challenged again.
    pub(crate) admitted: u32,
    /// Tick of this processor's last challenge (zero: there was none),
    pub(crate) challenged: u32,
    /// the second (1.07 s) in which it last let a repeated SYN pass,
    pub(crate) repeat_second: u32,
    /// and how many in that.
    pub(crate) repeats: u32,
}

/// The keys of one family.
#[repr(C)]
pub(crate) struct Keys<A> {
    /// The segment's.
    pub(crate) segment: FlowKey<A>,
    /// The one to look for, or to claim, next.
    pub(crate) probe: FlowKey<A>,
}

/// This processor's scratch. There always is one.
#[inline(always)]
pub(crate) fn scratch() -> Option<*mut Scratch> {
    SCRATCH.get_ptr_mut(0)
}
