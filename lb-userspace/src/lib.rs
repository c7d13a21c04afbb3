//! The agent of lb: everything but the packets.

pub mod access;
pub mod app;
pub mod cli;
pub mod config;
pub mod control;
pub mod dataplane;
pub mod decap;
pub mod desired;
pub mod health;
pub mod log;
pub mod model;
pub mod neighbour;
pub mod reconcile;
pub mod ring;

/// The XDP programs, an ELF object as the BPF loader wants it.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("LB_EBPF_OBJECT"));

/// The program of `lb decap`, likewise.
pub static DECAP_OBJECT: &[u8] = aya::include_bytes_aligned!(env!("LB_EBPF_DECAP_OBJECT"));
