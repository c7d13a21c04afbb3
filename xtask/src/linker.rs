//! bpf-linker: which ones are here, and which fits a compiler.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::version::{Version, parse_llvm_banner};

/// The release that `setup` builds. Each of its LLVM features needs that LLVM's shared library at
/// link time and nothing else: no headers, no llvm-config.
pub const RELEASE: &str = "0.13.0";

/// The LLVM releases that [`RELEASE`] can be built for: `--features llvm-<major>`.
pub const LLVM_FEATURES: [u32; 3] = [21, 22, 23];

/// An installed bpf-linker that runs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Linker {
    /// Its path.
    pub path: PathBuf,
    /// The LLVM it works with.
    pub llvm: Version,
}

impl Linker {
    /// Asks the program at `path` which LLVM it works with; `None` when it is not there, does not
    /// run (its LLVM was removed, for example) or does not say.
    ///
    /// The arguments after `--llvm-args` go to LLVM's own option parser, and its `-version` prints
    /// a banner and exits before any input is read.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        if !path.is_file() {
            return None;
        }
        let output = Command::new(path)
            .args(["--llvm-args=-version", "--output=/dev/null", "/dev/null"])
            .stdin(Stdio::null())
            .output()
            .ok()?;
        Some(Self {
            path: path.to_owned(),
            llvm: parse_llvm_banner(&String::from_utf8_lossy(&output.stdout))?,
        })
    }

    /// Whether it reads bitcode that a compiler with this LLVM writes.
    ///
    /// LLVM reads the bitcode of older releases. Within one major version the format is stable.
    #[must_use]
    pub fn reads(&self, compiler_llvm: Version) -> bool {
        self.llvm.major >= compiler_llvm.major
    }
}

impl fmt::Display for Linker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (LLVM {})", self.path.display(), self.llvm)
    }
}

/// Picks the first of `linkers` that reads a compiler's bitcode.
#[must_use]
pub fn choose(linkers: &[Linker], compiler_llvm: Version) -> Option<&Linker> {
    linkers.iter().find(|linker| linker.reads(compiler_llvm))
}

/// Every bpf-linker here that runs: those on PATH first, then those that `setup` built.
#[must_use]
pub fn installed() -> Vec<Linker> {
    let on_path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&on_path).map(|dir| dir.join("bpf-linker"));
    let ours = LLVM_FEATURES
        .iter()
        .filter_map(|&major| Some(install_root(major)?.join("bin/bpf-linker")));
    let mut paths: Vec<PathBuf> = Vec::new();
    for path in on_path.chain(ours) {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths.iter().filter_map(|path| Linker::at(path)).collect()
}

/// Where `setup` installs a linker for this LLVM: outside of the target directory, so that it
/// outlives `cargo clean` and serves every clone of the repository.
#[must_use]
pub fn install_root(llvm_major: u32) -> Option<PathBuf> {
    Some(cache_dir()?.join(format!("bpf-linker-{RELEASE}-llvm{llvm_major}")))
}

/// The user's cache directory of this project (`$XDG_CACHE_HOME/lb`, or `~/.cache/lb`).
#[must_use]
pub fn cache_dir() -> Option<PathBuf> {
    let base = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        // The specification says to ignore relative paths.
        .filter(|path| path.is_absolute())
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")))?;
    Some(base.join("lb"))
}

/// Looks for the shared LLVM library that a compiler itself uses, or one of the same major version
/// that is installed beside it.
#[must_use]
pub fn shared_llvm(sysroot: &Path, host: &str, llvm_major: u32) -> Option<PathBuf> {
    // Debian's multiarch triple is Rust's without the vendor.
    let multiarch = host.replace("-unknown-", "-");
    [
        sysroot.join("lib"),
        sysroot.join("lib").join(&multiarch),
        sysroot.join("lib64"),
        PathBuf::from(format!("/usr/lib/llvm-{llvm_major}/lib")),
        PathBuf::from(format!("/usr/lib64/llvm{llvm_major}/lib64")),
        PathBuf::from("/usr/lib").join(&multiarch),
        PathBuf::from("/usr/lib64"),
    ]
    .iter()
    .filter_map(|dir| fs::read_dir(dir).ok())
    .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
    .find(|path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| is_shared_llvm(name, llvm_major))
    })
    .and_then(|path| fs::canonicalize(path).ok())
}

/// LLVM has named its library `libLLVM.so.<major>.<minor>` since release 18, with a vendor's
/// suffix after it. The other names that exist are links or linker scripts to it.
fn is_shared_llvm(file_name: &str, llvm_major: u32) -> bool {
    file_name
        .strip_prefix("libLLVM.so.")
        .and_then(Version::parse)
        .is_some_and(|version| version.major == llvm_major)
}

#[cfg(test)]
mod tests;
