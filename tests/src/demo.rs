//! What `cargo xtask run` shows: traffic through the balancer, live, while one server dies and
//! comes back.

mod load;
mod screen;
mod story;
mod table;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::unistd::geteuid;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use self::load::Load;
use self::screen::Screen;
use self::story::{Act, Story};
use self::table::Sample;
use crate::balancer::{Backend, Balance, Check, Lb, LbConfig, Service};
use crate::network::{Family, Layout, Network};
use crate::server::Server;

const SERVICE_PORT: u16 = 6379;
const SERVER_PORT: u16 = 6380;
const WEIGHTS: [u16; 3] = [100, 100, 50];
/// The server that dies, of `db1` to `db3`.
const VICTIM: usize = 1;
/// How often the balancer is asked.
const ASK: Duration = Duration::from_millis(100);
/// How often a table is drawn, or a line is written.
const TABLE_EVERY: Duration = Duration::from_millis(500);
const LINE_EVERY: Duration = Duration::from_secs(3);

/// Shows `lb` for `seconds`, or until SIGINT or SIGTERM.
pub fn run(lb: &Path, seconds: u64) -> Result<()> {
    ensure!(
        geteuid().is_root(),
        "needs root, to make network namespaces and load XDP programs"
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // From here on a signal ends the demonstration in order, also while it is built.
    let signals = runtime.block_on(async { Signals::catch() })?;
    let mut stage = Stage::build(lb)?;
    let length = Duration::from_secs(seconds);
    println!("{}", stage.describe(length));
    let story = runtime.block_on(stage.play(length, signals));
    let summary = stage.finish(story?)?;
    println!("\n{summary}");
    Ok(())
}

/// What the user ends it with.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn catch() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// Everything that runs. Fields are dropped in this order.
struct Stage {
    load: Load,
    lb: Lb,
    servers: Vec<Server>,
    network: Network,
    address: SocketAddr,
}

impl Stage {
    fn build(program: &Path) -> Result<Self> {
        let network = Network::new(Layout::Routed, WEIGHTS.len() as u16)?;
        let address = network.listen(Family::V4, SERVICE_PORT);
        let mut service = Service::new("db", [address]).balance(Balance::RoundRobin);
        let mut servers = Vec::new();
        for ((index, namespace), weight) in network.servers.iter().enumerate().zip(WEIGHTS) {
            let name = format!("db{}", index + 1);
            let at = SocketAddr::new(network.server_address(index, Family::V4), SERVER_PORT);
            servers.push(Server::start(namespace, &name, at)?);
            service = service.backend(Backend::new(&name, at).weight(weight));
        }
        let services = [service];
        let config = LbConfig::new(&network, &services);
        let lb = Lb::start_in(&network.balancer, program, &config)?;
        lb.wait_settled(&services)?;
        let load = Load::start(&network.client, address)?;
        Ok(Self {
            load,
            lb,
            servers,
            network,
            address,
        })
    }

    fn describe(&self, length: Duration) -> String {
        let Check::Tcp { interval, fall, .. } = Check::QUICK else {
            unreachable!("the quick check is a TCP check")
        };
        format!(
            "\n  client --- {} [lb] {} --- db1, db2, db3    (network namespaces of their own)\n\n  \
             Clients connect to {}. An XDP program on both of lb's interfaces,\n  \
             in driver mode, sends their packets on to the servers and the answers back.\n  \
             Servers are probed every {interval:?}; {fall} failures take one out.\n  \
             This ends after {length:?}, or with Ctrl-C.\n",
            self.network.interfaces()[0],
            self.network.interfaces()[1],
            self.address,
        )
    }

    async fn play(&mut self, length: Duration, mut signals: Signals) -> Result<Story> {
        let begin = Instant::now();
        let end = sleep_until((begin + length).into());
        tokio::pin!(end);
        let mut ticks = interval(ASK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);

        let mut story = Story::new(self.servers[VICTIM].name(), length);
        let mut screen = Screen::new();
        let every = if screen.is_terminal() {
            TABLE_EVERY
        } else {
            LINE_EVERY
        };
        let mut shown = self.sample(begin)?;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = &mut end => break,
                name = signals.next() => { story.interrupt(name); break }
            }
            match story.next_act(begin.elapsed()) {
                Some(Act::Kill) => self.servers[VICTIM].stop(),
                Some(Act::Revive) => {
                    self.servers[VICTIM].restart(&self.network.servers[VICTIM])?;
                }
                None => {}
            }
            let sample = self.sample(begin)?;
            story.observe(sample.at, sample.is_up(VICTIM));
            screen.tell(&story);
            if sample.at >= shown.at + every {
                screen.show(&sample.since(&shown), &story);
                shown = sample;
            }
        }
        story.end(begin.elapsed(), self.load.failures(begin));
        Ok(story)
    }

    /// How things stand now.
    fn sample(&mut self, begin: Instant) -> Result<Sample> {
        let servers = self.lb.servers().with_context(|| {
            format!("lb does not answer; it said:\n{}", self.lb.process().log())
        })?;
        Ok(Sample {
            at: begin.elapsed(),
            servers,
            load: self.load.totals(),
        })
    }

    /// Ends everything, and says what happened and what is left.
    fn finish(mut self, story: Story) -> Result<String> {
        self.load.stop();
        let load = self.load.totals();
        let servers = self.lb.servers()?;
        let drops = self.lb.drops()?;
        let dir = self.network.dir.path().to_owned();
        let Self {
            lb,
            servers: own,
            network,
            ..
        } = self;
        lb.stop()?;
        let attached = network
            .interfaces()
            .iter()
            .map(|name| network.balancer.xdp(name))
            .collect::<Result<Vec<_>>>()?;
        ensure!(
            attached.iter().all(Option::is_none),
            "an XDP program is still attached"
        );
        drop((own, network));
        ensure!(!dir.exists(), "{} could not be removed", dir.display());
        Ok(story.summary(&load, &servers, &drops))
    }
}
