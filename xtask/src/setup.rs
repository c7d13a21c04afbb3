//! Installing what is missing, in the way that is quickest where we are. What is there already is
//! used and left alone.

mod apt;
mod bpf_linker;
mod rustup;

use std::array;

use anyhow::{Result, anyhow};
use xtask::toolchain::{self, BpfToolchain, Missing, Toolchain};

use crate::{host, step};

/// The programs that the end-to-end tests and benchmarks use, and Debian's packages of them.
const SERVERS: [(&str, &str); 7] = [
    ("redis-server", "redis-server"),
    ("redis-benchmark", "redis-tools"),
    ("postgres", "postgresql"),
    ("pgbench", "postgresql-contrib"),
    ("haproxy", "haproxy"),
    ("ip", "iproute2"),
    ("ethtool", "ethtool"),
];

/// An emulator, and the only other program in the machine, which must be linked statically.
const VIRTUAL_MACHINE: [(&str, &str); 2] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
];

/// Finds a BPF toolchain, and installs what it lacks.
///
/// Ways that fail say so in one line and the next is tried; the error, when none is left, holds
/// the commands for a person to type.
pub(crate) fn toolchain() -> Result<BpfToolchain> {
    let mut untried = Untried::new();
    loop {
        match toolchain::find() {
            Ok(found) => {
                step::say(&format!("compiler: {}", found.rust));
                step::say(&format!("linker: {}", found.linker));
                return Ok(found);
            }
            Err(missing) => {
                if !untried.repair(&missing) {
                    return Err(anyhow!("{missing}\n\n{}", advice()));
                }
            }
        }
    }
}

/// Installs the servers that tests and benchmarks use, where it may. Not having them is no error:
/// the tests that need one say that they were skipped.
pub(crate) fn servers() {
    programs(&SERVERS);
}

/// Installs what tests on other kernels need, where it may.
pub(crate) fn virtual_machine() {
    programs(&VIRTUAL_MACHINE);
}

fn programs(wanted: &[(&str, &'static str)]) {
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|(program, _)| host::which(program).is_none())
        .map(|&(_, package)| package)
        .collect();
    if missing.is_empty() {
        return;
    }
    let packages = missing.join(" ");
    if !apt::may_install() {
        step::say(&format!(
            "not installed: {packages}; as root, type: apt-get install {packages}"
        ));
    } else if let Err(error) = apt::install(&missing) {
        report_failure(&error);
    }
}

/// Installs clippy for a compiler that lacks it.
pub(crate) fn clippy(compiler: &Toolchain) -> Result<()> {
    if rustup::is_rustups(&compiler.cargo) {
        rustup::add_clippy(compiler)
    } else {
        apt::install_clippy()
    }
}

/// Ways to a compiler with rust-src, quickest first. The linker that each needs is the next round's
/// work.
const WAYS: [fn() -> Result<()>; 3] = [
    rustup::add_rust_src,
    apt::install_rust,
    rustup::install_nightly,
];

/// What has not been tried yet, so that nothing is tried twice and the search ends.
struct Untried {
    ways: array::IntoIter<fn() -> Result<()>, 3>,
    /// The compilers that a linker could not be built for.
    without_linker: Vec<String>,
}

impl Untried {
    fn new() -> Self {
        Self {
            ways: WAYS.into_iter(),
            without_linker: Vec::new(),
        }
    }

    /// Tries the next ways to get what is missing until one works; `false` when none does. After
    /// `true` the search has to look again.
    fn repair(&mut self, missing: &Missing) -> bool {
        if let Missing::Linker(compilers) = missing {
            for compiler in compilers {
                if self.without_linker.contains(&compiler.name) {
                    continue;
                }
                // A linker that was built and is not found must not be built again either.
                self.without_linker.push(compiler.name.clone());
                match bpf_linker::install(compiler) {
                    Ok(()) => return true,
                    Err(error) => report_failure(&error),
                }
            }
        }
        for way in self.ways.by_ref() {
            match way() {
                Ok(()) => return true,
                Err(error) => report_failure(&error),
            }
        }
        false
    }
}

/// One line: why a way failed. Its output is for those who try it by hand.
fn report_failure(error: &anyhow::Error) {
    let text = format!("{error:#}");
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    match lines.last() {
        Some(last) => step::say(&format!("{first}: {}", last.trim())),
        None => step::say(first),
    }
}

/// The commands for a person who has to do it without us.
fn advice() -> String {
    let linker = xtask::linker::RELEASE;
    format!(
        "Nothing more can be done from here. With rustup, type:\n  \
         rustup toolchain install nightly --profile minimal --component rust-src\n\
         or, as root on Debian 12:\n  \
         apt-get update && apt-get install rustc-web cargo-web rust-web-src\n\
         and then `cargo xtask setup` again, which builds bpf-linker {linker} against the compiler's \
         own LLVM.\nA bpf-linker on PATH whose LLVM is as new as the compiler's is used as it is."
    )
}
