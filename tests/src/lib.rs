//! Harness.

pub mod balancer;
pub mod bench;
pub mod client;
pub mod demo;
pub mod netns;
pub mod network;
pub mod packet;
pub mod pattern;
pub mod ping;
pub mod plane;
pub mod postgres;
pub mod process;
pub mod raw;
pub mod redis;
pub mod server;
pub mod skip;
pub mod tempdir;
pub mod wait;
