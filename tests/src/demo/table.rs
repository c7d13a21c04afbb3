//! Figures as people read them.

use std::time::Duration;

use lb_userspace::control::protocol::Server;
use lb_userspace::health::ServerHealth;

use super::load::Totals;

const BAR: usize = 12;
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[1;31m";
const PLAIN: &str = "\x1b[0m";

/// How things stand at one moment.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// From the start of the demonstration.
    pub(super) at: Duration,
    /// What the balancer says.
    pub(super) servers: Vec<Server>,
    /// What the clients say.
    pub(super) load: Totals,
}

/// How things went between two moments.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    at: Duration,
    rows: Vec<Row>,
    requests: f64,
    connections: f64,
    errors: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    name: String,
    up: bool,
    weight: u16,
    open_flows: u64,
    /// A second, both directions.
    packets: f64,
    /// A second, both directions.
    bytes: f64,
    /// Of all packets; 0 to 1.
    share: f64,
}

impl Sample {
    /// Whether server `index` is up.
    pub(super) fn is_up(&self, index: usize) -> bool {
        self.servers
            .get(index)
            .is_some_and(|server| server.state == ServerHealth::Up)
    }

    /// The time since `earlier`.
    pub(super) fn since(&self, earlier: &Sample) -> Table {
        let seconds = self.at.saturating_sub(earlier.at).as_secs_f64().max(0.001);
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        let mut rows: Vec<Row> = self
            .servers
            .iter()
            .zip(&earlier.servers)
            .map(|(now, then)| Row {
                name: now.name.clone(),
                up: now.state == ServerHealth::Up,
                weight: now.weight,
                open_flows: now.flows.open_flows,
                packets: rate(
                    now.traffic.packets_in + now.traffic.packets_out,
                    then.traffic.packets_in + then.traffic.packets_out,
                ),
                bytes: rate(
                    now.traffic.bytes_in + now.traffic.bytes_out,
                    then.traffic.bytes_in + then.traffic.bytes_out,
                ),
                share: 0.0,
            })
            .collect();
        let packets: f64 = rows.iter().map(|row| row.packets).sum();
        if packets > 0.0 {
            rows.iter_mut()
                .for_each(|row| row.share = row.packets / packets);
        }
        Table {
            at: self.at,
            rows,
            requests: rate(self.load.requests, earlier.load.requests),
            connections: rate(self.load.connections, earlier.load.connections),
            errors: self.load.errors,
        }
    }
}

impl Table {
    /// For a terminal.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{:<7}{:<6}{:>6}{:>12}{:>11}{:>12}  share",
            "server", "state", "weight", "open flows", "packets/s", "bytes/s"
        )];
        for row in &self.rows {
            let (color, state) = if row.up { (GREEN, "up") } else { (RED, "DOWN") };
            lines.push(format!(
                "{:<7}{color}{state:<6}{PLAIN}{:>6}{:>12}{:>11}{:>12}  {:<BAR$} {:>5.1} %",
                row.name,
                row.weight,
                thousands(row.open_flows),
                thousands(row.packets as u64),
                format!("{}/s", bytes(row.bytes)),
                bar(row.share),
                row.share * 100.0
            ));
        }
        lines.push(format!(
            "{:5.1} s  clients: {} requests/s, {} connections/s, {} failed",
            self.at.as_secs_f64(),
            thousands(self.requests as u64),
            thousands(self.connections as u64),
            thousands(self.errors)
        ));
        lines
    }

    /// For a log.
    pub(super) fn line(&self) -> String {
        let servers: Vec<String> = self
            .rows
            .iter()
            .map(|row| {
                let state = if row.up { "" } else { "DOWN " };
                let (name, flows, share) = (&row.name, row.open_flows, row.share * 100.0);
                format!("{name} {state}{flows} flows {share:.0} %")
            })
            .collect();
        let packets: f64 = self.rows.iter().map(|row| row.packets).sum();
        format!(
            "{:5.1} s  {} of {} packets/s | {} requests/s, {} failed",
            self.at.as_secs_f64(),
            servers.join(", "),
            thousands(packets as u64),
            thousands(self.requests as u64),
            thousands(self.errors)
        )
    }
}

/// `1234567` as `1,234,567`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1234567` as `1.2 MB`.
pub(super) fn bytes(count: f64) -> String {
    let units = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    match units.into_iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", count / size),
        None => format!("{count:.0} B"),
    }
}

fn bar(share: f64) -> String {
    "█".repeat((share * BAR as f64).round() as usize)
}

#[cfg(test)]
mod tests;
