//! Addresses as the data path keeps them.

/// An address of either family as flow entries hold it, in network byte order.
///
/// Implemented for `u32` (IPv4) and `[u64; 2]` (IPv6), and for nothing else. IPv6 is two words of 64 bits and
/// not four of 32 because the BPF machine has few registers and spills each as 64 bits.
pub trait Address: Copy + Eq + private::Sealed {
    /// The address in words of 64 bits, low word first; the second is zero for IPv4.
    fn words(self) -> (u64, u64);

    /// The ones'-complement sum of the address's 16-bit words, not folded.
    fn sum(self) -> u64;
}

mod private {
    pub trait Sealed {}
    impl Sealed for u32 {}
    impl Sealed for [u64; 2] {}
}

impl Address for u32 {
    #[inline(always)]
    fn words(self) -> (u64, u64) {
        (self as u64, 0)
    }

    #[inline(always)]
    fn sum(self) -> u64 {
        self as u64
    }
}

impl Address for [u64; 2] {
    #[inline(always)]
    fn words(self) -> (u64, u64) {
        (self[0], self[1])
    }

    #[inline(always)]
    fn sum(self) -> u64 {
        const LOW: u64 = 0xffff_ffff;
        (self[0] & LOW) + (self[0] >> 32) + (self[1] & LOW) + (self[1] >> 32)
    }
}

/// An IPv6 address as map keys hold it.
#[inline(always)]
pub const fn narrow(v6: [u64; 2]) -> [u32; 4] {
    [
        v6[0] as u32,
        (v6[0] >> 32) as u32,
        v6[1] as u32,
        (v6[1] >> 32) as u32,
    ]
}

/// An IPv6 address as flow entries hold it.
#[inline(always)]
pub const fn widen(addr: [u32; 4]) -> [u64; 2] {
    [
        addr[0] as u64 | (addr[1] as u64) << 32,
        addr[2] as u64 | (addr[3] as u64) << 32,
    ]
}

/// An IPv4 address as map keys hold it: IPv4-mapped IPv6 (RFC 4291, section 2.5.5.2).
#[inline(always)]
pub const fn mapped(v4: u32) -> [u32; 4] {
    [0, 0, 0xffff_u32.to_be(), v4]
}

/// The IPv4 address inside an IPv4-mapped one, if it is one.
pub const fn unmapped(addr: [u32; 4]) -> Option<u32> {
    if addr[0] == 0 && addr[1] == 0 && addr[2] == 0xffff_u32.to_be() {
        Some(addr[3])
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
