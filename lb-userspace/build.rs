//! Builds the XDP programs, which the agent carries inside itself.

use std::{env, path::Path};

use xtask::ebpf;

fn main() {
    let manifest_dir = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it for build scripts");
    let out_dir = env::var_os("OUT_DIR").expect("cargo sets it for build scripts");
    let root = Path::new(&manifest_dir)
        .parent()
        .expect("the crate is a directory of the workspace");
    if let Err(error) = ebpf::build_script(ebpf::BALANCER, root, Path::new(&out_dir)) {
        // Cargo fails the build because of this instruction, and shows the text alone. A panic or
        // an exit status would make it show everything that was printed here.
        for line in error.to_string().lines() {
            println!("cargo::error={line}");
        }
    }
}
