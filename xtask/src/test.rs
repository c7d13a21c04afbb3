//! Running the tests, and one sum over all of them.

pub(crate) mod libtest;
pub(crate) mod summary;

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result};

use crate::{
    args::{Part, TestOptions},
    host, setup, vm,
};
use libtest::Parser;
use summary::{PartResult, Skipped, Summary};

/// Runs the parts asked for, one after the other, whatever becomes of each.
pub(crate) fn run(options: &TestOptions) -> Result<ExitCode> {
    setup::toolchain()?;
    if options.parts.contains(&Part::E2e) {
        setup::servers();
    }
    let mut summary = Summary::default();
    for &part in &options.parts {
        println!("\n== {} tests ==", part.name());
        summary
            .parts
            .extend(run_part(part, options.filter.as_deref())?);
    }
    print!("\n{summary}");
    Ok(if summary.failed() == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn run_part(part: Part, filter: Option<&str>) -> Result<Vec<PartResult>> {
    let start = Instant::now();
    let mut result = match part {
        Part::Vm => return vm::run(filter),
        Part::Packet | Part::E2e if !host::is_root() => skip_without_root(part, filter)?,
        // The program that is tested; cargo builds only the tests' own package.
        Part::E2e if !build_lb()? => {
            PartResult::failed_as_a_whole(part.name(), "lb does not build")
        }
        Part::Unit | Part::Packet | Part::E2e => run_tests(part, filter)?,
    };
    result.seconds = start.elapsed().as_secs_f64();
    Ok(vec![result])
}

fn build_lb() -> Result<bool> {
    let status = host::cargo("build")
        .args(["--package", "lb-userspace", "--bin", "lb"])
        .status()
        .context("cannot run cargo")?;
    Ok(status.success())
}

fn cargo_test(part: Part) -> Command {
    let mut command = host::cargo("test");
    match part {
        // lb-ebpf exists for the BPF target only; what it decides lies in lb-common.
        Part::Unit => command.args(["--workspace", "--exclude", "lb-ebpf", "--lib", "--bins"]),
        _ => command.args(["--package", "lb-tests", "--test", part.name()]),
    };
    command.arg("--no-fail-fast");
    command
}

fn run_tests(part: Part, filter: Option<&str>) -> Result<PartResult> {
    let mut command = cargo_test(part);
    // Shows what tests print, so that the reasons of skipped ones are seen here.
    command.args(filter).args(["--", "--show-output"]);
    let mut parser = Parser::default();
    let succeeded = stream(&mut command, |line| parser.read(line))?;
    Ok(PartResult::new(part.name(), parser.finish(), succeeded))
}

/// Without root these tests cannot run, but they can be counted.
fn skip_without_root(part: Part, filter: Option<&str>) -> Result<PartResult> {
    let output = cargo_test(part)
        .args(filter)
        .args(["--", "--list"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        return Ok(PartResult::failed_as_a_whole(
            part.name(),
            "the tests do not build",
        ));
    }
    let reason = format!(
        "needs root: sudo -E env \"PATH=$PATH\" cargo xtask test {}",
        part.name()
    );
    println!("skipped: {reason}");
    let skipped = libtest::listed(&String::from_utf8_lossy(&output.stdout))
        .map(|test| Skipped {
            test: test.to_owned(),
            reason: reason.clone(),
        })
        .collect();
    Ok(PartResult::skipped_as_a_whole(part.name(), skipped))
}

/// Passes on the lines of a command's output for which `read` is true, as they come; whether the
/// command succeeded.
pub(crate) fn stream(command: &mut Command, mut read: impl FnMut(&str) -> bool) -> Result<bool> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let output = child.stdout.take().context("the output is a pipe")?;
    let mut terminal = io::stdout().lock();
    // Programs under test may print anything: text is what can be read as text.
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("cannot read the tests' output")?;
        let line = String::from_utf8_lossy(&line);
        if read(&line) {
            writeln!(terminal, "{line}").context("cannot write to standard output")?;
        }
    }
    let status = child.wait().context("cannot wait for the tests")?;
    Ok(status.success())
}
