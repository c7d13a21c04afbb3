//! Answers on the control socket.
//!
//! Each client has a task of its own, with a limit on what it may send and on how long it may stand
//! still; the documents are put together on blocking threads. Neither a client that sends rubbish
//! nor one that never reads costs the agent more than that task. The list of flows is written while
//! the table is read, so its length costs no memory.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::protocol::{
    Bans, DEFAULT_FLOW_LIMIT, Drops, FLOWS_BEGIN, Flow, FlowsEnd, Info, Refusal, Request,
    Selection, Servers, Services, Show, What,
};
use super::socket::Socket;

/// Clients served at once; one more is turned away.
const CLIENTS: usize = 16;
/// Longest request, in bytes.
const REQUEST_MAX: u64 = 4096;
/// How long a client may take to send its request, and each time to take the next part of the
/// answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a client that was refused may go on sending.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes of flows put together before they are written.
const CHUNK: usize = 32 * 1024;

/// Why a document cannot be had, for people.
pub type Unavailable = Box<dyn std::error::Error + Send + Sync>;

/// What the agent knows, as documents. All of it may block.
#[expect(missing_docs, reason = "each is named after its document")]
pub trait Inventory: Send + Sync + 'static {
    fn services(&self) -> Result<Services, Unavailable>;
    fn servers(&self) -> Result<Servers, Unavailable>;
    /// Calls `visit` with each flow of the selection until it breaks off.
    fn flows(
        &self,
        select: &Selection,
        visit: &mut dyn FnMut(Flow) -> ControlFlow<()>,
    ) -> Result<(), Unavailable>;
    fn drops(&self) -> Result<Drops, Unavailable>;
    fn bans(&self) -> Result<Bans, Unavailable>;
    fn info(&self) -> Result<Info, Unavailable>;
}

/// Serves clients until the future is dropped.
pub async fn serve(socket: Socket, inventory: Arc<impl Inventory>) {
    let places = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let stream = match socket.listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("control socket: {error}");
                // Out of descriptors: the client waits in the queue for some to be free again.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            let refusal = Refusal {
                error: format!("{CLIENTS} clients are being served already"),
            };
            // Best effort, and nothing to wait for: it fits the socket's buffer.
            let _ = stream.try_write(&line(&refusal));
            continue;
        };
        let inventory = inventory.clone();
        tokio::spawn(async move {
            if let Err(error) = client(stream, inventory).await {
                tracing::debug!("control client: {error}");
            }
            drop(place);
        });
    }
}

async fn client(mut stream: UnixStream, inventory: Arc<impl Inventory>) -> io::Result<()> {
    let request = timeout(PATIENCE, request(&mut stream))
        .await
        .unwrap_or_else(|_| {
            Err(Refusal {
                error: format!("no request within {PATIENCE:?}"),
            })
        });
    let request = match request {
        Ok(request) => request,
        Err(refusal) => return refuse(&mut stream, &refusal).await,
    };
    let Request::Show(Show {
        what,
        limit,
        select,
    }) = request;
    if what != What::Flows && !select.is_everything() {
        let error = "only flows can be selected".to_owned();
        return refuse(&mut stream, &Refusal { error }).await;
    }
    let document = match what {
        What::Flows => {
            let limit = limit.unwrap_or(DEFAULT_FLOW_LIMIT);
            return flows(&mut stream, inventory, limit, select).await;
        }
        What::Services => read(move || inventory.services()).await,
        What::Servers => read(move || inventory.servers()).await,
        What::Drops => read(move || inventory.drops()).await,
        What::Bans => read(move || inventory.bans()).await,
        What::Info => read(move || inventory.info()).await,
    };
    write(&mut stream, &document).await
}

/// Says why not. What the client sends beyond that is thrown away for a moment: closing a socket
/// with unread bytes would make the client see an error in place of the reason.
async fn refuse(stream: &mut UnixStream, refusal: &Refusal) -> io::Result<()> {
    write(stream, &line(refusal)).await?;
    stream.shutdown().await?;
    let mut discarded = [0; 4096];
    let drain = async {
        while stream.read(&mut discarded).await? > 0 {}
        Ok(())
    };
    timeout(LINGER, drain).await?
}

/// Reads the one line that a client may send.
async fn request(stream: &mut UnixStream) -> Result<Request, Refusal> {
    let mut text = Vec::new();
    let mut limited = BufReader::new(stream.take(REQUEST_MAX));
    let read = limited.read_until(b'\n', &mut text).await;
    let error = match read {
        Err(error) => format!("reading the request: {error}"),
        Ok(length) if length as u64 == REQUEST_MAX && text.last() != Some(&b'\n') => {
            format!("the request is longer than {REQUEST_MAX} bytes")
        }
        Ok(_) => match serde_json::from_slice(&text) {
            Ok(request) => return Ok(request),
            Err(error) => format!("the request is not understood: {error}"),
        },
    };
    Err(Refusal { error })
}

/// A document, or what stands in its place.
async fn read<T: Serialize>(
    document: impl FnOnce() -> Result<T, Unavailable> + Send + 'static,
) -> Vec<u8> {
    let read = spawn_blocking(|| match document() {
        Ok(document) => line(&document),
        Err(error) => line(&Refusal {
            error: error.to_string(),
        }),
    });
    read.await.unwrap_or_else(|_| {
        line(&Refusal {
            error: "a bug: see the agent's log".to_owned(),
        })
    })
}

/// Writes [`super::protocol::Flows`] while the table is read.
async fn flows(
    stream: &mut UnixStream,
    inventory: Arc<impl Inventory>,
    limit: u64,
    select: Selection,
) -> io::Result<()> {
    let (chunks, mut ready) = mpsc::channel::<Vec<u8>>(2);
    // When the client goes away `ready` is dropped, sending fails and the reading ends.
    let reading = spawn_blocking(move || {
        let mut list = FlowList {
            buffer: format!("{FLOWS_BEGIN}\n").into_bytes(),
            shown: 0,
            limit,
            chunks,
        };
        let result = inventory.flows(&select, &mut |flow| list.push(&flow));
        list.finish(result);
    });
    while let Some(chunk) = ready.recv().await {
        write(stream, &chunk).await?;
    }
    reading.await.map_err(io::Error::other)
}

struct FlowList {
    buffer: Vec<u8>,
    shown: u64,
    limit: u64,
    chunks: mpsc::Sender<Vec<u8>>,
}

impl FlowList {
    fn push(&mut self, flow: &Flow) -> ControlFlow<()> {
        if self.shown == self.limit {
            // One more than is listed: the list is cut.
            self.shown += 1;
            return ControlFlow::Break(());
        }
        if self.shown > 0 {
            self.buffer.extend_from_slice(b",\n");
        }
        self.shown += 1;
        append(&mut self.buffer, flow);
        if self.buffer.len() < CHUNK {
            return ControlFlow::Continue(());
        }
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK + 512));
        match self.chunks.blocking_send(chunk) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    fn finish(mut self, result: Result<(), Unavailable>) {
        let truncated = self.shown > self.limit;
        let shown = self.shown.min(self.limit);
        let end = match result {
            Ok(()) => {
                let before = if self.shown > 0 && self.limit > 0 {
                    "\n"
                } else {
                    ""
                };
                format!("{before}{}\n", FlowsEnd { shown, truncated }.line())
            }
            // Unreadable as JSON on purpose: half a list must not pass for a whole one.
            Err(error) if shown > 0 => format!("\n{error}\n"),
            Err(error) => {
                self.buffer = line(&Refusal {
                    error: error.to_string(),
                });
                String::new()
            }
        };
        self.buffer.extend_from_slice(end.as_bytes());
        // A client that has gone needs no end.
        let _ = self.chunks.blocking_send(self.buffer);
    }
}

/// Writes everything, in parts that each must be taken in time.
async fn write(stream: &mut UnixStream, bytes: &[u8]) -> io::Result<()> {
    for part in bytes.chunks(CHUNK) {
        timeout(PATIENCE, stream.write_all(part)).await??;
    }
    Ok(())
}

fn line(document: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    append(&mut bytes, document);
    bytes.push(b'\n');
    bytes
}

fn append(buffer: &mut Vec<u8>, document: &impl Serialize) {
    // Writing to memory does not fail, and no document has keys that JSON cannot express.
    serde_json::to_writer(buffer, document).expect("documents are plain JSON");
}

#[cfg(test)]
mod tests;
