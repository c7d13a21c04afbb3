//! Builds the XDP programs that measure the balancer's.

use xtask::ebpf;

fn main() {
    ebpf::build_script(ebpf::BENCH);
}
