//! Ids by which the maps know servers, members and services.

use std::fmt;
use std::num::NonZeroU16;

use lb_common::map::{GAUGES_MAX, MEMBERS_MAX, REALS_MAX, SERVICE_IDS_MAX};

/// An id: from 1, as 0 means none in the maps, to below [`Id::END`].
pub trait Id: Copy + Ord + fmt::Display {
    /// What it is an id of.
    const KIND: &'static str;
    /// One more than the largest.
    const END: u16;

    /// The id with this number; `None` for 0 and from [`Id::END`] on.
    fn new(number: u16) -> Option<Self>;

    /// The number.
    fn number(self) -> u16;
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $end:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(NonZeroU16);

        impl Id for $name {
            const KIND: &'static str = $kind;
            const END: u16 = $end as u16;

            fn new(number: u16) -> Option<Self> {
                NonZeroU16::new(number).filter(|n| n.get() < Self::END).map(Self)
            }

            fn number(self) -> u16 {
                self.0.get()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} {}", $kind, self.0)
            }
        }
    };
}

id!(
    /// A server: index of [`lb_common::map::REALS`].
    RealId, "real", REALS_MAX
);
id!(
    /// A server as one service uses it: index of [`lb_common::map::MEMBERS`].
    MemberId, "member", MEMBERS_MAX
);
id!(
    /// A count of active flows, of a server or of a service: index of [`lb_common::map::GAUGES`].
    GaugeId, "gauge", GAUGES_MAX
);
id!(
    /// A service: index of [`lb_common::map::TURNS`].
    ServiceId, "service", SERVICE_IDS_MAX
);
