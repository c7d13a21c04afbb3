//! The agent: the only place that wires things together.
//!
//! Everything runs on one thread, on which one loop owns the order of events; the control socket
//! reads maps on blocking threads of its own. Tasks beside the loop:
//!
//! ```text
//! health checks ──HealthView──┐
//! netlink ─────────Network────┤
//!                             ├─> desired state ─> reconciler ─> maps
//! time to retry ──────────────┘                        │
//! control socket <── documents <── counters, flows <───┤
//! connection log <── connections that have ended <─────┘
//! ```
//!
//! Both views are watched, so changes that come while a round is under way are taken in together by
//! the next. When the loop ends, for whatever reason, the program is detached and the control
//! socket removed.

mod connections;
mod documents;
mod inventory;
pub(crate) mod notify;
pub(crate) mod preflight;
mod process;
mod selection;
mod signals;
mod tell;

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use crate::config::Config;
use crate::control::{self, Socket};
use crate::dataplane::kernel::{self, Kernel};
use crate::desired::{DesiredState, desired};
use crate::health::{self, Checks};
use crate::log;
use crate::neighbour::{self, Network};
use crate::reconcile::Reconciler;
use connections::ConnectionLog;
use inventory::Inventory;
use notify::{State, notify};
use signals::Signals;
use tell::Line;

/// How long the start waits for the first result of every check.
const FIRST_CHECKS: Duration = Duration::from_secs(3);
/// How long it waits for every next hop: who is there answers within milliseconds.
const FIRST_WAYS: Duration = Duration::from_secs(1);
/// How often a part of the flow table is looked through for flows whose time is up.
const EXPIRY: Duration = Duration::from_millis(100);

/// The agent cannot start, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something is missing on this host, or was not said.
    #[error(transparent)]
    Preflight(#[from] preflight::Error),
    /// No control socket.
    #[error("control socket: {0}")]
    Socket(#[from] control::socket::Error),
    /// The kernel does not take the program.
    #[error(transparent)]
    Load(#[from] kernel::LoadError),
    /// The kernel does not take the program on an interface.
    #[error(transparent)]
    Attach(#[from] kernel::AttachError),
    /// No event loop, or no signals.
    #[error("starting the event loop: {0}")]
    Runtime(#[source] io::Error),
    /// A task that never ends did.
    #[error("a task of the agent has ended: {0} (a bug, please report it)")]
    TaskEnded(String),
}

impl Error {
    /// Whether the command line is to be changed, and not the host.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Preflight(preflight::Error::NoInterface))
    }
}

/// Balances as `config` says until a signal ends it. `file` is where it came from.
pub fn run(config: Config, file: PathBuf) -> Result<(), Error> {
    log::start(&config.log);
    preflight::check(&config.dataplane.interfaces)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let result = runtime.block_on(run_until_stopped(config, file));
    // Control clients may still be reading maps; what they hold is theirs.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn run_until_stopped(config: Config, file: PathBuf) -> Result<(), Error> {
    let mut signals = Signals::new().map_err(Error::Runtime)?;
    // First of all, so that a second agent is refused before it touches an interface.
    let socket = Socket::bind(&config.control)?;
    let mut agent = Agent::load(config)?;
    tokio::select! {
        signal = signals.stop() => {
            tracing::info!("{signal}: stopping");
            return Ok(());
        }
        attached = agent.attach() => attached?,
    }
    agent.serve(socket, file);
    agent.say_ready();
    let result = tokio::select! {
        signal = signals.stop() => {
            tracing::info!("{signal}: stopping");
            Ok(())
        }
        ended = agent.follow() => ended,
    };
    if let Err(error) = notify(State::Stopping) {
        tracing::debug!("sd_notify: {error}");
    }
    // Dropping the agent detaches the program and ends the tasks, the control socket among them.
    result
}

/// A loaded data path and everything that keeps it right.
struct Agent {
    /// Goes first: it writes what is still to be written while there are names for it.
    _connections: Option<ConnectionLog>,
    config: Arc<Config>,
    started: Instant,
    reconciler: Arc<Mutex<Reconciler<Kernel>>>,
    /// What the maps should have said after the last round.
    desired: DesiredState,
    /// The network as of the last round.
    network: Network,
    retry_at: Option<Instant>,
    health: health::Reports,
    ways: neighbour::watch::Reports,
    /// When expiry ran last, and whether it failed then.
    expired: Instant,
    expiry_fails: bool,
    tasks: JoinSet<()>,
}

impl Agent {
    /// Loads the programs and starts to look around. Packets are not touched yet.
    fn load(config: Config) -> Result<Self, Error> {
        let started = Instant::now();
        let mut plane = Kernel::load(&config)?;
        let events = config.log.connections.then(|| plane.take_events());
        let events = events.transpose()?;
        let reconciler = Arc::new(Mutex::new(Reconciler::new(plane)));
        let connections = events
            .map(|events| ConnectionLog::start(events, reconciler.clone()))
            .transpose()
            .map_err(Error::Runtime)?;
        let mut tasks = JoinSet::new();

        let (mut checks, health) = Checks::new(health::probe::probe);
        checks.set(health::driver::targets(&config));
        tasks.spawn(checks.run());

        let interfaces = config.dataplane.interfaces.iter().cloned();
        let (watch, ways) = neighbour::watch::Watch::new(interfaces, servers(&config));
        tasks.spawn(watch.run());

        Ok(Self {
            _connections: connections,
            config: Arc::new(config),
            started,
            reconciler,
            desired: DesiredState::default(),
            network: Network::default(),
            retry_at: None,
            health,
            ways,
            expired: started,
            expiry_fails: false,
            tasks,
        })
    }

    /// Fills the maps with what is known after a first look around, and only then attaches: the
    /// first packet finds everything in place.
    async fn attach(&mut self) -> Result<(), Error> {
        tokio::join!(
            self.health.first_round(FIRST_CHECKS),
            self.ways.first_round(FIRST_WAYS)
        );
        self.round();
        let mut reconciler = lock(&self.reconciler);
        for name in &self.config.dataplane.interfaces {
            let plane = reconciler.plane_mut();
            let mode = plane.attach(name, self.config.dataplane.xdp_mode)?;
            tracing::info!("interface {name}: attached in {mode} mode");
        }
        Ok(())
    }

    fn serve(&mut self, socket: Socket, file: PathBuf) {
        let inventory = Inventory {
            config: self.config.clone(),
            file,
            started: self.started,
            reconciler: self.reconciler.clone(),
            health: self.health.clone(),
            network: self.ways.network.clone(),
        };
        self.tasks
            .spawn(control::serve(socket, Arc::new(inventory)));
    }

    fn say_ready(&self) {
        let services = self.config.services.len();
        let plural = if services == 1 { "" } else { "s" };
        let interfaces = self.config.dataplane.interfaces.join(", ");
        tracing::info!("ready: {services} service{plural} on {interfaces}");
        if let Err(error) = notify(State::Ready) {
            tracing::warn!("sd_notify: {error}");
        }
    }

    /// Goes on until something breaks.
    async fn follow(&mut self) -> Result<(), Error> {
        let mut expiry = interval(EXPIRY);
        expiry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let retry_at = self.retry_at.map(tokio::time::Instant::from_std);
            tokio::select! {
                Ok(()) = self.health.view.changed() => self.round(),
                Ok(()) = self.ways.network.changed() => {
                    self.round();
                    self.attach_anew();
                }
                () = sleep_until(retry_at.unwrap_or_else(tokio::time::Instant::now)), if retry_at.is_some() => {
                    self.round();
                }
                _ = expiry.tick() => self.expire(),
                Some(ended) = self.tasks.join_next() => {
                    let why = ended.map_or_else(|error| error.to_string(), |()| "no reason".to_owned());
                    return Err(Error::TaskEnded(why));
                }
            }
        }
    }

    /// Brings the maps to what they should say now.
    fn round(&mut self) {
        let health = self.health.view.borrow_and_update().clone();
        let network = self.ways.network.borrow_and_update().clone();
        let desired = desired(&self.config, &health, &network);
        let report = lock(&self.reconciler).reconcile(&desired, Instant::now());
        self.retry_at = report.retry_at;
        self.tell(&network, &desired);
        if report.changed > 0 {
            tracing::debug!("{} changes to the maps", report.changed);
        }
        for error in report.failed {
            tracing::error!("{}", log::causes(&error).join(": "));
        }
        self.network = network;
        self.desired = desired;
    }

    fn tell(&self, network: &Network, desired: &DesiredState) {
        let servers: Vec<_> = servers(&self.config).collect();
        // At the start everything is new, and only what is wrong is worth a line.
        let first = self.network == Network::default();
        let ways = tell::changes(&self.network, network, &servers).into_iter();
        let ways = ways.filter(|line| !first || matches!(line, Line::Warn(_)));
        for line in ways.chain(tell::shares(&self.desired, desired)) {
            match line {
                Line::Info(text) => tracing::info!("{text}"),
                Line::Warn(text) => tracing::warn!("{text}"),
            }
        }
    }

    /// An interface that was removed and made anew has another index, and no program.
    fn attach_anew(&mut self) {
        let mut reconciler = lock(&self.reconciler);
        for (index, link) in &self.network.links {
            let plane = reconciler.plane_mut();
            if plane.interfaces().iter().any(|known| known.index == *index) {
                continue;
            }
            match plane.attach(&link.name, self.config.dataplane.xdp_mode) {
                Ok(mode) => tracing::info!("interface {}: attached in {mode} mode", link.name),
                Err(error) => tracing::error!("{}", log::causes(&error).join(": ")),
            }
        }
    }

    fn expire(&mut self) {
        let elapsed = std::mem::replace(&mut self.expired, Instant::now()).elapsed();
        let result = lock(&self.reconciler).plane_mut().expire(elapsed);
        if let Err(error) = &result
            && !self.expiry_fails
        {
            let why = log::causes(error).join(": ");
            tracing::error!("{why}; flows that have ended keep their entries");
        }
        self.expiry_fails = result.is_err();
    }
}

/// Every server's address, once.
fn servers(config: &Config) -> impl Iterator<Item = IpAddr> {
    let servers = config.pools.iter().flat_map(|pool| &pool.servers);
    let addresses: std::collections::BTreeSet<_> = servers.map(|s| s.address.ip()).collect();
    addresses.into_iter()
}

/// A panic elsewhere leaves the reconciler as it was between two steps, which it is made for.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
