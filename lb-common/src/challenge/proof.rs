//! Sources that have proved themselves.

use crate::time;

/// Proofs that one source's hash may stand among: a cache line.
pub const PROOFS: u32 = 8;

/// Units of 2^10 ticks (1.07 s) for which a proof is good: a little over a minute.
const LIFETIME: u16 = 60;
/// The unit as a shift.
const UNIT: u32 = 10;

/// Connections that one proof is good for.
///
/// A cookie can be guessed: one forged RST in 2^31 passes. Whoever sends ten million a second proves
/// one spoofed address every four minutes, and this many connections are what it is worth. A real
/// client that opens more in a minute is challenged anew, and loses some milliseconds.
const CREDIT: u16 = 4_096;

/// One place in the table of proofs: `tag (32) | time (16) | connections left (16)`; zero is none.
///
/// The tag is the low half of [`super::source`], whose high half says which eight places to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Proof(pub u64);

impl Proof {
    /// A proof made now.
    #[inline(always)]
    pub const fn new(source: u64, now: u32) -> Self {
        Self(source << 32 | (((now >> UNIT) & 0xffff) as u64) << 16 | CREDIT as u64)
    }

    /// Whether it is this source's, good or not.
    #[inline(always)]
    pub const fn is_of(self, source: u64) -> bool {
        self.0 != 0 && (self.0 >> 32) as u32 == source as u32
    }

    /// The same proof after one more connection; `None` if it is not good for one.
    #[inline(always)]
    pub const fn spend(self, now: u32) -> Option<Self> {
        if self.0 & 0xffff == 0 || self.age(now) > LIFETIME {
            None
        } else {
            Some(Self(self.0 - 1))
        }
    }

    /// Time since it was made, in units of 1.07 s.
    #[inline(always)]
    const fn age(self, now: u32) -> u16 {
        ((now >> UNIT) as u16).wrapping_sub((self.0 >> 16) as u16)
    }

    /// How fit its place is for a new proof of `source`: the source's own before an empty one,
    /// before the oldest.
    #[inline(always)]
    const fn spare(self, source: u64, now: u32) -> u32 {
        if self.is_of(source) {
            u32::MAX
        } else if self.0 == 0 {
            u32::MAX - 1
        } else {
            self.age(now) as u32
        }
    }
}

/// The better place of two for a new proof of `source`: `true` for the second.
#[inline(always)]
pub const fn choose(first: Proof, second: Proof, source: u64, now: u32) -> bool {
    second.spare(source, now) > first.spare(source, now)
}

const _: () = assert!((LIFETIME as u32) << UNIT < time::ticks(70));
