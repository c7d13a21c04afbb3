//! The program that forgets idle flows.
//!
//! The agent runs it with BPF_PROG_TEST_RUN, each run a few buckets further. As a BPF program it
//! cannot be killed between a release and its counts, which an agent that did the same through its
//! mapping of the table could.

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use lb_common::flow::BUCKET_SLOTS;
use lb_common::table::{self, Expiry, SWEEP_BUCKETS, Sweep};

use crate::family::{Family, Table, V4, V6};
use crate::flow::now;
use crate::maps::SWEEP;

/// One run: [`SWEEP_BUCKETS`] buckets of each table.
#[xdp]
fn lb_expire(_ctx: XdpContext) -> u32 {
    let Some(sweep) = SWEEP.get_ptr_mut(0) else {
        return xdp_action::XDP_ABORTED;
    };
    // SAFETY: a map value. Two sweeps at once would only do some work twice.
    unsafe {
        (*sweep).next4 = run::<V4>(sweep, (*sweep).next4, 0);
        (*sweep).next6 = run::<V6>(sweep, (*sweep).next6, 1);
    }
    xdp_action::XDP_PASS
}

/// Looks at buckets from `next` on; gives where to go on.
#[inline(always)]
fn run<F: Family>(sweep: *mut Sweep, next: u32, table: usize) -> u32 {
    let now = now();
    let mut next = next;
    let mut i = 0;
    while i < SWEEP_BUCKETS {
        i += 1;
        if next >= F::buckets() {
            next = 0;
            // SAFETY: a map value.
            unsafe {
                (*sweep).used[table] = (*sweep).counting[table];
                (*sweep).counting[table] = 0;
            }
        }
        let found = (F::CALLS.expire)(next, now);
        // SAFETY: a map value.
        unsafe {
            (*sweep).counting[table] += found & 0xff;
            (*sweep).expired += (found >> 8 & 0xff) as u64;
            (*sweep).orphans += (found >> 16) as u64;
        }
        next += 1;
    }
    next
}

/// Goes through one bucket: slots in use | expired << 8 | orphans << 16.
#[inline(always)]
pub(crate) fn bucket<F: Family>(bucket: u32, now: u32) -> u32 {
    let mut result = 0;
    let mut i = 0;
    while i < BUCKET_SLOTS {
        result += (F::CALLS.expire_slot)(bucket * BUCKET_SLOTS + i, now);
        i += 1;
    }
    result
}

/// Looks at one slot: as [`bucket`], for itself alone. Out of line, or Linux 6.1's verifier walks
/// every way through one slot after every way through those before it.
#[inline(always)]
pub(crate) fn slot<F: Family>(index: u32, now: u32) -> u32 {
    match table::expire(&Table::<F>::NEW, index, now) {
        Expiry::Free => 0,
        Expiry::Kept => 1,
        Expiry::Expired => 1 << 8,
        Expiry::Orphan => 1 << 16,
    }
}
