//! Rust toolchains that can build `core`, and the pair of toolchain and linker to use.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, anyhow};

use crate::{
    linker::{self, Linker},
    version::{CompilerVersion, Version},
};

/// The oldest compiler that builds the workspace: edition 2024, and library functions that became
/// stable in this release. Cargo itself refuses older ones by the same number.
pub const MINIMUM_RELEASE: &str = env!("CARGO_PKG_RUST_VERSION");

/// A compiler and its cargo, called by their own paths and never through rustup's proxies: inside
/// a build script those obey the outer cargo's `RUSTUP_TOOLCHAIN`.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// How to call it to a person: rustup's name, or the path of a system compiler.
    pub name: String,
    /// The `cargo` beside it.
    pub cargo: PathBuf,
    /// The compiler.
    pub rustc: PathBuf,
    /// Where the compiler's libraries lie.
    pub sysroot: PathBuf,
    /// What the compiler says of itself.
    pub version: CompilerVersion,
}

impl Toolchain {
    /// Asks the compiler in `bin` for its version and sysroot.
    ///
    /// # Errors
    /// When cargo or rustc is missing there, does not run, or prints something else.
    pub fn from_bin_dir(name: String, bin: &Path) -> Result<Self> {
        let (cargo, rustc) = (bin.join("cargo"), bin.join("rustc"));
        if !cargo.is_file() {
            return Err(anyhow!("{name} has no cargo"));
        }
        let version = output_of(clean_command(&rustc).arg("-vV"))?;
        let sysroot = output_of(clean_command(&rustc).args(["--print", "sysroot"]))?;
        let version = CompilerVersion::parse(&version)
            .with_context(|| format!("{} -vV says no LLVM version", rustc.display()))?;
        Ok(Self {
            name,
            cargo,
            rustc,
            sysroot: PathBuf::from(sysroot.trim()),
            version,
        })
    }

    /// Whether the source of `core` is there to be built.
    #[must_use]
    pub fn has_rust_src(&self) -> bool {
        has_rust_src(&self.sysroot)
    }

    /// Whether the compiler is new enough for the workspace.
    #[must_use]
    pub fn is_new_enough(&self) -> bool {
        Version::parse(MINIMUM_RELEASE).is_none_or(|minimum| self.version.release >= minimum)
    }

    /// A command of this toolchain, usually its cargo, that uses nothing of an outer cargo's
    /// environment.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = clean_command(program);
        command.env("CARGO", &self.cargo).env("RUSTC", &self.rustc);
        // Empty turns off a wrapper that the user's cargo configuration names.
        command.env("RUSTC_WRAPPER", "");
        command.env("RUSTC_WORKSPACE_WRAPPER", "");
        command
    }

    /// As [`Toolchain::command`], and a stable compiler is told to take the unstable `build-std`.
    /// That is confined to the BPF target, whose `core` nobody ships.
    pub fn unstable_command(&self, program: &Path) -> Command {
        let mut command = self.command(program);
        if !self.version.unstable {
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        command
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CompilerVersion { release, llvm, .. } = &self.version;
        write!(f, "{} (Rust {release}, LLVM {llvm})", self.name)
    }
}

/// A toolchain and a linker that reads what its compiler writes.
#[derive(Clone, Debug)]
pub struct BpfToolchain {
    /// Compiler and cargo.
    pub rust: Toolchain,
    /// The linker.
    pub linker: Linker,
}

/// Why no BPF toolchain was found, for the person who reads it and for `setup`, which repairs it.
#[derive(Clone, Debug)]
pub enum Missing {
    /// No compiler has rust-src and is new enough.
    RustSrc,
    /// These compilers would do, but no linker reads their bitcode.
    Linker(Vec<Toolchain>),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RustSrc => write!(
                f,
                "no Rust toolchain of {MINIMUM_RELEASE} or newer has the rust-src component"
            ),
            Self::Linker(candidates) => {
                write!(f, "no bpf-linker reads the bitcode of ")?;
                for (i, toolchain) in candidates.iter().enumerate() {
                    write!(f, "{}{toolchain}", if i == 0 { "" } else { " or " })?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for Missing {}

/// Finds the first toolchain that has rust-src and a fitting linker.
///
/// Costs a few short processes (tens of milliseconds), so nothing is remembered between calls and
/// nothing can be out of date.
///
/// # Errors
/// What is missing.
pub fn find() -> Result<BpfToolchain, Missing> {
    let candidates = candidates();
    let linkers = linker::installed();
    for rust in &candidates {
        if let Some(linker) = linker::choose(&linkers, rust.version.llvm) {
            return Ok(BpfToolchain {
                rust: rust.clone(),
                linker: linker.clone(),
            });
        }
    }
    Err(if candidates.is_empty() {
        Missing::RustSrc
    } else {
        Missing::Linker(candidates)
    })
}

/// The installed toolchains that have rust-src and are new enough, best first.
#[must_use]
pub fn candidates() -> Vec<Toolchain> {
    bin_dirs()
        .into_iter()
        // The prefix is the sysroot of every usual installation: look before running anything.
        .filter(|(_, bin)| bin.parent().is_some_and(has_rust_src))
        .filter_map(|(name, bin)| Toolchain::from_bin_dir(name, &bin).ok())
        .filter(|toolchain| toolchain.has_rust_src() && toolchain.is_new_enough())
        .collect()
}

/// Names and `bin` directories of every toolchain here, best first: rustup's nightly, rustup's
/// others, the system's.
#[must_use]
pub fn bin_dirs() -> Vec<(String, PathBuf)> {
    let mut names = rustup_home()
        .and_then(|home| fs::read_dir(home.join("toolchains")).ok())
        .map(|entries| {
            entries
                .flatten()
                .filter_map(|entry| entry.file_name().into_string().ok())
                .collect::<Vec<_>>()
        })
        .unwrap_or_default();
    sort_by_preference(&mut names);

    let mut dirs = Vec::new();
    if let Some(home) = rustup_home() {
        for name in names {
            let bin = home.join("toolchains").join(&name).join("bin");
            dirs.push((name, bin));
        }
    }
    for bin in ["/usr/local/bin", "/usr/bin"] {
        let bin = PathBuf::from(bin);
        let rustc = bin.join("rustc");
        // Debian's own rustup package puts its proxies there.
        let proxy = fs::canonicalize(&rustc).is_ok_and(|path| path.ends_with("rustup"));
        if rustc.is_file() && !proxy {
            dirs.push((rustc.display().to_string(), bin));
        }
    }
    dirs
}

/// Where rustup keeps its toolchains.
#[must_use]
pub fn rustup_home() -> Option<PathBuf> {
    env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".rustup")))
}

/// A command that does not inherit what an outer cargo or rustup told its own children.
///
/// Both name their compiler, flags and directories through the environment; a nested cargo that
/// inherited them would build with the wrong compiler or for the wrong target.
pub fn clean_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (key, _) in env::vars_os() {
        if key.to_str().is_some_and(is_outer_cargo_variable) {
            command.env_remove(key);
        }
    }
    command
}

fn is_outer_cargo_variable(name: &str) -> bool {
    /// Settings of the machine, and the job server, whose slots the nested cargo must share.
    const KEPT: [&str; 6] = [
        "CARGO_HOME",
        "CARGO_MAKEFLAGS",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTR",
        "CARGO_TERM_",
    ];
    const DROPPED: [&str; 6] = ["CARGO_", "CLIPPY_", "DEP_", "RUSTC", "RUSTDOC", "RUSTFLAGS"];
    const DROPPED_NAMES: [&str; 10] = [
        "CARGO",
        "DEBUG",
        "HOST",
        "NUM_JOBS",
        "OPT_LEVEL",
        "OUT_DIR",
        "PROFILE",
        "RUSTUP_TOOLCHAIN",
        "RUST_RECURSION_COUNT",
        "TARGET",
    ];
    let starts_with_one_of = |prefixes: &[&str]| prefixes.iter().any(|p| name.starts_with(p));
    DROPPED_NAMES.contains(&name) || starts_with_one_of(&DROPPED) && !starts_with_one_of(&KEPT)
}

fn has_rust_src(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib/src/rust/library/core").is_dir()
}

/// Nightly first, because it needs no permission for unstable flags; then the rest by name, newest
/// dated nightly first and `stable` before numbered releases.
fn sort_by_preference(names: &mut [String]) {
    let rank = |name: &str| match name {
        _ if name.starts_with("nightly-2") => 1,
        _ if name.starts_with("nightly") => 0,
        _ if name.starts_with("stable") => 2,
        _ if name.starts_with("beta") => 3,
        _ => 4,
    };
    names.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| b.cmp(a)));
}

fn output_of(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if !output.status.success() {
        return Err(anyhow!(
            "{} failed: {}",
            command.get_program().display(),
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests;
