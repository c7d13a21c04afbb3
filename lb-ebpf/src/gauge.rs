//! Active flows of servers and services, and the limits on them.
//!
//! A place is taken before the flow that needs it is made, by an addition that tells what was there
//! before: of two processors that want a server's last place one gets it. What comes of the place is
//! the flow's ([`crate::flow::count`]) or given back.

use lb_common::service::Member;

use crate::flow::add;
use crate::maps::GAUGES;

/// What a gauge shows; zero for gauge 0, which counts nothing.
#[inline(always)]
pub(crate) fn read(gauge: u16) -> u64 {
    match GAUGES.get_ptr(gauge as u32) {
        // SAFETY: a map value; others add to it meanwhile.
        Some(value) => unsafe { value.read_volatile() },
        None => 0,
    }
}

/// Adds to a gauge; gauge 0 is none.
#[inline(always)]
pub(crate) fn change(gauge: u16, by: i64) {
    if gauge != 0
        && let Some(value) = GAUGES.get_ptr_mut(gauge as u32)
    {
        // SAFETY: a map value.
        unsafe { add(value, by as u64) };
    }
}

/// Takes a place under a limit (zero: there is none). `false`: all are taken.
#[inline(always)]
pub(crate) fn take(gauge: u16, limit: u32) -> bool {
    if gauge == 0 {
        return true;
    }
    let Some(value) = GAUGES.get_ptr_mut(gauge as u32) else {
        return true;
    };
    // SAFETY: a map value.
    let before = unsafe { add(value, 1) };
    if limit == 0 || before < limit as u64 {
        return true;
    }
    // SAFETY: as above.
    unsafe { add(value, u64::MAX) };
    false
}

/// Whether a server has no place left.
#[inline(always)]
pub(crate) fn full(member: &Member, flows: u64) -> bool {
    member.maxconn != 0 && flows >= member.maxconn as u64
}
