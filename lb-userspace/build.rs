//! Builds the XDP programs, which the agent carries inside itself.

use xtask::ebpf;

fn main() {
    ebpf::build_script(ebpf::BALANCER);
    ebpf::build_script(ebpf::DECAP);
}
