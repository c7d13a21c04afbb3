//! Who may open a flow: an access list as a trie over the client's address.
//!
//! A list is a slice of [`crate::map::ACCESS`]: its first node is the root, and nodes name each
//! other by their distance from it, so that a list means the same wherever it lies. A slice is never
//! changed while a service refers to it ([`crate::service::Service::access`]): what takes its place
//! is written elsewhere, and one write of the service switches over.
//!
//! Each node decides over six bits of the address. As there are only two answers, a node is two
//! 64-bit sets, and it takes no more than half a cache line; a list of one prefix is one node, one of
//! 100,000 prefixes some 100,000, and the look-up goes through two to five of them: the first levels
//! of a large list are few nodes, which stay in the caches.

/// Value of [`crate::map::ACCESS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Node {
    /// Bit n: for addresses whose six bits are n a child decides.
    pub children: u64,
    /// Bit n: addresses whose six bits are n are admitted; without meaning where a child decides.
    pub admitted: u64,
    /// What the bits before the six are, for all that lies below this node: a number of `skip` bits.
    pub path: u64,
    /// The first child's distance from the root. The others follow it in the order of their bits.
    pub first_child: u32,
    /// How many bits to compare with `path` before the six: 0 to 63.
    pub skip: u8,
    /// 1: addresses that leave the path are admitted.
    pub beside: u8,
    /// Always zero.
    pub zero: u16,
}

/// Bits that one node decides over.
pub const STRIDE: u32 = 6;

/// Most nodes on the way through a list: what 128 bits take.
pub const DEPTH: u32 = 128_u32.div_ceil(STRIDE);

/// Whether a list admits an address; `None` if a node is missing.
///
/// The address is a number of 128 bits, most significant half first, so that its first bit is the
/// highest; an IPv4 address fills the highest 32 of them. `node` gives the node at a distance from
/// the root.
#[inline(always)]
pub fn admits<'n>(high: u64, low: u64, node: impl Fn(u32) -> Option<&'n Node>) -> Option<bool> {
    let (mut high, mut low) = (high, low);
    let mut index = 0;
    let mut depth = 0;
    while depth < DEPTH {
        depth += 1;
        let node = node(index)?;
        let skip = node.skip as u32;
        if skip != 0 {
            if high.wrapping_shr(64 - skip) != node.path {
                return Some(node.beside != 0);
            }
            (high, low) = shifted(high, low, skip);
        }
        let bit = 1 << (high >> (64 - STRIDE));
        if node.children & bit == 0 {
            return Some(node.admitted & bit != 0);
        }
        index = node.first_child + (node.children & (bit - 1)).count_ones();
        (high, low) = shifted(high, low, STRIDE);
    }
    None
}

/// The address without its first `bits` bits: 1 to 63.
#[inline(always)]
const fn shifted(high: u64, low: u64, bits: u32) -> (u64, u64) {
    (
        high.wrapping_shl(bits) | low.wrapping_shr(64 - bits),
        low.wrapping_shl(bits),
    )
}

const _: () = assert!(size_of::<Node>() == 32);

// SAFETY: `repr(C)`, integers only, and the size assert above leaves no padding.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Node {}
