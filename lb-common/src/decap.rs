//! `lb decap`: what its program and the process that attaches it both see.
//!
//! The program is an object of its own, with maps of its own: servers need nothing else of lb.

/// The program.
pub const PROGRAM: &str = "lb_decap";

/// Trie of [`PrefixKey`] data to `u32`: the addresses of this host. Tunnels that end elsewhere are
/// not touched.
pub const HERE: &str = "HERE";
/// Trie likewise: the addresses that tunnelled packets may be for.
pub const INSIDE: &str = "INSIDE";
/// Trie likewise: the addresses that tunnels may come from, if [`FROM_ANYWHERE`] is 0.
pub const FROM: &str = "FROM";
/// Most prefixes of each.
pub const PREFIXES_MAX: u32 = 4_096;

/// Per-processor array of `u64`: packets by [`Fate`].
pub const FATES: &str = "FATES";

/// Global `u32`: 1 if tunnels may come from any address.
pub const FROM_ANYWHERE: &str = "FROM_ANYWHERE";

/// An address as the tries hold it, in network order, IPv4 as IPv4-mapped
/// ([`crate::addr::mapped`]): a prefix of `n` bits of IPv4 has a length of `96 + n`.
pub type PrefixKey = [u32; 4];

macro_rules! fates {
    ($($(#[$doc:meta])* $variant:ident = $value:literal, $word:literal, $text:literal;)*) => {
        /// What became of a packet. What is not counted was no tunnel, and is the stack's.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Fate {
            $(#[doc = $text] $(#[$doc])* $variant = $value,)*
        }

        impl Fate {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word for it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// One sentence.
            pub const fn describe(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

fates! {
    Ipip = 0, "ipip", "taken out of an IP tunnel";
    Gue = 1, "gue", "taken out of a UDP tunnel (GUE)";
    ForOthers = 2, "for_others", "left to the stack: a tunnel that does not end here, or holds a packet for somebody else";
    Unusual = 3, "unusual", "left to the stack: a tunnel packet in fragments, with IP options, or with GUE fields";
    Refused = 4, "refused", "dropped: a tunnel from an address that --from does not name";
    Malformed = 5, "malformed", "dropped: lengths, versions or the outer checksum contradict each other";
    Congestion = 6, "congestion", "dropped: marked as having met congestion, and its sender understands no mark (RFC 6040)";
}

/// Counters in [`FATES`].
pub const FATE_COUNTERS: u32 = Fate::ALL.len() as u32;

impl Fate {
    /// Whether the packet goes no further.
    #[inline(always)]
    pub const fn drops(self) -> bool {
        matches!(self, Self::Refused | Self::Malformed | Self::Congestion)
    }
}
