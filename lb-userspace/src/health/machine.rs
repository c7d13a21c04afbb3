//! One server's health: rise and fall, without I/O.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::ServerHealth;
use crate::config;

/// Why a probe failed, in words for a log line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The server answered with a reset: nothing listens there.
    #[error("connection refused after {}", millis(.0))]
    Refused(Duration),
    /// The server was silent.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The next hop does not answer, or a router says so.
    #[error("no route to host")]
    HostUnreachable,
    /// This host has no route, or a router says so.
    #[error("network unreachable")]
    NetworkUnreachable,
    /// The server answered, and not as it should.
    #[error("{0}")]
    Wrong(String),
    /// Anything else that the network or the server did.
    #[error("{0}")]
    Other(String),
    /// This host could not probe (no descriptor, no port, no memory): says nothing of the server.
    #[error("this host could not probe: {0}")]
    Local(String),
}

/// How a probe ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// From its start.
    pub took: Duration,
    /// What it found.
    pub result: Result<Success, Failure>,
}

/// What a server did to pass, as a log line says it: `connected`, `answered PONG`.
pub type Success = &'static str;

impl Finding {
    /// In one line.
    pub fn describe(&self) -> String {
        match &self.result {
            Ok(success) => format!("{success} in {}", millis(&self.took)),
            Err(failure) => failure.to_string(),
        }
    }
}

/// A server went up or down, or was found down by its first probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// What it is now.
    pub to: ServerHealth,
    /// Why, in one line with the count: `connection refused after 0.3 ms (3 of 3)`.
    pub reason: String,
}

/// Everything known of one server's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What it is.
    pub health: ServerHealth,
    /// Why, in one line.
    pub why: String,
    /// Since when.
    pub since: Instant,
    /// The last probe, if there was one.
    pub last: Option<Finding>,
    /// Successes in a row up to now.
    pub successes: u32,
    /// Failures in a row up to now.
    pub failures: u32,
}

/// Times between probes.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Up, and the last probe passed.
    steady: Duration,
    /// Rise or fall is being counted.
    deciding: Duration,
    /// Down, and the last probe failed.
    down: Duration,
}

/// Counts one server's probes.
///
/// A server starts down. Its first probe decides at once, without regard to `rise`: an agent that
/// has just started has no reason to doubt a server that answers, and waiting would refuse clients
/// that another balancer would serve. From then on `rise` and `fall` count.
#[derive(Clone, Debug)]
pub struct Machine {
    rise: NonZeroU32,
    fall: NonZeroU32,
    pace: Pace,
    tried: bool,
    status: Status,
}

impl Machine {
    /// A server that has not been probed yet.
    pub fn new(probe: &config::Probe, now: Instant) -> Self {
        Self {
            rise: probe.rise,
            fall: probe.fall,
            pace: Pace {
                steady: probe.interval,
                deciding: probe.fast_interval,
                down: probe.down_interval,
            },
            tried: false,
            status: Status {
                health: ServerHealth::Down,
                why: "not checked yet".to_owned(),
                since: now,
                last: None,
                successes: 0,
                failures: 0,
            },
        }
    }

    /// What is known.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Time from the start of the last probe to the start of the next.
    pub fn interval(&self) -> Duration {
        let Status {
            health,
            successes,
            failures,
            ..
        } = self.status;
        match health {
            ServerHealth::Up if failures > 0 => self.pace.deciding,
            ServerHealth::Up => self.pace.steady,
            ServerHealth::Down if successes > 0 => self.pace.deciding,
            ServerHealth::Down => self.pace.down,
        }
    }

    /// Takes in what a probe found at `now`.
    pub fn observe(&mut self, finding: Finding, now: Instant) -> Option<Transition> {
        let description = finding.describe();
        let result = finding.result.clone();
        self.status.last = Some(finding);
        match result {
            Err(Failure::Local(_)) => None,
            Ok(_) => {
                self.status.failures = 0;
                self.status.successes = self.status.successes.saturating_add(1);
                let needed = if self.tried { self.rise.get() } else { 1 };
                self.tried = true;
                let passed =
                    self.status.health == ServerHealth::Down && self.status.successes >= needed;
                passed.then(|| self.turn(ServerHealth::Up, &description, needed, now))
            }
            Err(_) => {
                self.status.successes = 0;
                self.status.failures = self.status.failures.saturating_add(1);
                let first = !std::mem::replace(&mut self.tried, true);
                let fell = self.status.health == ServerHealth::Up
                    && self.status.failures >= self.fall.get();
                if first {
                    return Some(self.turn(ServerHealth::Down, &description, 1, now));
                }
                fell.then(|| self.turn(ServerHealth::Down, &description, self.fall.get(), now))
            }
        }
    }

    fn turn(
        &mut self,
        to: ServerHealth,
        description: &str,
        count: u32,
        now: Instant,
    ) -> Transition {
        let reason = format!("{description} ({count} of {count})");
        self.status.health = to;
        self.status.why.clone_from(&reason);
        self.status.since = now;
        Transition { to, reason }
    }
}

/// A server with `check: none`: up from the start.
pub fn unchecked(now: Instant) -> Status {
    Status {
        health: ServerHealth::Up,
        why: "not checked (check: none)".to_owned(),
        since: now,
        last: None,
        successes: 0,
        failures: 0,
    }
}

fn millis(duration: &Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests;
