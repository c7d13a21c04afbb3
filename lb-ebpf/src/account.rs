//! What has come of each flow: since when, how many packets, how many bytes.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use lb_common::event::{Account, Traffic};
use lb_common::tcp;

use crate::family::Family;
use crate::flow::add;
use crate::maps::accounting;
use crate::parse::Segment;

/// Begins the accounts of a new flow, whose entries nobody else sees yet.
#[inline(always)]
pub(crate) fn begin<F: Family>(forward: u32, reply: u32) {
    let exact = accounting();
    if let Some(start) = F::start(forward) {
        // SAFETY: the helpers have no preconditions; a map value.
        unsafe {
            *start = if exact {
                bpf_ktime_get_ns()
            } else {
                bpf_ktime_get_coarse_ns()
            };
        }
    }
    if exact {
        clear::<F>(forward);
        clear::<F>(reply);
    }
}

#[inline(always)]
fn clear<F: Family>(index: u32) {
    if let Some(account) = F::account(index) {
        // SAFETY: a map value.
        unsafe { *account = Account::default() };
    }
}

/// Counts the segment for the entry at `index`, whose direction it goes.
///
/// Bytes are a position in the stream rather than a sum: should two processors have segments of one
/// direction at the same moment, the next segment puts right what they overwrote.
#[inline(always)]
pub(crate) fn count<F: Family>(index: u32, segment: &Segment<F>) {
    if !accounting() {
        return;
    }
    let Some(account) = F::account(index) else {
        return;
    };
    // SAFETY: a map value.
    unsafe {
        add(&raw mut (*account).traffic.packets, 1);
        if segment.flags & tcp::RST != 0 {
            return;
        }
        let syn = (segment.flags & tcp::SYN != 0) as u32;
        if (*account).begun == 0 {
            (*account).base = segment.seq.wrapping_add(syn);
            (*account).begun = 1;
        }
        let bytes = (*account).traffic.bytes;
        let position = (*account).base.wrapping_add(bytes as u32);
        let next = tcp::advance(position, segment.end.wrapping_add(syn));
        if next != position {
            (*account).traffic.bytes = bytes + next.wrapping_sub(position) as u64;
        }
    }
}

/// What has come in the direction of the entry at `index`.
#[inline(always)]
pub(crate) fn traffic<F: Family>(index: u32) -> Traffic {
    if !accounting() {
        return Traffic::default();
    }
    match F::account(index) {
        // SAFETY: a map value.
        Some(account) => unsafe { (*account).traffic },
        None => Traffic::default(),
    }
}
