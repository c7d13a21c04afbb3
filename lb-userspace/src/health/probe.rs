//! One probe of one server.

use std::sync::Arc;

use tokio::time::Instant;

use super::machine::{Failure, Success};
use super::{redis, script, tcp};
use crate::config::{Kind, Probe};

/// Probes once. Who waits stops at `deadline`; it is told here so that a probe whose time is up can
/// say what it waited for. Dropping the future gives up.
pub async fn probe(probe: Arc<Probe>, deadline: Instant) -> Result<Success, Failure> {
    match &probe.kind {
        Kind::Tcp => tcp::connect(probe.target).await,
        Kind::Script(steps) => script::run(probe.target, steps, deadline).await,
        Kind::Redis(login) => redis::ping(probe.target, login.as_ref(), deadline).await,
    }
}
