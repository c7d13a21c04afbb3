//! Health of servers: probing them, and what the probes say.
//!
//! [`machine`] counts rise and fall and does no I/O. [`driver`] owns the tasks that probe: one a
//! server, however many services share it. [`probe`] makes one probe, with a file for each kind of
//! check; [`conversation`] is what those that talk have in common. Nothing here knows of the data
//! path: the driver publishes a [`HealthView`], and whoever follows it sees every
//! change (the latest wins where it is slow).

mod conversation;
pub mod driver;
pub mod machine;
pub mod probe;
mod redis;
mod script;
pub mod tcp;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use driver::{Checks, Reports, Target};
pub use machine::{Failure, Status};

use crate::model::ServerKey;

/// What the checks currently say of every server: the input of [`crate::desired`].
///
/// A server that is missing has not passed its first check: it is down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthView {
    /// Up or down, after rise and fall have been counted.
    pub servers: BTreeMap<ServerKey, ServerHealth>,
}

/// One server's health, rise and fall counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerHealth {
    /// May get new flows.
    Up,
    /// Gets none.
    Down,
}

impl HealthView {
    /// Whether new flows may go to `server`.
    pub fn is_up(&self, server: &ServerKey) -> bool {
        self.servers.get(server) == Some(&ServerHealth::Up)
    }
}
