//! Measuring.

use std::process::ExitCode;

use anyhow::Result;

use crate::{host, setup};

/// Builds the balancer and the benchmark program and runs the latter with the user's arguments.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    setup::toolchain()?;
    setup::servers();
    let programs = host::build_release(&[
        "--package=lb-userspace",
        "--bin=lb",
        "--package=lb-tests",
        "--bin=lb-bench",
    ])?;
    let passed_on = arguments.iter().filter(|argument| *argument != "--");
    let arguments: Vec<String> = [programs.join("lb").display().to_string()]
        .into_iter()
        .chain(passed_on.cloned())
        .collect();
    host::exec_as_root(&programs.join("lb-bench"), &arguments)
}
