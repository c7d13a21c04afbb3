//! The control socket: how `lb show` and scripts ask a running agent.
//!
//! A client connects to the agent's unix socket, writes one line of JSON ([`Request`]) and reads
//! one JSON document until the agent closes the connection. `docs/control.md` describes both for
//! people; the types of [`protocol`] are what the agent and the command line share. [`socket`]
//! makes the socket, [`server`] answers on it, [`client`] asks.

pub mod client;
pub mod protocol;
pub mod server;
pub mod socket;

pub use client::{ask, ask_by_line};
pub use protocol::{Request, Selection, Show, What};
pub use server::{Inventory, serve};
pub use socket::Socket;
