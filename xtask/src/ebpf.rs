//! Building the XDP programs.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::toolchain::{self, BpfToolchain};

/// Little-endian BPF: the byte order of every host that lb supports.
pub const TARGET: &str = "bpfel-unknown-none";

/// A binary of the `lb-ebpf` package that another package carries inside itself.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Name of the binary.
    pub bin: &'static str,
    /// Environment variable that tells the carrier's compiler where the object lies.
    pub variable: &'static str,
}

/// The balancer's own programs.
pub const BALANCER: Program = Program {
    bin: "lb-ebpf",
    variable: "LB_EBPF_OBJECT",
};

/// The program that servers behind a tunnel run.
pub const DECAP: Program = Program {
    bin: "lb-ebpf-decap",
    variable: "LB_EBPF_DECAP_OBJECT",
};

/// The programs that measure them.
pub const BENCH: Program = Program {
    bin: "lb-ebpf-bench",
    variable: "LB_EBPF_BENCH_OBJECT",
};

/// An object file with the programs, and what the compiler said that a developer should read.
#[derive(Debug)]
pub struct Built {
    /// The object, ready to be embedded or loaded.
    pub object: PathBuf,
    /// The compiler's warnings; empty when there were none.
    pub warnings: String,
}

/// Builds `program` of the workspace at `root`, optimised, with BTF, into `target_dir`.
///
/// `target_dir` must not be that of a cargo that waits for this build: cargo locks it.
///
/// # Errors
/// With the compiler's whole output when it refuses the programs.
pub fn build(
    toolchain: &BpfToolchain,
    program: Program,
    root: &Path,
    target_dir: &Path,
) -> Result<Built> {
    let mut command = cargo(toolchain, &toolchain.rust.cargo, root, "build", target_dir);
    // Quiet: what remains on standard error is the compiler's own.
    command.args(["--release", "--quiet", "--bin", program.bin]);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", toolchain.rust.cargo.display()))?;
    let messages = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!(
            "the XDP programs do not build with {} and {}:\n{messages}",
            toolchain.rust,
            toolchain.linker
        );
    }
    let object = target_dir.join(TARGET).join("release").join(program.bin);
    if !object.is_file() {
        bail!(
            "cargo built the XDP programs, but not as {}",
            object.display()
        );
    }
    Ok(Built {
        object,
        warnings: messages.trim_end().to_owned(),
    })
}

/// A cargo command on the `lb-ebpf` package for the BPF target, with its linker and flags.
///
/// `program` is the toolchain's cargo, or one of its subcommands' own programs (cargo-clippy),
/// which cargo itself would look for on PATH and find in another toolchain.
pub fn cargo(
    toolchain: &BpfToolchain,
    program: &Path,
    root: &Path,
    subcommand: &str,
    target_dir: &Path,
) -> Command {
    let mut command = toolchain.rust.unstable_command(program);
    command
        .current_dir(root)
        .args([subcommand, "--package", "lb-ebpf", "--target", TARGET])
        .args(["-Z", "build-std=core"])
        .arg("--target-dir")
        .arg(target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", rust_flags(toolchain));
    command
}

/// The carriers' build script: builds `program`, copies the object to cargo's output directory and
/// tells the crate its path through the program's variable.
///
/// Installs nothing. Prints cargo's instructions on standard output; a fault becomes cargo's error
/// and names what to do.
pub fn build_script(program: Program) {
    let directory = |name| PathBuf::from(env::var_os(name).expect("cargo sets it"));
    let manifest_dir = directory("CARGO_MANIFEST_DIR");
    let root = manifest_dir
        .parent()
        .expect("the crate is a directory of the workspace");
    if let Err(error) = build_for_carrier(program, root, &directory("OUT_DIR")) {
        // Cargo fails the build because of this instruction, and shows the text alone. A panic or
        // an exit status would make it show everything that was printed here.
        for line in error.to_string().lines() {
            println!("cargo::error={line}");
        }
    }
}

/// [`build_script`], where the workspace and cargo's output directory are known.
fn build_for_carrier(program: Program, root: &Path, out_dir: &Path) -> Result<()> {
    for input in [
        "lb-ebpf/Cargo.toml",
        "lb-ebpf/src",
        "lb-common/Cargo.toml",
        "lb-common/src",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    let toolchain = toolchain::find().map_err(|missing| {
        anyhow::anyhow!("{missing}: run `cargo xtask setup` once to install what is missing")
    })?;
    for tool in [&toolchain.rust.rustc, &toolchain.linker.path] {
        println!("cargo::rerun-if-changed={}", tool.display());
    }
    let built = build(&toolchain, program, root, &shared_target_dir(out_dir))?;
    for line in built.warnings.lines().filter(|line| !line.is_empty()) {
        println!("cargo::warning={line}");
    }
    let object = out_dir.join(program.bin).with_extension("o");
    fs::copy(&built.object, &object)
        .with_context(|| format!("cannot copy the XDP programs to {}", object.display()))?;
    println!("cargo::rustc-env={}={}", program.variable, object.display());
    Ok(())
}

/// Flags for the programs and their `core`.
///
/// `debuginfo=2` and `--btf`: the verifier's messages and the loader's maps need BTF.
/// `target-cpu=v3`: 32-bit jumps and atomics that return a value (Linux 5.12).
fn rust_flags(toolchain: &BpfToolchain) -> OsString {
    const SEPARATOR: &str = "\x1f";
    let mut flags = OsString::from("-Clinker=");
    flags.push(&toolchain.linker.path);
    for flag in ["-Cdebuginfo=2", "-Clink-arg=--btf", "-Ctarget-cpu=v3"] {
        flags.push(SEPARATOR);
        flags.push(flag);
    }
    flags
}

/// `bpf` in the target directory that `out_dir` is part of, so that debug, release and check builds
/// share one `core`; `out_dir` itself where cargo's layout is not the one known.
///
/// Two builds at once wait for each other there, and cannot block each other for ever: the inner
/// cargo never waits for an outer one.
pub fn shared_target_dir(out_dir: &Path) -> PathBuf {
    out_dir
        .ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").is_file())
        .unwrap_or(out_dir)
        .join("bpf")
}
