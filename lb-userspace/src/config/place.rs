//! Where things of a validated configuration were written.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::Protocol;
use super::source::Place;
use crate::model::ServerKey;

/// Places for problems that only show when a configuration meets a host.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) servers: HashMap<ServerKey, Place>,
    pub(super) listens: HashMap<(SocketAddr, Protocol), Place>,
    pub(super) interfaces: HashMap<String, Place>,
    pub(super) source_ports: Option<Place>,
    pub(super) nat_source: Option<Place>,
    pub(super) group: Option<Place>,
}
