//! Builds the XDP programs that measure the balancer's.

use std::{env, path::Path};

use xtask::ebpf;

fn main() {
    let manifest_dir = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it for build scripts");
    let out_dir = env::var_os("OUT_DIR").expect("cargo sets it for build scripts");
    let root = Path::new(&manifest_dir)
        .parent()
        .expect("the crate is a directory of the workspace");
    if let Err(error) = ebpf::build_script(ebpf::BENCH, root, Path::new(&out_dir)) {
        // As in lb-userspace's: the text alone.
        for line in error.to_string().lines() {
            println!("cargo::error={line}");
        }
    }
}
