//! The balancer under test, and HAProxy in its place.
//!
//! Tests say what is to be balanced with [`Service`]; each balancer is told so in its own words.
//! What HAProxy passes too shows that a test is sound, not only that `lb` agrees with it: set
//! `LB_TESTS_BALANCER=haproxy` to run the tests so.

mod haproxy;
mod lb;

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

pub use self::haproxy::HaProxy;
pub use self::lb::{Lb, LbConfig, find_lb};
use crate::network::Network;
use crate::skip;

/// What clients connect to, and the servers behind it.
#[derive(Clone, Debug)]
pub struct Service {
    /// Unique; its pool has the same name.
    pub name: String,
    /// Where clients connect.
    pub listen: Vec<SocketAddr>,
    /// How servers are chosen.
    pub balance: Balance,
    /// How servers are probed.
    pub check: Check,
    /// The servers.
    pub backends: Vec<Backend>,
}

/// How servers are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// In turn.
    RoundRobin,
    /// By consistent hash.
    Maglev,
}

/// How servers are probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Not at all.
    None,
    /// By connecting.
    Tcp {
        /// Start of one probe to the start of the next.
        interval: Duration,
        /// After which a probe has failed.
        timeout: Duration,
        /// Successes that bring a server up.
        rise: u32,
        /// Failures that take it down.
        fall: u32,
    },
}

impl Check {
    /// Quick enough for tests, slow enough for a busy machine.
    pub const QUICK: Self = Self::Tcp {
        interval: Duration::from_millis(200),
        timeout: Duration::from_millis(200),
        rise: 2,
        fall: 3,
    };

    /// The longest that a server may be dead before it gets no more connections.
    pub fn reaction(self) -> Duration {
        match self {
            Self::None => Duration::MAX,
            Self::Tcp {
                interval,
                timeout,
                fall,
                ..
            } => interval * fall + timeout,
        }
    }

    /// The longest that a server may be back before it gets connections again.
    pub fn recovery(self) -> Duration {
        match self {
            Self::None => Duration::MAX,
            Self::Tcp {
                interval,
                timeout,
                rise,
                ..
            } => interval * rise + timeout,
        }
    }
}

/// A server of a [`Service`].
#[derive(Clone, Debug)]
pub struct Backend {
    /// Unique in its service.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its share of new connections.
    pub weight: u16,
    /// Used only when no other is up.
    pub backup: bool,
    /// Probed there instead.
    pub check_port: Option<u16>,
}

impl Service {
    /// A service in turn over no servers yet, probed quickly.
    pub fn new(name: &str, listen: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self {
            name: name.to_owned(),
            listen: listen.into_iter().collect(),
            balance: Balance::RoundRobin,
            check: Check::QUICK,
            backends: Vec::new(),
        }
    }

    /// Chooses servers by `balance`.
    #[must_use]
    pub fn balance(mut self, balance: Balance) -> Self {
        self.balance = balance;
        self
    }

    /// Adds a server.
    #[must_use]
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backends.push(backend);
        self
    }
}

impl Backend {
    /// A server with weight 1.
    pub fn new(name: &str, address: SocketAddr) -> Self {
        Self {
            name: name.to_owned(),
            address,
            weight: 1,
            backup: false,
            check_port: None,
        }
    }

    /// Gives it another weight.
    #[must_use]
    pub fn weight(mut self, weight: u16) -> Self {
        self.weight = weight;
        self
    }

    /// Makes it a backup.
    #[must_use]
    pub fn backup(mut self) -> Self {
        self.backup = true;
        self
    }

    /// Probes it at another port.
    #[must_use]
    pub fn check_port(mut self, port: u16) -> Self {
        self.check_port = Some(port);
        self
    }
}

/// What a busy machine may add to any of the balancer's own times.
pub const SLACK: Duration = Duration::from_secs(2);
/// From a check's result to the maps.
const SPREAD: Duration = Duration::from_millis(100);

/// The balancer that the tests run with.
#[derive(Debug)]
pub enum Balancer {
    /// The product.
    Lb(Lb),
    /// What shows that a test is sound.
    HaProxy(HaProxy),
}

impl Balancer {
    /// Starts the balancer in `network` and waits until it forwards to every server that answers.
    pub fn start(network: &Network, services: &[Service]) -> Result<Self> {
        Ok(if Self::is_rival() {
            Self::HaProxy(HaProxy::start(network, services)?)
        } else {
            let lb = Lb::start(network, &LbConfig::new(network, services))?;
            lb.wait_settled(services)?;
            Self::Lb(lb)
        })
    }

    /// Waits until it has found that server `name`, probed by `check`, is gone or is back, and
    /// acts on it.
    pub fn wait_noticed(&self, name: &str, up: bool, check: Check) -> Result<()> {
        let (state, limit) = match up {
            true => ("up", check.recovery() + SLACK),
            false => ("down", check.reaction() + SLACK),
        };
        match self {
            Self::Lb(lb) => lb.wait_state(name, state, limit)?,
            Self::HaProxy(_) => sleep(limit),
        }
        sleep(SPREAD);
        Ok(())
    }

    /// What it says of itself, for whoever wonders why a test failed.
    pub fn account(&self) -> String {
        match self {
            Self::Lb(lb) => lb.account(),
            Self::HaProxy(_) => String::new(),
        }
    }

    /// Whether HAProxy takes the place of `lb` in this run.
    pub fn is_rival() -> bool {
        std::env::var_os("LB_TESTS_BALANCER").is_some_and(|name| name == "haproxy")
    }

    /// For tests of what only `lb` does: `true`, and the test reported as skipped, where HAProxy
    /// takes its place.
    pub fn skip_rival() -> bool {
        let rival = Self::is_rival();
        if rival {
            skip::skip("does not apply to HAProxy");
        }
        rival
    }
}
