//! What the host knows of the network around it: interfaces, routes, next hops.
//!
//! The data path does no look-ups of its own: the agent asks the kernel for the way to each server
//! and writes it into the maps. [`watch`] is the task that asks, keeps the answers fresh and
//! publishes a [`Network`]; [`hops`] decides what a next hop's MAC address is and when to ask for
//! it again, without I/O; [`netlink`] is all that speaks to the kernel.

pub mod hops;
pub mod netlink;
pub mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// Everything the data path needs to know of the network: the input of [`crate::desired`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The interfaces that the program is attached to, by index.
    pub links: BTreeMap<u32, Link>,
    /// The way to each server's address. A missing address has no route.
    pub hops: BTreeMap<IpAddr, Hop>,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its MAC address.
    pub mac: [u8; 6],
    /// Largest IP packet, in bytes.
    pub mtu: u32,
}

/// The way to an address: by which interface, with which source, to which next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The interface that the route leaves by.
    pub ifindex: u32,
    /// The address that the kernel would choose as source.
    pub source: IpAddr,
    /// The next hop's MAC address; `None` while it does not answer.
    pub mac: Option<[u8; 6]>,
}

/// Writes a MAC address as people do.
#[derive(Clone, Copy, Debug)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}
