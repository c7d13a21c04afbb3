//! Brings the maps to what they should say, and keeps account of what they do say.
//!
//! A round goes through [`Stage`]s: interfaces, NAT sources, servers, members, rings, services;
//! then, in reverse, what is no longer wanted. Each stage is planned from what the stages before it
//! really did, so that a failure holds up what depends on it and nothing else: a server that cannot
//! be written is left out of its ring, and the ring still loses the server that went down.
//!
//! The account ([`Books`]) changes only after a map did. What failed is noted as unsure and done
//! again in the next round, whatever is wanted by then. At no moment can a packet meet a service
//! without its ring, a ring slot without its member, or a member without its server.
//!
//! An id keeps its meaning as long as a flow may carry it: a member that is no longer wanted is
//! removed when no ring names it and it has no flows, a server when no member names it.
//!
//! Cancellation and restart: a round never waits. The maps are not kept over a restart of the
//! agent, so that it starts with empty books and empty maps.

mod assign;
mod books;
mod id_pool;
mod plan;
mod release;
mod step;

use std::time::{Duration, Instant};

use crate::dataplane::{DataPlane, GaugeId, MapError, MemberId, RealId, ServiceId};
use crate::desired::DesiredState;
use crate::model::{RealKey, ServerKey, ServiceHalf, ServiceName};
use books::Books;
use plan::Stage;

/// After the first round that failed; doubled with each that fails after it.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// Longest pause before a failed round is done again.
const RETRY_MOST: Duration = Duration::from_secs(10);
/// How often to look whether members that are no longer wanted still have flows.
const RETIRED_INTERVAL: Duration = Duration::from_secs(5);

/// Owns a data plane and writes to it.
#[derive(Debug)]
pub struct Reconciler<D> {
    plane: D,
    books: Books,
    failed_rounds: u32,
}

/// One server as one service uses it. A server whose address, or a service whose mode of forwarding
/// changes becomes another member: open flows stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberKey {
    /// The service.
    pub service: ServiceHalf,
    /// The server.
    pub server: ServerKey,
    /// Where its flows go, and how.
    pub real: RealKey,
}

/// What a round did.
#[derive(Debug, Default)]
#[must_use = "a report may say when to come again"]
pub struct Report {
    /// Changes made to the maps.
    pub changed: usize,
    /// What could not be done. The rest was.
    pub failed: Vec<ReconcileError>,
    /// When to do another round even if nothing else changes: to retry, or to clear away what had
    /// to stay for a while.
    pub retry_at: Option<Instant>,
}

/// Why a part of the desired state is not in the maps.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// An operation failed.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The configuration asks for more than the maps hold, counting what was removed and still has
    /// flows.
    #[error("more than {most} {kind}s: {wanted} is left out until others are gone")]
    NoId {
        /// Of what.
        kind: &'static str,
        /// How many there can be.
        most: u16,
        /// What has none.
        wanted: String,
    },
    /// As above, of ring slots or NAT sources.
    #[error(
        "map {map} has no {len} entries in a row left for {wanted}: it stays as it was; restart lb \
         if that does not pass by itself within seconds"
    )]
    NoRoom {
        /// The map.
        map: &'static str,
        /// How many were wanted.
        len: u32,
        /// For what.
        wanted: String,
    },
}

/// Whose active flows a gauge counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GaugeOf {
    /// A server's, over all services.
    Server(ServerKey),
    /// A service's, over both address families.
    Service(ServiceName),
}

impl<D: DataPlane> Reconciler<D> {
    /// Takes over a data plane whose maps are empty.
    pub fn new(plane: D) -> Self {
        let books = Books::new(
            plane.ring_slots(),
            plane.access_nodes(),
            plane.service_ids(),
        );
        Self {
            plane,
            books,
            failed_rounds: 0,
        }
    }

    /// One round: after it, unless something failed, the maps say what `desired` does.
    pub fn reconcile(&mut self, desired: &DesiredState, now: Instant) -> Report {
        let mut report = Report::default();
        self.books.settle(now);
        assign::assign(&mut self.books, desired, &mut report.failed);
        for stage in Stage::ORDER {
            if stage == Stage::Rings {
                assign::lay_out_rings(&mut self.books, desired, &mut report.failed);
            }
            for step in plan::plan(stage, &self.books, desired, |id| {
                self.plane.counts(id).flows
            }) {
                match step.apply(&mut self.plane) {
                    Ok(()) => {
                        self.books.did(&step);
                        report.changed += 1;
                    }
                    Err(error) => {
                        self.books.failed(&step);
                        report.failed.push(error.into());
                    }
                }
            }
        }
        release::release(&mut self.books, desired, now);
        report.retry_at = self.next_round(desired, now, !report.failed.is_empty());
        report
    }

    fn next_round(
        &mut self,
        desired: &DesiredState,
        now: Instant,
        failed: bool,
    ) -> Option<Instant> {
        self.failed_rounds = if failed { self.failed_rounds + 1 } else { 0 };
        let retry = failed.then(|| now + backoff(self.failed_rounds));
        let retired = release::waiting(&self.books, desired).then(|| now + RETIRED_INTERVAL);
        [retry, retired, self.books.next_settling()]
            .into_iter()
            .flatten()
            .min()
    }

    /// The data plane.
    pub fn plane(&self) -> &D {
        &self.plane
    }

    /// The data plane, for what is not the reconciler's: attaching, expiry.
    pub fn plane_mut(&mut self) -> &mut D {
        &mut self.plane
    }

    /// Every member that flows may carry, those that are no longer wanted included.
    pub fn members(&self) -> impl Iterator<Item = (MemberId, &MemberKey)> {
        self.books
            .members
            .iter()
            .map(|(key, member)| (member.id, key))
    }

    /// Every server that flows may carry.
    pub fn reals(&self) -> impl Iterator<Item = (RealId, RealKey)> {
        self.books.reals.iter().map(|(key, real)| (real.id, *key))
    }

    /// Every gauge.
    pub fn gauges(&self) -> impl Iterator<Item = (GaugeId, &GaugeOf)> {
        self.books.gauges.iter().map(|(of, id)| (*id, of))
    }

    /// Every service.
    pub fn services(&self) -> impl Iterator<Item = (ServiceId, &ServiceHalf)> {
        self.books
            .services
            .iter()
            .map(|(name, service)| (service.id, name))
    }
}

/// The pause after `rounds` rounds in a row failed, at least one.
fn backoff(rounds: u32) -> Duration {
    let doublings = (rounds - 1).min(16);
    (RETRY_FIRST * (1 << doublings)).min(RETRY_MOST)
}

#[cfg(test)]
mod tests;
