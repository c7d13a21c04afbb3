//! Rings: the order in which a service's servers take new flows.
//!
//! A ring is a list of member ids. The data path picks an index into it, by turn or by hash
//! ([`lb_common::service::Pick`]); everything that weighs servers against each other happens here,
//! once a change, and not a packet. All of it is pure and deterministic: the same members give the
//! same ring on every balancer, in whatever order they are named.

pub mod maglev;
pub mod slices;
pub mod smooth;

use std::net::{IpAddr, SocketAddr};

pub use maglev::maglev;
pub use slices::{Slice, Slices};
pub use smooth::smooth_round_robin;

/// One server's part in a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share<T> {
    /// Who: decides where in the ring the server stands. Must not depend on anything that two
    /// balancers with the same configuration do not share.
    pub identity: Identity,
    /// How much, relative to the others. Zero: nothing.
    pub weight: u16,
    /// What its slots of the ring hold.
    pub value: T,
}

/// A stable hash of who a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(u64);

impl Identity {
    /// The identity of the server at `address`: names may differ between balancers, addresses do
    /// not.
    pub fn of(address: SocketAddr) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let ip = ip.to_bits();
        let high = mix((ip >> 64) as u64);
        let low = mix(high ^ ip as u64);
        Self(mix(low ^ u64::from(address.port())))
    }

    /// A number of its own for each `purpose`.
    fn derive(self, purpose: u64) -> u64 {
        mix(self.0 ^ mix(purpose))
    }
}

/// The finalizer of SplitMix64: every bit of the result depends on every bit of `h`.
///
/// Two balancers must agree on it, so it is written out here and not left to a library's version.
const fn mix(h: u64) -> u64 {
    let h = h.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    h ^ (h >> 31)
}

/// The shares that have any weight, in an order that does not depend on the caller's.
fn ordered<T: Copy + Ord>(shares: &[Share<T>]) -> Vec<Share<T>> {
    let mut shares: Vec<_> = shares.iter().copied().filter(|s| s.weight > 0).collect();
    shares.sort_by_key(|s| (s.identity, s.value));
    shares
}

#[cfg(test)]
mod tests;
