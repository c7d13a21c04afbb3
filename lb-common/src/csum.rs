//! Internet checksums (RFC 1071) and their incremental update (RFC 1624).
//!
//! The sum is the same whichever byte order the words are read in, as long as it is one order; all
//! words here are read from the packet natively.

/// Folds a sum of 16- or 32-bit words to 16 bits.
#[inline(always)]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// The correction that replaces words of sum `old` by words of sum `new`: `~m + m'` of RFC 1624,
/// equation 3. Both sums may be unfolded.
#[inline(always)]
pub const fn delta(old: u64, new: u64) -> u16 {
    fold(!fold(old) as u64 + fold(new) as u64)
}

/// Two corrections as one.
#[inline(always)]
pub const fn combine(a: u16, b: u16) -> u16 {
    fold(a as u64 + b as u64)
}

/// `check` as it is after a correction: `HC' = ~(~HC + ~m + m')`.
#[inline(always)]
pub const fn update(check: u16, delta: u16) -> u16 {
    let sum = !check as u32 as u16 as u32 + delta as u32;
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// Sum of `bytes` as 16-bit words in native order, an odd last byte padded with zero (RFC 1071,
/// section 1). Not folded; for the agent and tests, never for the packet path.
pub fn sum(bytes: &[u8]) -> u64 {
    let mut sum = 0;
    let (pairs, rest) = bytes.as_chunks::<2>();
    for pair in pairs {
        sum += u16::from_ne_bytes(*pair) as u64;
    }
    if let [last] = rest {
        sum += u16::from_ne_bytes([*last, 0]) as u64;
    }
    sum
}

/// Sum of the pseudo-header (RFC 9293, section 3.1; RFC 8200, section 8.1): addresses as bytes,
/// `protocol`, and the length of the transport header and its data.
pub fn pseudo_header(src: &[u8], dst: &[u8], protocol: u8, length: u32) -> u64 {
    sum(src) + sum(dst) + sum(&[0, protocol]) + sum(&length.to_be_bytes())
}

#[cfg(test)]
mod tests;
