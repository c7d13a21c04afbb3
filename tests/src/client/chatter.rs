//! A connection in steady use.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::{Connection, PATIENCE};
use crate::netns::Namespace;
use crate::wait;

const PAUSE: Duration = Duration::from_millis(20);

/// One connection that makes a round trip every 20 ms, on a thread of its own, until it fails or is
/// told to stop.
#[derive(Debug)]
pub struct Chatter {
    server: String,
    trips: Arc<AtomicU64>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<io::Result<()>>,
}

impl Chatter {
    /// Connects from `namespace`; the first round trip has been made when this returns.
    pub fn start(namespace: &Namespace, address: SocketAddr) -> Result<Self> {
        let trips = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = oneshot::channel();
        let (ready, connected) = mpsc::channel();
        let counter = Arc::clone(&trips);
        let thread = namespace.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let opened = async {
                    let mut connection = Connection::open(address).await?;
                    connection.start_echo().await?;
                    connection.round_trip(b"first").await?;
                    anyhow::Ok(connection)
                };
                let mut connection = match opened.await {
                    Ok(connection) => connection,
                    Err(error) => {
                        // Whoever starts us waits for this.
                        let _ = ready.send(Err(error));
                        return Ok(());
                    }
                };
                let _ = ready.send(Ok(connection.server().to_owned()));
                tokio::select! {
                    result = talk(&mut connection, &counter) => result,
                    _ = stopped => connection.close().await,
                }
            })
        })?;
        let server = connected
            .recv()
            .map_err(|_| anyhow!("the client's thread died"))??;
        Ok(Self {
            server,
            trips,
            stop,
            thread,
        })
    }

    /// The server at the other end.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Waits until a few more round trips have been made.
    pub fn still_talks(&self) -> Result<()> {
        let goal = self.trips.load(Ordering::Relaxed) + 3;
        wait::until("the connection to go on", PATIENCE, || {
            (self.trips.load(Ordering::Relaxed) >= goal).then_some(())
        })
    }

    /// Closes it in order; an error if it failed at any time.
    pub fn finish(self) -> Result<()> {
        // Fails only when the connection did, and the thread says how.
        let _ = self.stop.send(());
        let result = self
            .thread
            .join()
            .map_err(|_| anyhow!("the client's thread panicked"))?;
        result.with_context(|| format!("the connection to {}", self.server))
    }
}

async fn talk(connection: &mut Connection, trips: &AtomicU64) -> io::Result<()> {
    loop {
        let number = trips.load(Ordering::Relaxed);
        connection
            .round_trip(format!("this is message {number}").as_bytes())
            .await?;
        trips.store(number + 1, Ordering::Relaxed);
        sleep(PAUSE).await;
    }
}
