//! Slices of a flat array that a program reads while the agent changes it.
//!
//! A slice is never changed in place. What is to replace it is written to a free slice; then one
//! write switches readers over; then the old one rests for a while, because a reader may have read
//! where the slice is and not yet what is in it. Only after that is its room used again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a slice rests. Readers need microseconds; a virtual machine may be stopped in the
/// middle of one for much longer.
pub const GRACE: Duration = Duration::from_secs(1);

/// A part of the array. Whoever holds it may write to it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
#[must_use = "a slice that is dropped and not freed is lost"]
pub struct Slice {
    base: u32,
    len: u32,
}

impl Slice {
    /// Index of its first entry.
    pub const fn base(&self) -> u32 {
        self.base
    }

    /// Number of entries.
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Which parts of an array are free, in use, or resting.
#[derive(Debug)]
pub struct Slices {
    /// Free runs, base to length; never adjacent, never empty.
    free: BTreeMap<u32, u32>,
    resting: Vec<(Instant, Slice)>,
}

impl Slices {
    /// All of an array of `len` entries, free.
    pub fn new(len: u32) -> Self {
        Self {
            free: (len > 0).then_some((0, len)).into_iter().collect(),
            resting: Vec::new(),
        }
    }

    /// A slice of `len` entries, the tightest fit; `None` if no free run is that long.
    pub fn allocate(&mut self, len: u32) -> Option<Slice> {
        if len == 0 {
            return Some(Slice { base: 0, len: 0 });
        }
        let (&base, &run) = self
            .free
            .iter()
            .filter(|(_, run)| **run >= len)
            .min_by_key(|(_, run)| **run)?;
        self.free.remove(&base);
        if run > len {
            self.free.insert(base + len, run - len);
        }
        Some(Slice { base, len })
    }

    /// Gives back a slice that no reader has ever been shown.
    pub fn free(&mut self, slice: Slice) {
        let Slice { mut base, mut len } = slice;
        if len == 0 {
            return;
        }
        if let Some((&before, &run)) = self.free.range(..base).next_back()
            && before + run == base
        {
            self.free.remove(&before);
            base = before;
            len += run;
        }
        if let Some(run) = self.free.remove(&(base + len)) {
            len += run;
        }
        self.free.insert(base, len);
    }

    /// Gives back a slice that readers were switched away from at `now`.
    pub fn free_after_grace(&mut self, slice: Slice, now: Instant) {
        if !slice.is_empty() {
            self.resting.push((now + GRACE, slice));
        }
    }

    /// Frees what has rested long enough. Returns the bases of the slices freed.
    pub fn settle(&mut self, now: Instant) -> Vec<u32> {
        let mut freed = Vec::new();
        for (until, slice) in std::mem::take(&mut self.resting) {
            if until <= now {
                freed.push(slice.base);
                self.free(slice);
            } else {
                self.resting.push((until, slice));
            }
        }
        freed
    }

    /// When [`Self::settle`] has something to do next.
    pub fn next_settling(&self) -> Option<Instant> {
        self.resting.iter().map(|(until, _)| *until).min()
    }

    /// Entries free now.
    pub fn available(&self) -> u32 {
        self.free.values().sum()
    }
}
