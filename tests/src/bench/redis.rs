//! What users see: redis-benchmark straight to the server, and through balancers in its way.
//!
//! Client, balancer and server stand on one network, so that the same client reaches the same server
//! all three ways. They are tried in turn, each balancer alone on the machine while it is.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use super::report::{Series, Table, progress};
use super::{Effort, go_on};
use crate::balancer::{Backend, HaProxy, Lb, LbConfig, Service};
use crate::network::{Family, Layout, Network};
use crate::redis::Redis;
use crate::skip;

const PORT: u16 = 6379;
const CLIENTS: &str = "50";
const REQUESTS: &str = "100000";

/// What redis-benchmark said, round by round.
#[derive(Default)]
struct Figures {
    /// Thousand requests per second.
    rate: Series,
    /// Milliseconds within which half of the requests were answered.
    p50: Series,
    /// And 99 of 100.
    p99: Series,
}

/// The way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Direct,
    Lb,
    HaProxy,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Lb => "lb",
            Self::HaProxy => "HAProxy",
        }
    }
}

pub(super) fn run(effort: Effort, lb: &Path) -> Result<()> {
    let (Some(server), Some(client)) = (skip::find("redis-server"), skip::find("redis-benchmark"))
    else {
        println!("redis: skipped, Redis is not installed (Debian package redis).\n");
        return Ok(());
    };
    let mut ways = vec![Way::Direct, Way::Lb];
    if skip::find("haproxy").is_some() {
        ways.push(Way::HaProxy);
    } else {
        println!("HAProxy is not installed (Debian package haproxy): it is left out.");
    }
    println!(
        "redis-benchmark, GET, {CLIENTS} clients, {REQUESTS} requests in each of {} rounds, the ways \
         in turn: medians.",
        effort.redis_rounds
    );

    let network = Network::new(Layout::OneArm, 1)?;
    let address = SocketAddr::new(network.server_address(0, Family::V4), PORT);
    let dir = network.dir.join("redis");
    let _redis = Redis::start(&network.servers[0], &server, address, &dir)?;
    let services = [Service::new("redis", [network.listen(Family::V4, PORT)])
        .backend(Backend::new("redis1", address))];

    let mut figures: Vec<Figures> = ways.iter().map(|_| Figures::default()).collect();
    for round in 1..=effort.redis_rounds {
        go_on()?;
        for (&way, figures) in ways.iter().zip(&mut figures) {
            progress(&format!("round {round}, {}", way.name()));
            match way {
                Way::Direct => figures.take(&network, &client, address)?,
                Way::Lb => {
                    let config = LbConfig::new(&network, &services);
                    let lb = Lb::start_in(&network.balancer, lb, &config)?;
                    lb.wait_settled(&services)?;
                    figures.take(&network, &client, services[0].listen[0])?;
                    // What the stack forwarded, the balancer did not.
                    let forwarded = packets(&lb)?;
                    ensure!(forwarded > 0, "lb counts no packets of the service");
                    lb.stop()?;
                }
                Way::HaProxy => {
                    let _haproxy = HaProxy::start(&network, &services)?;
                    figures.take(&network, &client, services[0].listen[0])?;
                }
            }
        }
    }
    progress("");

    let mut table = Table::new([
        "",
        "1000 requests/s",
        "of direct",
        "p50, ms",
        "of direct",
        "p99, ms",
    ]);
    let direct = &figures[0];
    for (way, figures) in ways.iter().zip(&figures) {
        table.row([
            way.name().to_owned(),
            format!("{:.1}", figures.rate.median()),
            format!("{:.2}", figures.rate.over(&direct.rate).median()),
            format!("{:.2}", figures.p50.median()),
            format!("{:.2}", figures.p50.over(&direct.p50).median()),
            format!("{:.2}", figures.p99.median()),
        ]);
    }
    println!("\n{table}");
    Ok(())
}

/// Packets that the balancer forwarded to its servers.
fn packets(lb: &Lb) -> Result<u64> {
    let servers = lb.servers()?;
    Ok(servers.iter().map(|server| server.traffic.packets_in).sum())
}

impl Figures {
    /// One run of redis-benchmark.
    fn take(&mut self, network: &Network, program: &Path, to: SocketAddr) -> Result<()> {
        let printed = network
            .client
            .program(program)
            .args(["-h", &to.ip().to_string(), "-p", &to.port().to_string()])
            .args(["-t", "get", "-c", CLIENTS, "-n", REQUESTS, "--csv"])
            .stdout()?;
        let [rate, p50, p99] = parse(&printed)
            .with_context(|| format!("redis-benchmark printed something else: {printed}"))?;
        self.rate.push(rate / 1e3);
        self.p50.push(p50);
        self.p99.push(p99);
        Ok(())
    }
}

/// Requests per second, p50 and p99 out of the two lines that redis-benchmark prints:
/// `"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms",...`.
fn parse(csv: &str) -> Option<[f64; 3]> {
    let mut lines = csv.lines().filter(|line| line.starts_with('"'));
    let cells = |line: &str| -> Vec<String> {
        let cells = line.split(',');
        cells
            .map(|cell| cell.trim_matches('"').to_owned())
            .collect()
    };
    let names = cells(lines.next()?);
    let values = cells(lines.next()?);
    let mut found = [0.0; 3];
    for (found, wanted) in found
        .iter_mut()
        .zip(["rps", "p50_latency_ms", "p99_latency_ms"])
    {
        let column = names.iter().position(|name| name == wanted)?;
        *found = values.get(column)?.parse().ok()?;
    }
    Some(found)
}

#[cfg(test)]
mod tests;
