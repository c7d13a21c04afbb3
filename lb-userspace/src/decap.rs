//! `lb decap`: on a server, takes packets out of the tunnels of `forward: ipip` and `gue`.
//!
//! One thread. A loop keeps the program's idea of this host's addresses right (rtnetlink says when
//! they change), puts the program back on an interface that was made anew, and ends on a signal; the
//! program goes with the process.

mod addresses;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::stream::StreamExt;
use ipnet::IpNet;
use lb_common::decap::Fate;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};

use crate::app::notify::{State, notify};
use crate::app::preflight;
use crate::config::{Log, XdpMode};
use crate::dataplane::MapError;
use crate::dataplane::kernel::{AttachError, Decap, LoadError, ReadError};
use crate::log;
use crate::neighbour::netlink::{self, Event, Netlink};

/// Changes come in flocks.
const SETTLE: Duration = Duration::from_millis(50);
/// Until netlink is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What the command line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where tunnels come in; not empty.
    pub interfaces: Vec<String>,
    /// How to attach.
    pub mode: XdpMode,
    /// Where tunnels may come from; empty: anywhere.
    pub from: BTreeSet<IpNet>,
    /// What tunnelled packets may be for, of this host's addresses; empty: any.
    pub vips: BTreeSet<IpAddr>,
}

/// Tunnels cannot be taken off, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something is missing on this host.
    #[error(transparent)]
    Preflight(#[from] preflight::Error),
    /// The kernel does not take the program.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The kernel does not take the program on an interface.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The kernel does not say which addresses it has.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// A set of addresses cannot be written.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The counters cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// No event loop, or no signals.
    #[error("starting the event loop: {0}")]
    Runtime(#[source] io::Error),
}

/// Takes tunnels off until a signal ends it. `report` gets the counters then, and on SIGUSR1.
pub fn run(options: &Options, report: impl Fn(&[(Fate, u64)])) -> Result<(), Error> {
    log::start(&Log::default());
    preflight::check(&options.interfaces)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    runtime.block_on(run_until_stopped(options, report))
}

async fn run_until_stopped(
    options: &Options,
    report: impl Fn(&[(Fate, u64)]),
) -> Result<(), Error> {
    let stream = |kind| signal(kind).map_err(Error::Runtime);
    let mut terminate = stream(SignalKind::terminate())?;
    let mut interrupt = stream(SignalKind::interrupt())?;
    let mut asked = stream(SignalKind::user_defined1())?;

    let mut decap = Decap::load(&options.from)?;
    // Before the first packet comes, the program knows what is for this host.
    take_addresses(&mut decap, &Netlink::open()?, &options.vips).await?;
    for name in &options.interfaces {
        attach(&mut decap, name, options.mode)?;
    }
    say_ready(options);
    let stopped = loop {
        tokio::select! {
            _ = terminate.recv() => break "SIGTERM",
            _ = interrupt.recv() => break "SIGINT",
            _ = asked.recv() => report(&decap.fates()?),
            error = follow(&mut decap, options) => {
                tracing::warn!("{error}; this host's addresses stay as known so far");
                sleep(RETRY).await;
            }
        }
    };
    tracing::info!("{stopped}: stopping");
    if let Err(error) = notify(State::Stopping) {
        tracing::debug!("sd_notify: {error}");
    }
    report(&decap.fates()?);
    Ok(())
}

fn say_ready(options: &Options) {
    if options.from.is_empty() {
        tracing::warn!(
            "tunnels are taken from any address: who can send to this host can give packets any \
             source address; name the balancers with --from"
        );
    }
    tracing::info!(
        "ready: taking ipip and gue tunnels off on {}",
        options.interfaces.join(", ")
    );
    if let Err(error) = notify(State::Ready) {
        tracing::warn!("sd_notify: {error}");
    }
}

/// Follows this host's addresses and interfaces until netlink breaks.
async fn follow(decap: &mut Decap, options: &Options) -> Error {
    let result: Result<(), Error> = async {
        let mut events = netlink::events()?;
        let netlink = Netlink::open()?;
        // What changed while nobody listened.
        let mut read_at = Some(Instant::now());
        loop {
            tokio::select! {
                () = sleep_until(read_at.unwrap_or_else(Instant::now)), if read_at.is_some() => {
                    read_at = None;
                    take_addresses(decap, &netlink, &options.vips).await?;
                    attach_anew(decap, options);
                }
                event = events.next() => match event.ok_or(netlink::Error::Lost)? {
                    Event::Neighbour(..) => {}
                    Event::Topology | Event::Lost => {
                        read_at.get_or_insert_with(|| Instant::now() + SETTLE);
                    }
                }
            }
        }
    }
    .await;
    match result {
        Err(error) => error,
        Ok(()) => netlink::Error::Lost.into(),
    }
}

async fn take_addresses(
    decap: &mut Decap,
    netlink: &Netlink,
    vips: &BTreeSet<IpAddr>,
) -> Result<(), Error> {
    let here = addresses::reachable(netlink.local().await?);
    decap.set_inside(&addresses::inside(&here, vips))?;
    decap.set_here(&here)?;
    Ok(())
}

fn attach(decap: &mut Decap, name: &str, mode: XdpMode) -> Result<(), AttachError> {
    if let Some(attached) = decap.attach(name, mode)? {
        tracing::info!("interface {name}: attached in {} mode", attached.mode);
    }
    Ok(())
}

/// An interface that was removed and made anew has another index, and no program.
fn attach_anew(decap: &mut Decap, options: &Options) {
    for name in &options.interfaces {
        match attach(decap, name, options.mode) {
            // It may come back.
            Ok(()) | Err(AttachError::NoInterface(_)) => {}
            Err(error) => tracing::error!("{}", log::causes(&error).join(": ")),
        }
    }
}
