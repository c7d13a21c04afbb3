//! The packet tests on older kernels, in virtual machines.
//!
//! Distributions' kernels differ in what their verifier accepts. Each kernel here is Debian's own
//! package, unpacked into the cache directory and never installed; it boots with a file system in
//! memory that holds the test program and nothing else, so no disk image is needed.

mod cpio;
mod kernel;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    host, setup,
    test::{libtest::Parser, stream, summary::PartResult},
};
use cpio::Archive;
use kernel::Kernel;

/// The oldest kernel that is supported, and the next that a distribution supports for long.
const KERNELS: [&str; 2] = ["linux-image-cloud-amd64", "linux-image-6.12-cloud-amd64"];

const QEMU: &str = "qemu-system-x86_64";
/// Long enough for emulation on a busy machine, in seconds.
const LIMIT: &str = "1800";
/// What the machine says last.
const END_MARK: &str = "the tests ended with status ";

const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox mount -t tmpfs tmpfs /tmp
/bin/busybox mount -t tmpfs tmpfs /run
/bin/busybox insmod /veth.ko
export PATH=/bin HOME=/tmp
/tests $(/bin/busybox cat /arguments)
/bin/busybox echo "the tests ended with status $?"
/bin/busybox poweroff -f
"#;

/// Runs the packet tests on every kernel: one result each.
pub(crate) fn run(filter: Option<&str>) -> Result<Vec<PartResult>> {
    setup::virtual_machine();
    if let Some(missing) = [QEMU, "busybox"]
        .iter()
        .find(|name| host::which(name).is_none())
    {
        return Ok(vec![PartResult::failed_as_a_whole(
            "vm",
            &format!("{missing} is not installed"),
        )]);
    }
    let tests = build_tests()?;
    let mut results = Vec::new();
    for package in KERNELS {
        let result = match kernel::fetch(package) {
            Ok(kernel) => run_on(&kernel, &tests, filter)?,
            Err(error) => PartResult::failed_as_a_whole(
                &format!("vm {package}"),
                &format!("no kernel: {error:#}"),
            ),
        };
        results.push(result);
    }
    Ok(results)
}

fn run_on(kernel: &Kernel, tests: &Path, filter: Option<&str>) -> Result<PartResult> {
    println!("\n-- Linux {} --", kernel.release);
    let initramfs = host::target_dir()?.join(format!("vm-{}.cpio", kernel.release));
    write_initramfs(&initramfs, kernel, tests, filter)?;
    let start = Instant::now();
    let mut parser = Parser::default();
    let mut end = None;
    stream(&mut boot(kernel, &initramfs), |line| {
        if let Some(status) = line.trim_end().strip_prefix(END_MARK) {
            end = Some(status == "0");
            return false;
        }
        parser.read(line)
    })?;
    // A kernel that dies, or is stopped, never says how the tests ended.
    let name = format!("vm {}", kernel.release);
    let mut result = PartResult::new(&name, parser.finish(), end == Some(true));
    result.seconds = start.elapsed().as_secs_f64();
    Ok(result)
}

fn boot(kernel: &Kernel, initramfs: &Path) -> Command {
    let mut command = Command::new("timeout");
    command
        // In the foreground, so that Ctrl-C stops the machine, too.
        .args(["--foreground", "--kill-after=5", LIMIT, QEMU])
        // Nested KVM may start a kernel and then not run it, so emulation it is, everywhere.
        .args(["-accel", "tcg", "-cpu", "max"])
        .args(["-smp", "2", "-m", "1536", "-no-reboot"])
        .args(["-nodefaults", "-display", "none", "-serial", "stdio"])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initramfs)
        .args(["-append", "console=ttyS0 quiet panic=-1"])
        .stdin(Stdio::null());
    command
}

fn write_initramfs(to: &Path, kernel: &Kernel, tests: &Path, filter: Option<&str>) -> Result<()> {
    let busybox = host::which("busybox").context("busybox is not installed")?;
    let mut archive = Archive::default();
    for dir in ["proc", "sys", "dev", "tmp", "run"] {
        archive.add_dir(dir);
    }
    archive.add_file("init", 0o755, INIT.as_bytes());
    let arguments = format!("--show-output {}", filter.unwrap_or_default());
    archive.add_file("arguments", 0o644, arguments.as_bytes());
    archive.add_file("veth.ko", 0o644, &read(&kernel.veth)?);
    archive.add_file("bin/busybox", 0o755, &read(&busybox)?);
    archive.add_file("tests", 0o755, &read(tests)?);
    for library in shared_libraries(tests)? {
        let name = library.strip_prefix("/").unwrap_or(&library);
        archive.add_file(&name.display().to_string(), 0o755, &read(&library)?);
    }
    fs::write(to, archive.finish()).with_context(|| format!("cannot write {}", to.display()))
}

/// Builds the packet tests and returns the program's path.
fn build_tests() -> Result<PathBuf> {
    let output = host::cargo("test")
        .args(["--package=lb-tests", "--test=packet", "--no-run"])
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("the packet tests do not build");
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    messages
        .lines()
        .filter_map(executable)
        .find(|path| path.contains("/deps/packet-"))
        .map(PathBuf::from)
        .context("cargo names no test program")
}

/// The program in one of cargo's messages; the package's other binaries are among them, in any
/// order. Cargo escapes nothing in the paths that it chooses.
fn executable(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once(r#""executable":""#)?;
    rest.split_once('"').map(|(path, _)| path)
}

/// What the dynamic loader would load for a program, the loader included.
fn shared_libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd")
        .arg(program)
        .output()
        .context("cannot run ldd")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(parse_ldd(&text))
}

/// `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f..)`, or a path alone for the loader.
fn parse_ldd(text: &str) -> Vec<PathBuf> {
    text.split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests;
