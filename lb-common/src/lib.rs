//! What the XDP program and the agent both see.
//!
//! Each fact that crosses the BPF boundary has its one definition here: map names and layouts
//! ([`map`]), services and servers ([`service`]), who may open flows and how many ([`access`],
//! [`limit`]), flow entries ([`flow`]) and the protocol by which processors share the flow table
//! ([`table`]), hashes ([`hash`], [`siphash`]), checksum arithmetic ([`csum`]), how clients prove
//! themselves in a flood ([`load`], [`challenge`]), why a packet was not forwarded ([`verdict`]), and
//! what is told of flows ([`event`]). The crate is `no_std`, does no I/O and reads
//! no clock: everything in it runs in the kernel's BPF machine and in an ordinary unit test alike.
//!
//! Byte order: addresses and ports are kept as they stand in the packet (network order), loaded by
//! a native-width read. Lengths, counters, ids and times are in the host's order.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod access;
pub mod addr;
pub mod challenge;
pub mod csum;
pub mod decap;
pub mod event;
pub mod flow;
pub mod hash;
pub mod limit;
pub mod load;
pub mod map;
pub mod service;
pub mod siphash;
pub mod table;
pub mod tcp;
pub mod time;
pub mod tunnel;
pub mod verdict;

/// Version of every layout in this crate. An agent refuses maps that carry another one.
pub const ABI_VERSION: u32 = 1;
