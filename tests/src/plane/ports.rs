//! Interfaces for frames to come in by and to leave by.

use std::sync::OnceLock;

use anyhow::{Context, Result};

use crate::netns::Namespace;

/// A namespace with two interfaces.
#[derive(Debug)]
pub struct Ports {
    /// Where they are; programs must run inside ([`Namespace::run`]).
    pub namespace: Namespace,
    /// Index of the one towards clients.
    pub front: u32,
    /// Index of the one towards servers.
    pub back: u32,
}

/// This process's pair of interfaces; made at the first call. Nothing is ever sent by them.
pub fn shared() -> Result<&'static Ports> {
    static PORTS: OnceLock<Result<Ports, String>> = OnceLock::new();
    PORTS
        .get_or_init(|| make().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow::anyhow!("{error}"))
}

fn make() -> Result<Ports> {
    let namespace = Namespace::new("packet tests").context("interfaces for packet tests")?;
    namespace.add_veth("front", &namespace, "back")?;
    Ok(Ports {
        front: namespace.ifindex("front")?,
        back: namespace.ifindex("back")?,
        namespace,
    })
}
