//! Measurements: what a packet costs, how many go through, what users of a balancer see.
//!
//! They say what this machine does now. Nothing here fails because a figure is low; it fails when
//! what was measured is not what was meant, such as when packets were dropped and not forwarded.

mod cost;
mod flows;
mod listing;
mod memory;
mod pps;
mod prefixes;
mod redis;
mod report;
mod world;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::Pid;

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Nanoseconds per packet.
    Cost,
    /// Packets per second.
    Pps,
    /// Access lists of one to 100,000 prefixes.
    Prefixes,
    /// redis-benchmark through the balancer, beside others.
    Redis,
    /// Verified instructions and memory.
    Memory,
    /// `lb show flows` at a million.
    Listing,
}

impl Part {
    /// All parts, in the order in which they run.
    pub const ALL: [Self; 6] = [
        Self::Cost,
        Self::Pps,
        Self::Prefixes,
        Self::Redis,
        Self::Memory,
        Self::Listing,
    ];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cost => "cost",
            Self::Pps => "pps",
            Self::Prefixes => "prefixes",
            Self::Redis => "redis",
            Self::Memory => "memory",
            Self::Listing => "listing",
        }
    }
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How often each figure is taken.
    rounds: usize,
    /// Packets in one of them; more where there are more flows.
    packets: u32,
    /// How often redis-benchmark runs each way.
    redis_rounds: usize,
}

impl Effort {
    /// For figures to publish.
    pub const FULL: Self = Self {
        rounds: 9,
        packets: 1 << 19,
        redis_rounds: 7,
    };
    /// For figures to work with.
    pub const QUICK: Self = Self {
        rounds: 5,
        packets: 1 << 18,
        redis_rounds: 3,
    };
}

/// Flows that packets are measured with: one, what the first cache holds, what the second does, and
/// what none does.
const FLOWS: [u32; 4] = [1, 1 << 10, 1 << 16, 1 << 20];

/// Measures a part and prints what was found. `lb` is the balancer's program.
///
/// # Errors
/// When it cannot be measured here, or something else than meant was measured.
pub fn run(part: Part, effort: Effort, lb: &Path) -> Result<()> {
    match part {
        Part::Cost => cost::run(effort),
        Part::Pps => pps::run(effort),
        Part::Prefixes => prefixes::run(effort),
        Part::Redis => redis::run(effort, lb),
        Part::Memory => memory::run(lb),
        Part::Listing => listing::run(effort, lb),
    }
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Lets Ctrl-C and SIGTERM end [`run`] at the next round, so that what it made is taken away again.
///
/// # Errors
/// When the kernel refuses the handler.
pub fn end_on_signals() -> Result<()> {
    extern "C" fn interrupt(_: libc::c_int) {
        INTERRUPTED.store(true, Ordering::Relaxed);
    }
    // Without SA_RESTART: a test run in progress ends at once.
    let action = SigAction::new(
        SigHandler::Handler(interrupt),
        SaFlags::empty(),
        SigSet::empty(),
    );
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: the handler does nothing but store to an atomic.
        unsafe { sigaction(signal, &action) }?;
    }
    Ok(())
}

/// An error once a signal has come.
fn go_on() -> Result<()> {
    ensure!(!INTERRUPTED.load(Ordering::Relaxed), "interrupted");
    Ok(())
}

/// Keeps the calling thread on one processor, the last that it may use: moved in mid-measurement, it
/// would start with cold caches.
fn stay_on_one_cpu() -> Result<()> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this)?;
    let last = (0..CpuSet::count())
        .rev()
        .find(|&cpu| allowed.is_set(cpu) == Ok(true));
    let mut only = CpuSet::new();
    only.set(last.context("a thread may use some processor")?)?;
    Ok(sched_setaffinity(this, &only)?)
}
