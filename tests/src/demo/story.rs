//! What happens when, and how it went.

use std::time::Duration;

use lb_userspace::control::protocol::{Server, Verdict};

use super::load::{Failure, Totals};
use super::table::{bytes, thousands};

/// One server dies after this part of the time, and is back after that part.
const KILL: f64 = 8.0 / 30.0;
const REVIVE: f64 = 18.0 / 30.0;

/// The course of the demonstration. Times count from its start.
#[derive(Clone, Debug)]
pub(super) struct Story {
    victim: String,
    kill_at: Duration,
    revive_at: Duration,
    killed: Option<Duration>,
    found_down: Option<Duration>,
    revived: Option<Duration>,
    found_up: Option<Duration>,
    interrupted: Option<&'static str>,
    ended: Duration,
    failures: Vec<Failure>,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// The server dies.
    Kill,
    /// The server comes back.
    Revive,
}

impl Story {
    /// The story of `victim`'s death, told in `length`.
    pub(super) fn new(victim: &str, length: Duration) -> Self {
        Self {
            victim: victim.to_owned(),
            kill_at: length.mul_f64(KILL),
            revive_at: length.mul_f64(REVIVE),
            killed: None,
            found_down: None,
            revived: None,
            found_up: None,
            interrupted: None,
            ended: Duration::ZERO,
            failures: Vec::new(),
        }
    }

    /// What is due at `now`; the caller does it.
    pub(super) fn next_act(&mut self, now: Duration) -> Option<Act> {
        if self.killed.is_none() && now >= self.kill_at {
            self.killed = Some(now);
            Some(Act::Kill)
        } else if self.revived.is_none() && now >= self.revive_at {
            self.revived = Some(now);
            Some(Act::Revive)
        } else {
            None
        }
    }

    /// What the balancer says of the server at `now`.
    pub(super) fn observe(&mut self, now: Duration, up: bool) {
        if self.killed.is_some() && self.found_down.is_none() && !up {
            self.found_down = Some(now);
        }
        if self.revived.is_some() && self.found_up.is_none() && up {
            self.found_up = Some(now);
        }
    }

    /// The user has seen enough.
    pub(super) fn interrupt(&mut self, by: &'static str) {
        self.interrupted = Some(by);
    }

    /// It ends at `now`; `failures` are the clients' of the whole time.
    pub(super) fn end(&mut self, now: Duration, failures: Vec<Failure>) {
        self.ended = now;
        self.failures = failures;
    }

    /// What has happened so far, a line each.
    pub(super) fn events(&self) -> Vec<String> {
        let name = &self.victim;
        let mut lines = Vec::new();
        let mut tell = |at: Option<Duration>, what: String| {
            if let Some(at) = at {
                lines.push(format!("{:5.1} s  {what}", at.as_secs_f64()));
            }
        };
        tell(
            self.killed,
            format!("{name} dies: its port is closed, its connections are reset"),
        );
        tell(
            self.found_down,
            format!("lb has found {name} down: new connections go to the others"),
        );
        tell(self.revived, format!("{name} is started again"));
        tell(
            self.found_up,
            format!("lb has found {name} up: it gets its share of new connections"),
        );
        lines
    }

    /// The end, in a few sentences.
    pub(super) fn summary(&self, load: &Totals, servers: &[Server], drops: &[Verdict]) -> String {
        let mut lines = vec![format!(
            "{} {:.1} s: {} requests answered over {} connections, {} failed.",
            match self.interrupted {
                Some(by) => format!("Ended by {by} after"),
                None => "Ran".to_owned(),
            },
            self.ended.as_secs_f64(),
            thousands(load.requests),
            thousands(load.connections),
            thousands(load.errors)
        )];
        lines.extend(self.death());
        lines.extend(self.return_to_life());
        let packets = servers
            .iter()
            .map(|s| s.traffic.packets_in + s.traffic.packets_out)
            .sum();
        let volume = servers
            .iter()
            .map(|s| s.traffic.bytes_in + s.traffic.bytes_out)
            .sum::<u64>();
        lines.push(format!(
            "XDP forwarded {} packets ({}), and dropped {}.",
            thousands(packets),
            bytes(volume as f64),
            describe_drops(drops)
        ));
        lines.push(
            "lb has ended; no XDP program, namespace, process or file is left behind.".to_owned(),
        );
        lines.join("\n")
    }

    fn death(&self) -> Vec<String> {
        let name = &self.victim;
        let Some(killed) = self.killed else {
            return vec![format!("It ended before {name} was to die.")];
        };
        let until = self.revived.unwrap_or(self.ended);
        let (during, other): (Vec<&Failure>, Vec<&Failure>) = self
            .failures
            .iter()
            .partition(|f| f.at >= killed && f.at <= until);
        let broken = during.iter().filter(|failure| failure.open).count();
        let unopened = during.len() - broken;
        let mut lines = vec![format!(
            "{name} died at {:.1} s: {broken} connections broke with it, {unopened} attempts to \
             connect failed.",
            killed.as_secs_f64()
        )];
        let last = during.iter().map(|failure| failure.at).max();
        lines.push(match (last, self.found_down) {
            (Some(last), Some(_)) => format!(
                "All traffic had moved to the other servers {} ms after its death.",
                (last - killed).as_millis()
            ),
            (None, Some(_)) => {
                "All traffic moved to the other servers; no client noticed.".to_owned()
            }
            (_, None) => format!("lb has not found {name} down."),
        });
        if !other.is_empty() {
            lines.push(format!(
                "{} failures had nothing to do with it.",
                other.len()
            ));
        }
        lines
    }

    fn return_to_life(&self) -> Option<String> {
        let (name, revived) = (&self.victim, self.revived?);
        let at = revived.as_secs_f64();
        Some(match self.found_up {
            Some(up) => format!(
                "{name} was started again at {at:.1} s and found up about {} ms later.",
                (up - revived).as_millis()
            ),
            None => format!("{name} was started again at {at:.1} s; lb has not found it up."),
        })
    }
}

fn describe_drops(drops: &[Verdict]) -> String {
    let nonzero = drops.iter().filter(|drop| drop.packets > 0);
    let told: Vec<String> = nonzero
        .map(|drop| {
            format!(
                "{} as {} ({})",
                thousands(drop.packets),
                drop.reason,
                drop.description
            )
        })
        .collect();
    if told.is_empty() {
        "none".to_owned()
    } else {
        told.join(", ")
    }
}

#[cfg(test)]
mod tests;
