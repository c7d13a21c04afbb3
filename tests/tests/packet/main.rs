//! Packets through the real XDP program, one file a stage.
//!
//! Each case says what is in the maps, what comes in, what goes out byte by byte, which counter
//! moved, and what is in the maps afterwards; after each, the flow table must be consistent
//! ([`world::World::verify`]). Cases run for IPv4 and IPv6 unless they say otherwise.

#![expect(
    clippy::wrong_self_convention,
    reason = "`from_client` and `to_client` say which way a packet goes and convert nothing"
)]

mod access;
mod challenge;
mod choose;
mod decap;
mod events;
mod evict;
mod expire;
mod frame;
mod full;
mod fuzz;
mod limit;
mod open;
mod parse;
mod ports;
mod race;
mod redispatch;
mod refuse;
mod rewrite;
mod select;
mod stick;
mod track;
mod verified;
mod world;
