//! Building bpf-linker.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use xtask::{
    linker::{self, LLVM_FEATURES, Linker},
    toolchain::Toolchain,
};

use super::apt;
use crate::step;

/// About a minute on two processors.
const BUILD_LIMIT: Duration = Duration::from_secs(1200);

/// Builds a linker for a compiler into the cache directory.
///
/// It is linked to the very LLVM library that the compiler uses, so it needs no LLVM packages and
/// always reads the compiler's bitcode. Compilers that contain their LLVM get the distribution's
/// library.
pub(super) fn install(compiler: &Toolchain) -> Result<()> {
    let llvm = compiler.version.llvm;
    if !LLVM_FEATURES.contains(&llvm.major) {
        bail!(
            "{compiler} needs a bpf-linker for LLVM {}; {} knows {LLVM_FEATURES:?}",
            llvm.major,
            linker::RELEASE
        );
    }
    let root = linker::install_root(llvm.major)
        .context("HOME is not set: there is no directory to install bpf-linker in")?;
    let library = shared_llvm(compiler)?;
    let prefix = root.join("llvm");
    provide_llvm(&library, &prefix.join("lib"))?;

    step::run(
        &format!(
            "building bpf-linker {} with the LLVM of {}, once",
            linker::RELEASE,
            compiler.name
        ),
        compiler
            .command(&compiler.cargo)
            .args(["install", "bpf-linker", "--locked", "--force", "--version"])
            .args([linker::RELEASE, "--no-default-features", "--features"])
            .arg(format!("llvm-{}", llvm.major))
            .arg("--root")
            .arg(&root)
            .env("LLVM_PREFIX", &prefix)
            // Linking our programs takes it milliseconds; building it well takes a minute more.
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
            .env("CARGO_PROFILE_RELEASE_LTO", "false"),
        BUILD_LIMIT,
    )?;

    let path = root.join("bin/bpf-linker");
    match Linker::at(&path) {
        Some(linker) if linker.reads(llvm) => Ok(()),
        Some(linker) => Err(anyhow!("{linker} was built, but is too old for {compiler}")),
        None => Err(anyhow!("{} was built, but does not run", path.display())),
    }
}

fn shared_llvm(compiler: &Toolchain) -> Result<PathBuf> {
    let major = compiler.version.llvm.major;
    let find = || linker::shared_llvm(&compiler.sysroot, &compiler.version.host, major);
    if let Some(library) = find() {
        return Ok(library);
    }
    let package = format!("libllvm{major}");
    apt::install(&[&package]).with_context(|| {
        format!("{compiler} has no shared LLVM library to build bpf-linker with")
    })?;
    find().with_context(|| format!("{package} holds no libLLVM.so.{major}"))
}

/// Makes a directory that looks to bpf-linker's build like an LLVM installation: the library, by
/// the name that the linker asks for and by the one that the program will load.
fn provide_llvm(library: &Path, dir: &Path) -> Result<()> {
    let name = library.file_name().context("the library has a name")?;
    // What an earlier LLVM left would be found instead.
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot clear {}", dir.display()))?;
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let copy = dir.join(name);
    // A second name for the same file outlives an update of the toolchain; between file systems,
    // and where another user owns the file, there is only a reference.
    fs::hard_link(library, &copy)
        .or_else(|_| symlink(library, &copy))
        .and_then(|()| symlink(name, dir.join("libLLVM.so")))
        .with_context(|| format!("cannot link {} into {}", library.display(), dir.display()))
}
