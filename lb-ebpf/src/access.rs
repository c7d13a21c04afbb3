//! Stage 4, who may open a flow: the service's access list. The list is `lb_common::access`.

use lb_common::access;
use lb_common::service::Service;
use lb_common::verdict::DropReason;

use crate::family::Family;
use crate::maps::ACCESS;
use crate::verdict::Outcome;

/// Refuses a client that the service's access list does not admit.
#[inline(always)]
pub(crate) fn check<F: Family>(service: &Service, client: F::Addr) -> Result<(), Outcome> {
    if service.access == 0 {
        return Ok(());
    }
    let (high, low) = F::bits(client);
    match admits(service.access - 1, high, low) {
        ADMITTED => Ok(()),
        DENIED => Err(DropReason::AccessDenied.into()),
        // Fails closed.
        _ => Err(DropReason::BadRing.into()),
    }
}

/// What [`admits`] gives; any other number: a node of the list is missing.
const ADMITTED: u32 = 1;
const DENIED: u32 = 0;

/// Looks an address up in the list with this root. Both families' lists are walked by it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn admits(root: u32, high: u64, low: u64) -> u32 {
    match access::admits(high, low, |index| ACCESS.get(root.wrapping_add(index))) {
        Some(admitted) => admitted as u32,
        None => 2,
    }
}
