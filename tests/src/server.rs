//! A small TCP server that says who it is.
//!
//! The conversation: the server sends its name and a newline. The client then sends one line:
//!
//! ```text
//! echo                       everything that follows comes back
//! whence                     the server says which address and port it sees the client at
//! stream TAKE SEND SEED      the client sends TAKE bytes of the pattern of SEED while the server
//!                            sends SEND bytes of the pattern of SEED + 1; when it has them all, the
//!                            server says "ok" or what was wrong, in one line
//! ```
//!
//! Only who sends such a line counts as served: health checks connect and say nothing.

mod conversation;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;

use self::conversation::converse;
pub(crate) use self::conversation::{CHUNK, send_pattern, take_pattern};
use crate::netns::Namespace;

/// Connections that may wait to be accepted: more than any test opens at once.
const BACKLOG: u32 = 4096;

/// A server in a namespace, on a thread of its own. Stops when dropped.
#[derive(Debug)]
pub struct Server {
    name: String,
    address: SocketAddr,
    counters: Arc<Counters>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Counters {
    accepted: AtomicU64,
    served: AtomicU64,
    open: AtomicU64,
}

impl Server {
    /// Starts one; it accepts connections when this returns.
    pub fn start(namespace: &Namespace, name: &str, address: SocketAddr) -> Result<Self> {
        let mut server = Self {
            name: name.to_owned(),
            address,
            counters: Arc::default(),
            running: None,
        };
        server.restart(namespace)?;
        Ok(server)
    }

    /// Starts it again after [`Self::stop`].
    pub fn restart(&mut self, namespace: &Namespace) -> Result<()> {
        self.stop();
        let (stop, stopped) = oneshot::channel();
        let (ready, listening) = std::sync::mpsc::channel();
        let (name, address, counters) = (self.name.clone(), self.address, self.counters.clone());
        let thread = namespace.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("the process has file descriptors left");
            runtime.block_on(async {
                let listener = listen(address);
                let failed = listener.as_ref().err().map(ToString::to_string);
                // Whoever starts us waits for this.
                let _ = ready.send(failed);
                if let Ok(listener) = listener {
                    tokio::select! {
                        () = accept(listener, &name, &counters) => {}
                        _ = stopped => {}
                    }
                }
            });
            // Dropping the runtime drops every conversation, which resets its connection.
        })?;
        match listening.recv().context("the server's thread died")? {
            None => self.running = Some(Running { stop, thread }),
            Some(error) => {
                return Err(anyhow!(
                    "{} cannot listen on {}: {error}",
                    self.name,
                    self.address
                ));
            }
        }
        Ok(())
    }

    /// Closes the listener and resets every connection, as a killed process does.
    pub fn stop(&mut self) {
        if let Some(Running { stop, thread }) = self.running.take() {
            // Both fail only where the thread is gone already.
            let _ = stop.send(());
            let _ = thread.join();
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted since the first start, health checks included.
    pub fn accepted(&self) -> u64 {
        self.counters.accepted.load(Ordering::Relaxed)
    }

    /// Connections on which a client asked for something, since the first start.
    pub fn served(&self) -> u64 {
        self.counters.served.load(Ordering::Relaxed)
    }

    /// Connections open now on which a client asked for something.
    pub fn open(&self) -> u64 {
        self.counters.open.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept(listener: TcpListener, name: &str, counters: &Arc<Counters>) {
    loop {
        // Accepting fails when the client is gone already or descriptors run out; both pass.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        counters.accepted.fetch_add(1, Ordering::Relaxed);
        let (name, counters) = (name.to_owned(), Arc::clone(counters));
        tokio::spawn(async move {
            // How a conversation ends is the client's business; it checks what it got.
            let _ = converse(stream, &name, &counters).await;
        });
    }
}
