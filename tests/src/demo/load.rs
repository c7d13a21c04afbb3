//! The clients.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::client::Connect;
use crate::netns::Namespace;

/// How one kind of client behaves: connects, asks, waits for the answer, pauses, asks again, and
/// after some requests closes and begins anew.
#[derive(Clone, Copy, Debug)]
struct Habit {
    clients: usize,
    requests: u32,
    pause: Duration,
}

/// Like applications with a connection pool.
const LASTING: Habit = Habit {
    clients: 24,
    requests: 400,
    pause: Duration::from_millis(8),
};
/// Like scripts that connect for every few requests.
const BRIEF: Habit = Habit {
    clients: 8,
    requests: 4,
    pause: Duration::from_millis(4),
};

const MESSAGE: [u8; 256] = [b'x'; 256];
const PATIENCE: Duration = Duration::from_secs(2);
/// Before a client that has failed tries again.
const RETRY: Duration = Duration::from_millis(10);

/// Clients at work on a thread of their own.
#[derive(Debug)]
pub(super) struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    done: AtomicBool,
    requests: AtomicU64,
    connections: AtomicU64,
    /// When, and whether the connection had been open.
    failures: Mutex<Vec<(Instant, bool)>>,
}

/// What clients have done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Requests answered.
    pub(super) requests: u64,
    /// Connections opened.
    pub(super) connections: u64,
    /// Connections or requests that failed.
    pub(super) errors: u64,
}

/// A connection or request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// When the client saw it, from the start of the demonstration.
    pub(super) at: Duration,
    /// Whether the connection had been open.
    pub(super) open: bool,
}

impl Load {
    /// Sets clients in `namespace` to work on the service at `address`.
    pub(super) fn start(namespace: &Namespace, address: SocketAddr) -> Result<Self> {
        let shared = Arc::<Shared>::default();
        let for_thread = Arc::clone(&shared);
        let thread = namespace.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("the process has file descriptors left");
            runtime.block_on(work(address, &for_thread));
        })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Lets every client close its connection, and waits until they have.
    pub(super) fn stop(&mut self) {
        self.shared.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic has been reported on its thread.
            let _ = thread.join();
        }
    }

    /// What they have done.
    pub(super) fn totals(&self) -> Totals {
        Totals {
            requests: self.shared.requests.load(Ordering::Relaxed),
            connections: self.shared.connections.load(Ordering::Relaxed),
            errors: self.shared.failures().len() as u64,
        }
    }

    /// What went wrong, in order. `begin` is the start of the demonstration.
    pub(super) fn failures(&self, begin: Instant) -> Vec<Failure> {
        let failures = self.shared.failures();
        let relative = |&(at, open): &(Instant, bool)| Failure {
            at: at.saturating_duration_since(begin),
            open,
        };
        failures.iter().map(relative).collect()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn failures(&self) -> MutexGuard<'_, Vec<(Instant, bool)>> {
        // A list is whole whenever a panic comes.
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }
}

async fn work(address: SocketAddr, shared: &Arc<Shared>) {
    let mut clients = JoinSet::new();
    for habit in [LASTING, BRIEF] {
        for number in 0..habit.clients {
            // They would all reconnect at once if they had all begun at once.
            let first = habit.requests * (number as u32 + 1) / habit.clients as u32;
            clients.spawn(client(address, habit, first, Arc::clone(shared)));
        }
    }
    clients.join_all().await;
}

async fn client(address: SocketAddr, habit: Habit, first: u32, shared: Arc<Shared>) {
    let mut requests = first;
    while !shared.is_done() {
        if let Err(Broken { open }) = session(address, requests, habit.pause, &shared).await {
            shared.failures().push((Instant::now(), open));
            sleep(RETRY).await;
        }
        requests = habit.requests;
    }
}

/// A connection failed: had it been open?
struct Broken {
    open: bool,
}

async fn session(
    address: SocketAddr,
    requests: u32,
    pause: Duration,
    shared: &Shared,
) -> std::result::Result<(), Broken> {
    let connect = Connect {
        patience: PATIENCE,
        ..Connect::default()
    };
    let mut connection = connect
        .to(address)
        .await
        .map_err(|_| Broken { open: false })?;
    shared.connections.fetch_add(1, Ordering::Relaxed);
    let broken = |_| Broken { open: true };
    connection.start_echo().await.map_err(broken)?;
    for _ in 0..requests {
        connection.round_trip(&MESSAGE).await.map_err(broken)?;
        shared.requests.fetch_add(1, Ordering::Relaxed);
        sleep(pause).await;
        if shared.is_done() {
            break;
        }
    }
    connection.close().await.map_err(broken)
}
