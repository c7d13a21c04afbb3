//! How much of a table, or of a server's source ports, connections hold whose clients have not
//! proved themselves; and from how much on that is a flood.

/// Flows that share something scarce: a table's entries, or the source ports towards a server.
/// Shared by all processors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Load {
    /// Open TCP flows ([`crate::flow::State::is_open`]): what they hold is theirs.
    pub open: u64,
    /// TCP flows whose client has not proved that it is there
    /// ([`crate::flow::State::is_unproved`]): they may have to go.
    pub unproved: u64,
}

/// The share that unproved flows may have of what open ones leave: one part in so many.
const SHARE: u64 = 4;

/// As many unproved flows as this are never a flood, however little room there is.
const FEW: u64 = 32;

impl Load {
    /// Whether clients must prove themselves before they get one of `capacity` places.
    ///
    /// Up to a quarter of the room that open flows leave is anybody's. Then the oldest unproved
    /// flow, which goes first, has been there for as long as it takes to fill three quarters: no
    /// client whose answer is on its way loses its place to a flood. Nothing needs to be remembered
    /// about a flood, and nothing about its end: unproved flows time out
    /// ([`crate::flow::State::timeout`]), and places below the quarter are anybody's again.
    #[inline(always)]
    pub const fn pressed(self, capacity: u64) -> bool {
        // Counts are read while others change them: a moment's negative count is large.
        if (self.unproved as i64) < FEW as i64 {
            return false;
        }
        let room = capacity.saturating_sub(self.open);
        self.unproved.saturating_mul(SHARE) >= room
    }
}

/// Flows that a table of so many buckets is made for: two entries each, in seven of eight slots.
#[inline(always)]
pub const fn table_capacity(buckets: u32) -> u64 {
    buckets as u64 * crate::flow::BUCKET_SLOTS as u64 * 7 / 16
}

#[cfg(feature = "user")]
// SAFETY: `repr(C)`, integers only, no padding.
unsafe impl aya::Pod for Load {}

#[cfg(test)]
mod tests {
    use super::{FEW, Load, table_capacity};

    #[test]
    fn a_quarter_of_the_room() {
        let load = |open, unproved| Load { open, unproved };
        assert!(!load(0, 249).pressed(1_000));
        assert!(load(0, 250).pressed(1_000));
        // Open flows leave less.
        assert!(!load(600, 99).pressed(1_000));
        assert!(load(600, 100).pressed(1_000));
        // None at all, or less than none.
        assert!(load(1_000, FEW).pressed(1_000));
        assert!(load(1_100, FEW).pressed(1_000));
    }

    #[test]
    fn a_few_are_no_flood() {
        for capacity in [0, 1, 100] {
            let unproved = FEW - 1;
            assert!(!Load { open: 0, unproved }.pressed(capacity));
        }
    }

    #[test]
    fn a_count_caught_in_a_change_is_no_flood() {
        let unproved = 0_u64.wrapping_sub(3);
        assert!(!Load { open: 0, unproved }.pressed(1_000));
    }

    #[test]
    fn a_table_holds_what_it_was_made_for() {
        assert_eq!(table_capacity(32), 112);
        assert_eq!(table_capacity(299_594), 1_048_579);
    }
}
