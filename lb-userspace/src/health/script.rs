//! The `script` check: a conversation, step by step, as HAProxy's `tcp-check` has it.

use std::net::SocketAddr;

use tokio::time::Instant;

use super::conversation::{Conversation, End, Look, shown};
use super::machine::{Failure, Success};
use crate::config::{Pattern, Step};

/// Goes through `steps`; connects to `target` first unless the first of them connects.
pub(super) async fn run(
    target: SocketAddr,
    steps: &[Step],
    deadline: Instant,
) -> Result<Success, Failure> {
    let mut conversation = None;
    for (number, step) in (1..).zip(steps) {
        if let Step::Connect(port) = step {
            // The old connection is left before the new one is made: the server may take only one.
            drop(conversation.take());
            let target = SocketAddr::new(target.ip(), port.unwrap_or(target.port()));
            conversation = Some(Conversation::open(target, deadline).await?);
            continue;
        }
        let conversation = match &mut conversation {
            Some(conversation) => conversation,
            none => none.insert(Conversation::open(target, deadline).await?),
        };
        match step {
            Step::Connect(_) => {}
            Step::Send(bytes) => conversation.send(&bytes.0).await?,
            Step::Expect(pattern) => expect(conversation, pattern).await?.map_err(|got| {
                Failure::Wrong(format!("step {number} wanted {pattern}, got {got}"))
            })?,
        }
    }
    Ok("answered as expected")
}

/// Reads until the pattern is decided. `Ok(Err)`: against the server, and what it sent.
async fn expect(
    conversation: &mut Conversation,
    pattern: &Pattern,
) -> Result<Result<(), String>, Failure> {
    let found = conversation
        .read(|reply| match pattern.wanted.is_in(reply) {
            true => Look::Decided(()),
            false => Look::Undecided,
        })
        .await?;
    // What must not be there may still come for as long as the server can send.
    let passed = match found {
        Ok(()) => !pattern.absent,
        Err(End::Closed | End::Full) => pattern.absent,
        Err(End::Late) => false,
    };
    if passed {
        return Ok(Ok(()));
    }
    let reply = shown(conversation.reply(), &[]);
    Ok(Err(match found {
        Ok(()) => reply,
        Err(end) => format!("{reply} {}", end.words()),
    }))
}

#[cfg(test)]
mod tests;
