//! What a health check is, once it is known to be valid.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

/// A server's health check.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// Never probed, always up.
    None,
    /// Probed again and again.
    Probe(Probe),
}

/// How a server is probed, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// What a probe does.
    pub kind: Kind,
    /// Where to probe: the server's address unless `check.address` or `check.port` says otherwise.
    pub target: SocketAddr,
    /// Start of one probe to the start of the next.
    pub interval: Duration,
    /// The same while `rise` or `fall` is being counted.
    pub fast_interval: Duration,
    /// The same while the server is down.
    pub down_interval: Duration,
    /// After which a probe has failed. Not longer than any of the intervals.
    pub timeout: Duration,
    /// Consecutive successes that bring a down server up.
    pub rise: NonZeroU32,
    /// Consecutive failures that take an up server down.
    pub fall: NonZeroU32,
}

/// `check.type`.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A TCP connection must be accepted.
    Tcp,
    /// A conversation, step by step; never empty. Unless the first step connects, the probe
    /// connects to its target before it.
    Script(Vec<Step>),
    /// Redis and what speaks its protocol: logs in where there is a password, then must be answered
    /// PONG.
    Redis(Option<Login>),
}

impl Kind {
    /// The word by which the configuration knows it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Script(_) => "script",
            Self::Redis(_) => "redis",
        }
    }
}

/// Who a probe logs in as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// `None`: the server's default user.
    pub user: Option<String>,
    /// Never shown.
    pub password: Bytes,
}

/// One of a script's `steps:`.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Ends the connection there is, and makes a new one; to the target's port unless one is named.
    Connect(Option<u16>),
    /// Sends, and forgets what has been received.
    Send(Bytes),
    /// Reads until this is decided.
    Expect(Pattern),
}

/// Bytes that may hold a secret: they are sent, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a reply is searched for.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    /// What.
    pub wanted: Wanted,
    /// Whether it must not be there.
    pub absent: bool,
}

/// What to look for anywhere in a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Text.
    Text(String),
    /// Bytes, as `expect_hex` has them.
    Hex(Vec<u8>),
    /// A match of a regular expression.
    Regex(Regex),
}

/// A regular expression over bytes; equal to another that is written the same.
#[derive(Clone, Debug)]
pub struct Regex(pub regex::bytes::Regex);

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Regex {}

impl Wanted {
    /// Whether `reply` has it.
    pub fn is_in(&self, reply: &[u8]) -> bool {
        let contains = |part: &[u8]| reply.windows(part.len()).any(|window| window == part);
        match self {
            Self::Text(text) => contains(text.as_bytes()),
            Self::Hex(bytes) => contains(bytes),
            Self::Regex(regex) => regex.0.is_match(reply),
        }
    }
}

impl fmt::Display for Pattern {
    /// As a message shows it: `"+PONG"`, `no "role:slave"`, `/^[+]OK/`, `0xdeadbeef`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.absent {
            f.write_str("no ")?;
        }
        match &self.wanted {
            Wanted::Text(text) => write!(f, "{text:?}"),
            Wanted::Regex(regex) => write!(f, "/{}/", regex.0.as_str()),
            Wanted::Hex(bytes) => {
                f.write_str("0x")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}
