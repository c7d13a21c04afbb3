//! Redis.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::netns::Namespace;
use crate::process::Process;

const START: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(10);

/// A running redis-server that keeps nothing on disk.
#[derive(Debug)]
pub struct Redis {
    address: SocketAddr,
    process: Process,
}

impl Redis {
    /// Starts `program` on `address`; it answers when this returns. `dir` must be its own.
    pub fn start(
        namespace: &Namespace,
        program: &Path,
        address: SocketAddr,
        dir: &Path,
    ) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let process = namespace
            .program(program)
            .args(["--bind", &ip, "--port", &port, "--protected-mode", "no"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(dir)
            .spawn(&dir.join("redis.log"))?;
        let mut redis = Self { address, process };
        redis.process.wait_ready(START, |_| {
            namespace
                .run(|| RedisClient::connect(address)?.call(&["PING"]))
                .is_ok()
        })?;
        Ok(redis)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// A connection that speaks RESP2. Made inside a namespace, it stays there.
#[derive(Debug)]
pub struct RedisClient {
    stream: BufReader<TcpStream>,
}

/// What Redis answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A simple or a bulk string.
    Text(String),
    /// An integer.
    Integer(i64),
    /// Nothing.
    Nil,
    /// Several.
    Array(Vec<Value>),
}

impl RedisClient {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Sends one command and waits for its answer.
    pub fn call(&mut self, command: &[&str]) -> Result<Value> {
        self.send(command)?;
        self.receive()
            .with_context(|| format!("answer to {command:?}"))
    }

    /// Sends one command.
    pub fn send(&mut self, command: &[&str]) -> Result<()> {
        let mut request = format!("*{}\r\n", command.len());
        for word in command {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        Ok(self.stream.get_mut().write_all(request.as_bytes())?)
    }

    /// Waits for the next answer or message.
    pub fn receive(&mut self) -> Result<Value> {
        let line = self.line()?;
        let (kind, rest) = line.split_at_checked(1).context("an empty line")?;
        Ok(match kind {
            "+" => Value::Text(rest.to_owned()),
            "-" => bail!("Redis says {rest}"),
            ":" => Value::Integer(rest.parse()?),
            "$" if rest == "-1" => Value::Nil,
            "$" => Value::Text(self.bulk(rest.parse()?)?),
            "*" => {
                let count = rest.parse::<usize>()?;
                Value::Array((0..count).map(|_| self.receive()).collect::<Result<_>>()?)
            }
            _ => bail!("not Redis's protocol: {line:?}"),
        })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("Redis has closed the connection");
        }
        Ok(line.trim_end_matches("\r\n").to_owned())
    }

    fn bulk(&mut self, length: usize) -> Result<String> {
        use std::io::Read;
        let mut bytes = vec![0; length + 2];
        self.stream.read_exact(&mut bytes)?;
        bytes.truncate(length);
        Ok(String::from_utf8(bytes)?)
    }
}
