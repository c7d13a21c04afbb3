//! Hashes with two purposes.
//!
//! [`flow`] places a flow in the table, [`source`] who opens it in another. They are keyed with random numbers, so that nobody outside can
//! aim many flows at one bucket. [`ring_tuple`] and [`ring_source`] choose a server; they are *not*
//! keyed, because two balancers with the same configuration must choose alike.

use crate::addr::Address;

/// The key of the flow table's hash: kept with the maps it was used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct HashKey {
    /// Mixed in by exclusive or.
    pub add: u64,
    /// Multiplied with; always odd.
    pub multiply: u64,
}

impl HashKey {
    /// A key made of two random numbers.
    pub const fn new(add: u64, multiply: u64) -> Self {
        Self {
            add,
            multiply: multiply | 1,
        }
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const MOREMUR: u64 = 0x3c79_ac49_2ba7_b653;

/// One round: multiply, then bring the well-mixed high bits down.
#[inline(always)]
const fn round(h: u64, k: u64) -> u64 {
    let h = h.wrapping_mul(k);
    h ^ (h >> 32)
}

/// The hash that places a flow in the table. `ports` is source and destination port as they stand
/// in the packet, `protocol` the IP protocol number.
#[inline(always)]
pub fn flow<A: Address>(key: HashKey, src: A, dst: A, ports: u32, protocol: u8) -> u64 {
    let (s0, s1) = src.words();
    let (d0, d1) = dst.words();
    let mut h = key.add;
    if core::mem::size_of::<A>() == 4 {
        h = round(h ^ (s0 | d0 << 32), key.multiply);
    } else {
        h = round(h ^ s0, key.multiply);
        h = round(h ^ s1, GOLDEN);
        h = round(h ^ d0, key.multiply);
        h = round(h ^ d1, GOLDEN);
    }
    h = round(h ^ (ports as u64 | (protocol as u64) << 32), key.multiply);
    round(h, MOREMUR)
}

/// The hash that picks a ring slot from a connection's whole tuple.
#[inline(always)]
pub fn ring_tuple<A: Address>(src: A, dst: A, ports: u32, protocol: u8) -> u32 {
    let key = HashKey::new(0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345);
    (flow(key, src, dst, ports, protocol) >> 32) as u32
}

/// The hash that picks a ring slot from the client's address alone.
#[inline(always)]
pub fn ring_source<A: Address>(src: A) -> u32 {
    let (s0, s1) = src.words();
    let h = round(0xa409_3822_299f_31d1 ^ s0, GOLDEN);
    (round(round(h ^ s1, MOREMUR), GOLDEN) >> 32) as u32
}

/// The hash that places a source in the table of sources, as one service sees it. Keyed like
/// [`flow`]: nobody can aim sources at the bucket of another.
#[inline(always)]
pub const fn source(key: HashKey, address: u64, service: u32) -> u64 {
    let h = round(key.add ^ address, key.multiply);
    let h = round(h ^ service as u64, GOLDEN);
    round(h, key.multiply)
}

/// `hash` spread over `0..count`, without the bias and the cost of a remainder.
/// A full 32-bit `hash` is wanted; `count` zero gives zero.
#[inline(always)]
pub const fn reduce(hash: u32, count: u32) -> u32 {
    ((hash as u64 * count as u64) >> 32) as u32
}

#[cfg(test)]
mod tests;
