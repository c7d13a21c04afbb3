//! Streams of bytes that both ends can compute, to compare what arrives with what was sent.

use std::fmt;

/// A pseudo-random stream of bytes: a function of the seed and the position, so a byte that is
/// lost, doubled, swapped or altered is found where it happens.
#[derive(Clone, Debug)]
pub struct Pattern {
    seed: u64,
    position: u64,
    expected: Vec<u8>,
}

/// The first byte that is not as expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Its position in the stream.
    pub position: u64,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {} is wrong", self.position)
    }
}

impl Pattern {
    /// The stream of `seed`, from its first byte.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            position: 0,
            expected: Vec::new(),
        }
    }

    /// How many bytes were written or checked.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Writes the stream's next bytes to `buffer`.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        let mut rest = buffer;
        while !rest.is_empty() {
            let skip = (self.position % 8) as usize;
            let word = self.word(self.position / 8);
            if skip == 0
                && let Some((head, _)) = rest.split_first_chunk_mut::<8>()
            {
                *head = word;
                rest = &mut rest[8..];
                self.position += 8;
            } else {
                let count = rest.len().min(8 - skip);
                rest[..count].copy_from_slice(&word[skip..skip + count]);
                rest = &mut rest[count..];
                self.position += count as u64;
            }
        }
    }

    /// Compares `received` with the stream's next bytes.
    pub fn check(&mut self, received: &[u8]) -> Result<(), Mismatch> {
        let start = self.position;
        let mut expected = std::mem::take(&mut self.expected);
        expected.resize(received.len(), 0);
        self.fill(&mut expected);
        let result = if expected == received {
            Ok(())
        } else {
            let offset = expected
                .iter()
                .zip(received)
                .take_while(|(a, b)| a == b)
                .count();
            Err(Mismatch {
                position: start + offset as u64,
            })
        };
        self.expected = expected;
        result
    }

    /// Eight bytes of the stream (SplitMix64 by index).
    fn word(&self, index: u64) -> [u8; 8] {
        let z = self
            .seed
            .wrapping_add(index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_same_stream_as_the_whole() {
        let mut whole = vec![0; 1000];
        Pattern::new(7).fill(&mut whole);
        let mut pieces = Pattern::new(7);
        let mut rest = &whole[..];
        for length in [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 15] {
            let (piece, next) = rest.split_at(length);
            assert_eq!(pieces.check(piece), Ok(()));
            rest = next;
        }
        assert_eq!(pieces.position(), 1000);
    }

    #[test]
    fn one_changed_byte_is_found() {
        let mut bytes = vec![0; 100];
        Pattern::new(7).fill(&mut bytes);
        bytes[77] ^= 1;
        let mut pattern = Pattern::new(7);
        assert_eq!(pattern.check(&bytes[..50]), Ok(()));
        assert_eq!(pattern.check(&bytes[50..]), Err(Mismatch { position: 77 }));
    }

    #[test]
    fn another_seed_makes_another_stream() {
        let mut bytes = [0; 8];
        Pattern::new(7).fill(&mut bytes);
        assert!(Pattern::new(8).check(&bytes).is_err());
    }
}
