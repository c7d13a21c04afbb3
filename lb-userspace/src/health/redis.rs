//! The `redis` check: what speaks the Redis protocol must answer PING with PONG.
//!
//! Commands are arrays of bulk strings, and replies simple strings or errors (Redis serialization
//! protocol, RESP2).

use std::net::SocketAddr;

use tokio::time::Instant;

use super::conversation::{Conversation, Look, shown};
use super::machine::{Failure, Success};
use crate::config::Login;

/// Logs in if there is somebody to log in as, and pings.
pub(super) async fn ping(
    target: SocketAddr,
    login: Option<&Login>,
    deadline: Instant,
) -> Result<Success, Failure> {
    let mut conversation = Conversation::open(target, deadline).await?;
    let secrets: Vec<&[u8]> = login.iter().map(|login| &*login.password.0).collect();
    if let Some(Login { user, password }) = login {
        let mut words: Vec<&[u8]> = vec![b"AUTH"];
        words.extend(user.as_deref().map(str::as_bytes));
        words.push(&password.0);
        ask(&mut conversation, "AUTH", &words, b"+OK", &secrets).await?;
    }
    ask(&mut conversation, "PING", &[b"PING"], b"+PONG", &secrets).await?;
    Ok("answered PONG")
}

/// Sends a command and wants the line `wanted`.
async fn ask(
    conversation: &mut Conversation,
    name: &str,
    words: &[&[u8]],
    wanted: &[u8],
    secrets: &[&[u8]],
) -> Result<(), Failure> {
    conversation.send(&command(words)).await?;
    let found = conversation
        .read(|reply| line(reply).map_or(Look::Undecided, |line| Look::Decided(line == wanted)))
        .await?;
    let end = match found {
        Ok(true) => return Ok(()),
        Ok(false) => String::new(),
        Err(end) => format!(" {}", end.words()),
    };
    let reply = conversation.reply();
    let got = shown(line(reply).unwrap_or(reply), secrets);
    let wanted = String::from_utf8_lossy(wanted);
    Err(Failure::Wrong(format!(
        "{name} wanted {wanted}, got {got}{end}"
    )))
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// The first line, if it is whole.
fn line(reply: &[u8]) -> Option<&[u8]> {
    let end = reply.windows(2).position(|pair| pair == b"\r\n")?;
    Some(&reply[..end])
}

#[cfg(test)]
mod tests;
