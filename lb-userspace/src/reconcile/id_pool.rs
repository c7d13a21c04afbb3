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
    kind: PhantomData<I>,
}

impl<I: Id> IdPool<I> {
    pub(super) const fn new() -> Self {
        Self {
            used: BTreeSet::new(),
            next: 1,
            kind: PhantomData,
        }
    }

    /// `None`: all are in use.
    pub(super) fn allocate(&mut self) -> Option<I> {
        let number = (self.next..I::END)
            .chain(1..self.next)
            .find(|number| !self.used.contains(number))?;
        self.next = if number + 1 < I::END { number + 1 } else { 1 };
        self.used.insert(number);
        I::new(number)
    }

    pub(super) fn free(&mut self, id: I) {
        self.used.remove(&id.number());
    }
}
