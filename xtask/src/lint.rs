//! Formatting, clippy on both sides of the BPF boundary, licences and advisories.

mod deny;

use std::{
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};
use xtask::{ebpf, toolchain::BpfToolchain};

use crate::{args::Check, host, setup, step};

/// Beyond clippy's own choice: what is left of work in progress.
const DENIED: [&str; 8] = [
    "-D",
    "warnings",
    "-D",
    "clippy::dbg_macro",
    "-D",
    "clippy::todo",
    "-D",
    "clippy::unimplemented",
];

/// Runs the checks asked for, all of them whatever becomes of each.
pub(crate) fn run(checks: &[Check]) -> Result<ExitCode> {
    let mut failed = Vec::new();
    for check in checks {
        let passed = match check {
            Check::Fmt => passes("fmt", host::cargo("fmt").args(["--all", "--check"]))?,
            Check::Clippy => clippy()?,
            Check::Deny => deny::run()?,
        };
        if !passed {
            failed.push(format!("{check:?}").to_lowercase());
        }
    }
    if failed.is_empty() {
        println!("lint: clean");
        return Ok(ExitCode::SUCCESS);
    }
    println!("lint: failed: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

fn clippy() -> Result<bool> {
    let toolchain = setup::toolchain()?;
    let host_side = passes(
        "clippy: host crates",
        host::cargo("clippy")
            .args(["--workspace", "--exclude=lb-ebpf", "--all-targets", "--"])
            .args(DENIED),
    )?;
    // Not the directory that the build uses: what clippy-driver checks, the compiler would check
    // again.
    let target_dir = host::target_dir()?.join("bpf-lint");
    let bpf_side = passes("clippy: lb-ebpf", &mut clippy_bpf(&toolchain, &target_dir))?;
    Ok(host_side && bpf_side)
}

/// Clippy of the BPF toolchain itself, as only that compiler has a `core` for the target. Where it
/// cannot be had, the compiler's own lints, and a word that it is so.
fn clippy_bpf(toolchain: &BpfToolchain, target_dir: &Path) -> Command {
    let bin = toolchain.rust.cargo.with_file_name("");
    let program = bin.join("cargo-clippy");
    let root = host::workspace_root();
    if !program.is_file()
        && let Err(error) = setup::clippy(&toolchain.rust)
    {
        step::say(&format!("no clippy for {}: {error:#}", toolchain.rust));
    }
    if !program.is_file() {
        step::say("checking lb-ebpf with the compiler's lints only");
        let mut command = ebpf::cargo(toolchain, &toolchain.rust.cargo, &root, "check", target_dir);
        command.args(["--config", "build.warnings='deny'"]);
        return command;
    }
    let mut command = ebpf::cargo(toolchain, &program, &root, "clippy", target_dir);
    // cargo-clippy takes this variable for itself, and an empty one for a wrapper.
    command.env_remove("RUSTC_WORKSPACE_WRAPPER");
    command.arg("--").args(DENIED);
    command
}

/// Runs a check; whether it passed.
fn passes(what: &str, command: &mut Command) -> Result<bool> {
    println!("== {what} ==");
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    Ok(status.success())
}
