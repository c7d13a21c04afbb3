//! SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash that tells nothing about its key, however
//! many hashes of chosen inputs somebody has seen.
//!
//! For what outsiders get to see, or must not be able to foretell. The flow table's hash
//! ([`crate::hash`]) is faster, and its values never leave the machine.

/// A key: random, and known to nobody else.
pub type Key = [u64; 2];

/// The hash of these words, as of their bytes in little-endian order.
#[inline(always)]
pub fn hash<const N: usize>(key: Key, words: [u64; N]) -> u64 {
    let mut v = [
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ];
    let mut i = 0;
    while i < N {
        absorb(&mut v, words[i]);
        i += 1;
    }
    absorb(&mut v, (N as u64 * 8) << 56);
    v[2] ^= 0xff;
    round(&mut v);
    round(&mut v);
    round(&mut v);
    round(&mut v);
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

#[inline(always)]
fn absorb(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    round(v);
    v[0] ^= word;
}

#[inline(always)]
fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::hash;

    /// From the appendix of the paper's reference implementation: key 00 01 .. 0f, message 00 01 ..
    #[test]
    fn reference_vectors() {
        let word = |from: u8| u64::from_le_bytes(core::array::from_fn(|i| from + i as u8));
        let key = [word(0), word(8)];
        assert_eq!(hash(key, []), 0x726f_db47_dd0e_0e31);
        assert_eq!(hash(key, [word(0)]), 0x93f5_f579_9a93_2462);
        assert_eq!(hash(key, [word(0), word(8)]), 0x3f2a_cc7f_57c2_9bdb);
    }

    #[test]
    #[expect(
        deprecated,
        reason = "the standard library's SipHash-2-4, to compare with"
    )]
    fn agrees_with_the_standard_library() {
        use core::hash::Hasher as _;
        let mut number = 1_u64;
        for _ in 0..1_000 {
            let mut random = || {
                number = number.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(11);
                number ^ number >> 29
            };
            let key = [random(), random()];
            let words = [random(), random(), random(), random(), random()];
            let mut theirs = std::hash::SipHasher::new_with_keys(key[0], key[1]);
            for word in words {
                theirs.write(&word.to_le_bytes());
            }
            assert_eq!(hash(key, words), theirs.finish());
        }
    }
}
