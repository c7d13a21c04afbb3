//! Handing out ids.

use std::collections::BTreeSet;
use std::marker::PhantomData;

use crate::dataplane::ids::Id;

/// The ids of one kind. A freed id comes up again only after all others had their turn, so that
/// whoever still shows an old one (a log, a metric) is not soon told something else by it.
#[derive(Debug)]
pub(super) struct IdPool<I> {
    used: BTreeSet<u16>,
    next: u16,
    /// One more than the largest.
    end: u16,
    kind: PhantomData<I>,
}

impl<I: Id> IdPool<I> {
    pub(super) const fn new() -> Self {
        Self::below(I::END)
    }

    /// Ids below `end`, or [`Id::END`] if that is less.
    pub(super) const fn below(end: u16) -> Self {
        Self {
            used: BTreeSet::new(),
            next: 1,
            end: if end < I::END { end } else { I::END },
            kind: PhantomData,
        }
    }

    /// How many there are.
    pub(super) const fn most(&self) -> u16 {
        self.end - 1
    }

    /// `None`: all are in use.
    pub(super) fn allocate(&mut self) -> Option<I> {
        let number = (self.next..self.end)
            .chain(1..self.next)
            .find(|number| !self.used.contains(number))?;
        self.next = if number + 1 < self.end { number + 1 } else { 1 };
        self.used.insert(number);
        I::new(number)
    }

    pub(super) fn free(&mut self, id: I) {
        self.used.remove(&id.number());
    }
}
