//! What may be asked of the agent by signal.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that the agent answers to, from the moment this exists.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes them over from the kernel, which would end the process.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits until the agent is to stop; gives the name of the signal. Nothing is lost when the
    /// future is dropped before.
    pub(super) async fn stop(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => {
                    tracing::warn!("SIGHUP: reload is not supported yet; restart lb to change its configuration");
                }
            }
        }
    }
}
