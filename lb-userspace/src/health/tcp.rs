//! The `tcp` check: a connection must be accepted.
//!
//! The connection is closed as an ordinary client closes one, with a FIN: a reset would be logged
//! as an error by PostgreSQL and counted against this host by MySQL. A server that greets first
//! (MySQL) has sent bytes by then, and closing a socket with unread bytes sends a reset, so what it
//! sends is read and thrown away until it closes too.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::machine::{Failure, Success};

/// How long a server gets to close its side, before the socket is closed all the same.
const LINGER: Duration = Duration::from_secs(1);

/// Connects to `target`, without a time limit of its own; dropping the future gives up. The
/// connection is closed by a task of its own, so that a server that closes slowly does not make
/// the probe seem slow.
pub async fn connect(target: SocketAddr) -> Result<Success, Failure> {
    leave(open(target).await?);
    Ok("connected")
}

/// A connection to `target`.
pub(super) async fn open(target: SocketAddr) -> Result<TcpStream, Failure> {
    let start = Instant::now();
    let stream = TcpStream::connect(target).await;
    stream.map_err(|error| failure(&error, start.elapsed()))
}

/// Closes a connection in a task of its own.
pub(super) fn leave(stream: TcpStream) {
    tokio::spawn(tokio::time::timeout(LINGER, close(stream)));
}

async fn close(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut discarded = [0; 512];
    while stream.read(&mut discarded).await? > 0 {}
    Ok(())
}

/// Who is at fault: the server, the way there, or this host.
pub(super) fn failure(error: &io::Error, after: Duration) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::Refused(after),
        io::ErrorKind::TimedOut => Failure::Timeout(after),
        io::ErrorKind::HostUnreachable => Failure::HostUnreachable,
        io::ErrorKind::NetworkUnreachable => Failure::NetworkUnreachable,
        io::ErrorKind::ConnectionReset => Failure::Other("connection reset".to_owned()),
        _ => match error.raw_os_error() {
            Some(
                libc::EMFILE
                | libc::ENFILE
                | libc::ENOMEM
                | libc::ENOBUFS
                | libc::EADDRNOTAVAIL
                | libc::EACCES
                | libc::EPERM
                | libc::EAFNOSUPPORT,
            ) => Failure::Local(error.to_string()),
            _ => Failure::Other(error.to_string()),
        },
    }
}

#[cfg(test)]
mod tests;
