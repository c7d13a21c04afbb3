//! Finding and using a BPF toolchain.
//!
//! The XDP programs need three things that a plain Rust installation lacks: `core` for a target
//! without a prebuilt one (so rust-src and an unstable cargo flag), a compiler new enough for the
//! workspace, and a linker that reads that compiler's bitcode. This library looks for them and
//! builds with them. `cargo xtask` and lb-userspace's build script share it; only `cargo xtask
//! setup` installs anything.

pub mod ebpf;
pub mod linker;
pub mod toolchain;
pub mod version;
