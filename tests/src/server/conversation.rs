//! What the server says on one connection.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::Counters;
use crate::pattern::{Mismatch, Pattern};

/// Bytes handed to or taken from the kernel at once.
pub(crate) const CHUNK: usize = 128 * 1024;
/// Longest wait for the next bytes of a stream.
const STALL: Duration = Duration::from_secs(10);

pub(super) async fn converse(
    stream: TcpStream,
    name: &str,
    counters: &Arc<Counters>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // Dropped in the middle, the connection is reset; orderly ends shut it down first.
    stream.set_zero_linger()?;
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::with_capacity(CHUNK, read);
    write.write_all(format!("{name}\n").as_bytes()).await?;

    let mut line = String::new();
    if read.read_line(&mut line).await? == 0 {
        return finish(read, write).await;
    }
    let _open = Open::count(counters);
    let words: Vec<&str> = line.split_whitespace().collect();
    match *words {
        ["echo"] => {
            tokio::io::copy_buf(&mut read, &mut write).await?;
        }
        ["whence"] => {
            let peer = write.peer_addr()?;
            write.write_all(format!("{peer}\n").as_bytes()).await?;
        }
        ["stream", take, send, seed] => {
            let [Ok(take), Ok(send), Ok(seed)] = [take, send, seed].map(str::parse::<u64>) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            let (verdict, ()) = tokio::try_join!(
                take_pattern(&mut read, take, seed),
                send_pattern(&mut write, send, seed + 1)
            )?;
            let verdict = match verdict {
                Ok(()) => "ok\n".to_owned(),
                Err(mismatch) => format!("{mismatch}\n"),
            };
            write.write_all(verdict.as_bytes()).await?;
        }
        _ => write.write_all(b"what?\n").await?,
    }
    finish(read, write).await
}

/// Sends the first `count` bytes of the pattern of `seed`.
pub(crate) async fn send_pattern(
    write: &mut OwnedWriteHalf,
    count: u64,
    seed: u64,
) -> io::Result<()> {
    let mut pattern = Pattern::new(seed);
    let mut buffer = vec![0; CHUNK];
    while pattern.position() < count {
        let length = (count - pattern.position()).min(CHUNK as u64) as usize;
        pattern.fill(&mut buffer[..length]);
        write.write_all(&buffer[..length]).await?;
    }
    Ok(())
}

/// Reads `count` bytes and compares them with the pattern of `seed`; where they first differ, if
/// they do. Reads on after that: a sender that nobody listens to would wait for ever.
pub(crate) async fn take_pattern(
    read: &mut BufReader<OwnedReadHalf>,
    count: u64,
    seed: u64,
) -> io::Result<Result<(), Mismatch>> {
    let mut pattern = Pattern::new(seed);
    let mut verdict = Ok(());
    while pattern.position() < count {
        let buffer = timeout(STALL, read.fill_buf()).await??;
        if buffer.is_empty() {
            let got = pattern.position();
            return Err(io::Error::other(format!(
                "the stream ended after {got} of {count} bytes"
            )));
        }
        let length = (count - pattern.position()).min(buffer.len() as u64) as usize;
        verdict = verdict.and(pattern.check(&buffer[..length]));
        read.consume(length);
    }
    Ok(verdict)
}

/// Closes both ways without a reset: says that nothing follows, then waits for the client's word.
async fn finish(mut read: BufReader<OwnedReadHalf>, mut write: OwnedWriteHalf) -> io::Result<()> {
    write.shutdown().await?;
    let mut rest = [0; 1024];
    while read.read(&mut rest).await? > 0 {}
    Ok(())
}

/// One connection on which a client asked for something.
struct Open(Arc<Counters>);

impl Open {
    fn count(counters: &Arc<Counters>) -> Self {
        counters.served.fetch_add(1, Ordering::Relaxed);
        counters.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counters))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
