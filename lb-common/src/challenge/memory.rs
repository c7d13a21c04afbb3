//! SYNs that were challenged a moment ago.

use crate::load::table_capacity;

/// The unit in which a SYN's age counts, as a shift of ticks: 268 ms.
const UNIT: u32 = 8;
/// Youngest age at which the same SYN is a repetition: a client's first timeout is a second (RFC
/// 6298, section 2.1), and what comes at once is a flood's.
const YOUNGEST: u8 = 3;
/// Oldest: three doublings of the timeout.
const OLDEST: u8 = 30;

/// One place in the memory of SYNs: `fingerprint (24) | time (8)`; zero is none.
///
/// A SYN has one place, by its hash, and the latest to come there has it: under a flood the memory
/// forgets, and does not take one SYN for another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Memory(pub u32);

/// What the memory says of a SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing: remember this.
    New(Memory),
    /// It was here, and this is not the time at which a client repeats it.
    Known,
    /// It was here, and comes again as a client's does.
    Again,
}

impl Memory {
    /// What this place says of the SYN with this hash ([`super::syn`]; its high half says which
    /// place).
    #[inline(always)]
    pub const fn look(self, syn: u64, now: u32) -> Seen {
        let new = Self((syn as u32) << 8 | ((now >> UNIT) & 0xff));
        if self.0 == 0 || self.0 >> 8 != new.0 >> 8 {
            return Seen::New(new);
        }
        let age = (new.0 as u8).wrapping_sub(self.0 as u8);
        if age < YOUNGEST {
            Seen::Known
        } else if age <= OLDEST {
            Seen::Again
        } else {
            Seen::New(new)
        }
    }
}

/// Repeated SYNs that a processor lets pass in 1.07 s, for a table of so many buckets and so many
/// processors. A flood that sends every SYN twice gets no further: in the 30 s that half-open flows
/// live, this fills less than half of the table.
#[inline(always)]
pub const fn repeats_allowed(buckets: u32, cpus: u32) -> u32 {
    const SECONDS: u64 = 64;
    const MOST: u64 = 4_096;
    let all = table_capacity(buckets) / SECONDS;
    let all = if all > MOST { MOST } else { all };
    match (all as u32).checked_div(cpus) {
        None | Some(0) => 1,
        Some(each) => each,
    }
}
