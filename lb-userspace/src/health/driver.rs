//! Probes every server on time and publishes what comes of it.
//!
//! Each server has a task of its own that probes it, so a probe that hangs delays no other. The
//! tasks send what they find to [`Checks`], which alone holds the counts, and hear when to probe
//! again; dropping it ends them all. At most one probe of a server is under way: its time limit is
//! not longer than its interval.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::machine::{Failure, Finding, Machine, Status, Success, Transition, unchecked};
use super::{HealthView, ServerHealth};
use crate::config;
use crate::model::{PoolName, ServerKey};

/// Within this time of the start every server is probed for the first time, however long its
/// interval: until then it is down.
const FIRST_ROUND: Duration = Duration::from_millis(200);

/// A server to watch over.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Its name.
    pub key: ServerKey,
    /// How it is probed.
    pub check: config::Check,
}

/// Every server of `config`, once, however many services share it.
pub fn targets(config: &config::Config) -> Vec<Target> {
    let servers = config.pools.iter().flat_map(|pool| {
        pool.servers.iter().map(|server| Target {
            key: ServerKey {
                pool: pool.name.clone(),
                server: server.name.clone(),
            },
            check: server.check.clone(),
        })
    });
    servers.collect()
}

/// Everything known of each server.
pub type Statuses = BTreeMap<ServerKey, Status>;

/// What [`Checks`] publishes.
#[derive(Clone, Debug)]
pub struct Reports {
    /// Changes when a server goes up or down, and only then.
    pub view: watch::Receiver<HealthView>,
    /// Changes with every probe.
    pub statuses: watch::Receiver<Statuses>,
}

impl Reports {
    /// Waits until every server has been probed once, but not longer than `limit`.
    pub async fn first_round(&mut self, limit: Duration) {
        let probed = |statuses: &Statuses| {
            let mut all = statuses.values();
            all.all(|status| status.last.is_some() || status.health == ServerHealth::Up)
        };
        // Neither a limit reached nor checks that have ended need another answer here: the agent
        // goes on with what is known, and notices the end of the checks elsewhere.
        let _ = timeout(limit, self.statuses.wait_for(probed)).await;
    }
}

/// The checks of all servers. `probe` is [`super::probe::probe`], or what a test has instead.
#[derive(Debug)]
pub struct Checks<C> {
    probe: C,
    servers: BTreeMap<ServerKey, Watched>,
    probes: JoinSet<()>,
    findings: (mpsc::Sender<Found>, mpsc::Receiver<Found>),
    view: watch::Sender<HealthView>,
    statuses: watch::Sender<Statuses>,
}

/// What a task found, and where it waits to hear how long to wait.
#[derive(Debug)]
struct Found {
    key: ServerKey,
    finding: Finding,
    interval: oneshot::Sender<Duration>,
}

#[derive(Debug)]
struct Watched {
    target: Target,
    /// `None`: never probed.
    probed: Option<(Machine, AbortHandle)>,
}

impl<C, F> Checks<C>
where
    C: Fn(Arc<config::Probe>, Instant) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Success, Failure>> + Send + 'static,
{
    /// No servers yet.
    pub fn new(probe: C) -> (Self, Reports) {
        let (view, view_reports) = watch::channel(HealthView::default());
        let (statuses, status_reports) = watch::channel(Statuses::new());
        let checks = Self {
            probe,
            servers: BTreeMap::new(),
            probes: JoinSet::new(),
            findings: mpsc::channel(64),
            view,
            statuses,
        };
        (
            checks,
            Reports {
                view: view_reports,
                statuses: status_reports,
            },
        )
    }

    /// Watches over `targets` and no others. A server whose target stays as it is keeps its state
    /// and its rhythm.
    pub fn set(&mut self, targets: Vec<Target>) {
        let now = Instant::now();
        let mut old = std::mem::take(&mut self.servers);
        let count = targets.len();
        for (place, target) in targets.into_iter().enumerate() {
            let kept = old
                .remove(&target.key)
                .filter(|watched| watched.target == target);
            let watched = kept.unwrap_or_else(|| self.watch(target, Place { place, count }, now));
            self.servers.insert(watched.target.key.clone(), watched);
        }
        for (_, gone) in old {
            if let Some((_, task)) = gone.probed {
                task.abort();
            }
        }
        self.publish_all(now);
    }

    /// Probes until the future is dropped.
    pub async fn run(mut self) {
        loop {
            tokio::select! {
                Some(found) = self.findings.1.recv() => self.take_in(found),
                Some(ended) = self.probes.join_next() => {
                    // Tasks end by being aborted or by a bug, which must not pass for health.
                    if let Err(error) = ended && let Ok(panic) = error.try_into_panic() {
                        std::panic::resume_unwind(panic);
                    }
                }
            }
        }
    }

    fn watch(&mut self, target: Target, place: Place, now: Instant) -> Watched {
        let probed = match &target.check {
            config::Check::None => None,
            config::Check::Probe(probe) => {
                let task = probe_forever(
                    target.key.clone(),
                    Arc::new(probe.clone()),
                    place.rhythm(probe.interval, now),
                    self.probe.clone(),
                    self.findings.0.clone(),
                );
                Some((Machine::new(probe, now.into_std()), self.probes.spawn(task)))
            }
        };
        Watched { target, probed }
    }

    fn take_in(&mut self, found: Found) {
        let Found {
            key,
            finding,
            interval,
        } = found;
        let key = &key;
        let Some((machine, _)) = self.servers.get_mut(key).and_then(|w| w.probed.as_mut()) else {
            return; // No longer watched over.
        };
        let local = matches!(finding.result, Err(Failure::Local(_)));
        let was_local = matches!(
            machine.status().last,
            Some(Finding {
                result: Err(Failure::Local(_)),
                ..
            })
        );
        if local && !was_local {
            tracing::warn!("server {key} keeps its state: {}", finding.describe());
        }
        let transition = machine.observe(finding, Instant::now().into_std());
        // A task that no longer listens has been aborted.
        let _ = interval.send(machine.interval());
        let status = machine.status().clone();
        self.statuses.send_modify(|statuses| {
            statuses.insert(key.clone(), status);
        });
        if let Some(transition) = transition {
            self.view.send_modify(|view| {
                view.servers.insert(key.clone(), transition.to);
            });
            self.tell(key, &transition);
        }
    }

    fn tell(&self, key: &ServerKey, transition: &Transition) {
        let (up, all) = self.pool(&key.pool);
        let Transition { to, reason } = transition;
        match to {
            ServerHealth::Up => {
                tracing::info!(
                    "server {key} is up: {reason}, {up} of {all} servers up in pool {}",
                    key.pool
                );
            }
            ServerHealth::Down => {
                tracing::warn!(
                    "server {key} is down: {reason}, {up} of {all} servers left in pool {}",
                    key.pool
                );
            }
        }
    }

    /// How many servers of a pool are up, and how many there are.
    fn pool(&self, pool: &PoolName) -> (usize, usize) {
        let view = self.view.borrow();
        let keys = self.servers.keys().filter(|key| key.pool == *pool);
        keys.fold((0, 0), |(up, all), key| {
            (up + usize::from(view.is_up(key)), all + 1)
        })
    }

    fn publish_all(&mut self, now: Instant) {
        let statuses: Statuses = self
            .servers
            .iter()
            .map(|(key, watched)| {
                let status = watched.probed.as_ref().map_or_else(
                    || unchecked(now.into_std()),
                    |(machine, _)| machine.status().clone(),
                );
                (key.clone(), status)
            })
            .collect();
        let servers = statuses
            .iter()
            .map(|(key, status)| (key.clone(), status.health))
            .collect();
        self.view.send_if_modified(|view| {
            let new = HealthView { servers };
            std::mem::replace(view, new) != *view
        });
        self.statuses.send_replace(statuses);
    }
}

/// A server's place among all.
#[derive(Clone, Copy, Debug)]
struct Place {
    place: usize,
    count: usize,
}

/// When a server is probed: once at `first`, next at `second`, and from then on once in each interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rhythm {
    first: Instant,
    second: Instant,
}

impl Place {
    /// First probes follow each other quickly; from the second on the servers' turns are spread
    /// evenly over the interval. The gap between the two is never longer than the interval.
    fn rhythm(self, interval: Duration, now: Instant) -> Rhythm {
        let share =
            |whole: Duration, place: usize| whole.mul_f64(place as f64 / self.count.max(1) as f64);
        Rhythm {
            first: now + share(interval.min(FIRST_ROUND), self.place),
            second: now + share(interval, self.place + 1),
        }
    }
}

async fn probe_forever<C, F>(
    key: ServerKey,
    probe: Arc<config::Probe>,
    rhythm: Rhythm,
    run: C,
    findings: mpsc::Sender<Found>,
) where
    C: Fn(Arc<config::Probe>, Instant) -> F,
    F: Future<Output = Result<Success, Failure>>,
{
    let mut turn = rhythm.first;
    // The second turn spreads the servers over the interval: once, and where that is what counts.
    let mut second = Some(rhythm.second);
    loop {
        sleep_until(turn).await;
        let start = Instant::now();
        let deadline = start + probe.timeout;
        let result = timeout_at(deadline, run(Arc::clone(&probe), deadline))
            .await
            .unwrap_or(Err(Failure::Timeout(probe.timeout)));
        let finding = Finding {
            took: start.elapsed(),
            result,
        };
        let (interval, answer) = oneshot::channel();
        let key = key.clone();
        let found = Found {
            key,
            finding,
            interval,
        };
        if findings.send(found).await.is_err() {
            return;
        }
        let Ok(interval) = answer.await else {
            return;
        };
        let next = second
            .take()
            .map_or(turn + interval, |second| second.min(turn + interval));
        // After a stop of the whole host (suspend, a paused virtual machine) turns that were
        // missed are not made up for.
        turn = next.max(start);
    }
}

#[cfg(test)]
mod tests;
