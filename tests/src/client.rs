//! Clients of [`crate::server`].
//!
//! All of it runs on the caller's runtime: call it inside [`crate::netns::Namespace::block_on`] of
//! the client's namespace.

mod chatter;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

pub use self::chatter::Chatter;
use crate::server::{CHUNK, send_pattern, take_pattern};

/// Longest wait for any one answer. Generous: a SYN that is lost is sent again after a second, then
/// two, and these machines are busy.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A connection whose server has said who it is.
#[derive(Debug)]
pub struct Connection {
    server: String,
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
}

/// Ways to connect.
#[derive(Clone, Copy, Debug)]
pub struct Connect {
    /// From this address and port; the kernel chooses unless said.
    pub from: Option<SocketAddr>,
    /// Give up after this long, whether the connection or the server's name is missing.
    pub patience: Duration,
}

impl Default for Connect {
    fn default() -> Self {
        Self {
            from: None,
            patience: PATIENCE,
        }
    }
}

impl Connect {
    /// Connects and waits for the server's name.
    pub async fn to(self, address: SocketAddr) -> io::Result<Connection> {
        let open = async {
            let stream = self.socket(address)?.connect(address).await?;
            Connection::from_stream(stream).await
        };
        timeout(self.patience, open).await?
    }

    fn socket(self, address: SocketAddr) -> io::Result<TcpSocket> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        if let Some(from) = self.from {
            socket.set_reuseaddr(true)?;
            socket.bind(from)?;
        }
        Ok(socket)
    }
}

impl Connection {
    /// Connects and waits for the server's name.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let connection = Connect::default().to(address).await;
        connection.with_context(|| format!("no connection to {address}"))
    }

    async fn from_stream(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let (read, write) = stream.into_split();
        let mut read = BufReader::with_capacity(CHUNK, read);
        let mut name = String::new();
        read.read_line(&mut name).await?;
        match name.strip_suffix('\n') {
            Some(server) => Ok(Self {
                server: server.to_owned(),
                read,
                write,
            }),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// The name of the server that answered.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The client's own end.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.write.as_ref().local_addr()
    }

    /// Where the server sees this connection come from.
    pub async fn whence(&mut self) -> Result<SocketAddr> {
        self.write.write_all(b"whence\n").await?;
        let mut answer = String::new();
        timeout(PATIENCE, self.read.read_line(&mut answer)).await??;
        Ok(answer.trim_end().parse()?)
    }

    /// Makes the server send back what [`Self::round_trip`] sends.
    pub async fn start_echo(&mut self) -> io::Result<()> {
        self.write.write_all(b"echo\n").await
    }

    /// Sends `message` and waits until it has come back.
    pub async fn round_trip(&mut self, message: &[u8]) -> io::Result<()> {
        let mut answer = vec![0; message.len()];
        timeout(PATIENCE, async {
            self.write.write_all(message).await?;
            self.read.read_exact(&mut answer).await
        })
        .await??;
        if answer == message {
            Ok(())
        } else {
            Err(io::Error::other("another answer came back"))
        }
    }

    /// Sends `up` bytes while receiving `down`, both ends comparing every byte.
    pub async fn stream(&mut self, up: u64, down: u64, seed: u64) -> Result<()> {
        self.write
            .write_all(format!("stream {up} {down} {seed}\n").as_bytes())
            .await?;
        let (taken, ()) = tokio::try_join!(
            take_pattern(&mut self.read, down, seed + 1),
            send_pattern(&mut self.write, up, seed)
        )?;
        ensure!(taken.is_ok(), "what the server sent: {taken:?}");
        let mut verdict = String::new();
        timeout(PATIENCE, self.read.read_line(&mut verdict)).await??;
        ensure!(verdict == "ok\n", "what the server got: {verdict:?}");
        Ok(())
    }

    /// Ends it in order: both sides say that nothing follows.
    pub async fn close(mut self) -> io::Result<()> {
        self.write.shutdown().await?;
        let mut rest = Vec::new();
        timeout(PATIENCE, self.read.read_to_end(&mut rest)).await??;
        Ok(())
    }

    /// Ends it with a reset, which leaves nothing behind on either side.
    pub fn reset(self) -> io::Result<()> {
        self.write.as_ref().set_zero_linger()
    }
}

/// Connects once and returns the name of the server that answered.
pub async fn who_answers(address: SocketAddr) -> Result<String> {
    let mut connection = Connection::open(address).await?;
    let name = connection.server().to_owned();
    connection.start_echo().await?;
    connection.close().await?;
    Ok(name)
}
