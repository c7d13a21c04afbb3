//! What checks that talk have in common: a connection, what has been received, and words for it.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::machine::Failure;
use super::tcp;

/// Longest reply that is searched, in bytes: HAProxy's buffer has the same size.
const LONGEST: usize = 16 * 1024;

/// An open connection and the reply so far. Closed in an orderly way when it is dropped.
#[derive(Debug)]
pub(super) struct Conversation {
    /// `None` only while it is being dropped.
    stream: Option<TcpStream>,
    reply: Vec<u8>,
    began: Instant,
    deadline: Instant,
}

/// What a look at the reply says.
pub(super) enum Look<T> {
    /// Enough has been seen.
    Decided(T),
    /// More may come.
    Undecided,
}

/// Why no more comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The server closed the connection.
    Closed,
    /// The reply is longer than what is searched.
    Full,
    /// The probe's time is up.
    Late,
}

impl Conversation {
    /// Connects. What is not over at `deadline` has failed.
    pub(super) async fn open(target: SocketAddr, deadline: Instant) -> Result<Self, Failure> {
        let began = Instant::now();
        Ok(Self {
            stream: Some(tcp::open(target).await?),
            reply: Vec::new(),
            began,
            deadline,
        })
    }

    /// What has been received since the last [`Self::send`].
    pub(super) fn reply(&self) -> &[u8] {
        &self.reply
    }

    /// Sends, and forgets what has been received.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.reply.clear();
        let sent = match &mut self.stream {
            Some(stream) => stream.write_all(bytes).await,
            None => Ok(()),
        };
        sent.map_err(|error| self.failure(&error))
    }

    /// Reads until `look` has seen enough. `Err(End)`: no more comes, and it has not.
    pub(super) async fn read<T>(
        &mut self,
        mut look: impl FnMut(&[u8]) -> Look<T>,
    ) -> Result<Result<T, End>, Failure> {
        loop {
            if let Look::Decided(found) = look(&self.reply) {
                return Ok(Ok(found));
            }
            let Some(stream) = &mut self.stream else {
                return Ok(Err(End::Closed));
            };
            if self.reply.len() >= LONGEST {
                return Ok(Err(End::Full));
            }
            let mut part = [0; 2048];
            let room = part.len().min(LONGEST - self.reply.len());
            match timeout_at(self.deadline, stream.read(&mut part[..room])).await {
                Err(_) => return Ok(Err(End::Late)),
                Ok(Ok(0)) => return Ok(Err(End::Closed)),
                Ok(Ok(length)) => self.reply.extend_from_slice(&part[..length]),
                Ok(Err(error)) => return Err(self.failure(&error)),
            }
        }
    }

    fn failure(&self, error: &io::Error) -> Failure {
        tcp::failure(error, self.began.elapsed())
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        // Without a runtime there is nobody left to wait for the server's end.
        if let Some(stream) = self.stream.take()
            && tokio::runtime::Handle::try_current().is_ok()
        {
            tcp::leave(stream);
        }
    }
}

/// The beginning of a reply as a log line shows it: `"-LOADING Redis is loading\r\n"`. What of
/// `secrets` is in it is masked.
pub(super) fn shown(reply: &[u8], secrets: &[&[u8]]) -> String {
    const SHOWN: usize = 80;
    if reply.is_empty() {
        return "nothing".to_owned();
    }
    let mut text = String::from_utf8_lossy(reply).into_owned();
    for secret in secrets {
        let secret = String::from_utf8_lossy(secret);
        if !secret.is_empty() {
            text = text.replace(&*secret, "***");
        }
    }
    let mut shown: String = text
        .chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect();
    shown.insert(0, '"');
    shown.push('"');
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

impl End {
    /// What the server did after it had sent a reply, as the end of a sentence.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Closed => "and then the end of the connection",
            Self::Full => "and more than 16 kB",
            Self::Late => "and no more in time",
        }
    }
}
