//! What rustup can add.

use std::{
    env,
    net::{TcpStream, ToSocketAddrs as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use xtask::{
    linker::{self, LLVM_FEATURES},
    toolchain::{self, Toolchain},
};

use crate::{host, step};

/// The source of the standard library is 3 MB.
const COMPONENT_LIMIT: Duration = Duration::from_secs(60);
/// A minimal toolchain is 100 MB.
const TOOLCHAIN_LIMIT: Duration = Duration::from_secs(600);
/// rustup by itself waits for minutes where packets vanish.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
const DOWNLOAD_HOST: &str = "static.rust-lang.org:443";

/// Adds rust-src to an installed toolchain, nightly before the others.
pub(super) fn add_rust_src() -> Result<()> {
    let rustup = rustup()?;
    let linkers = linker::installed();
    let toolchain = toolchain::bin_dirs()
        .into_iter()
        .filter(|(_, bin)| is_rustups(bin))
        .filter_map(|(name, bin)| Toolchain::from_bin_dir(name, &bin).ok())
        .find(|toolchain| {
            let llvm = toolchain.version.llvm;
            let linkable =
                LLVM_FEATURES.contains(&llvm.major) || linker::choose(&linkers, llvm).is_some();
            toolchain.is_new_enough() && linkable
        })
        .ok_or_else(|| {
            anyhow!(
                "rustup has no toolchain of {} or newer",
                toolchain::MINIMUM_RELEASE
            )
        })?;
    check_network()?;
    step::run(
        &format!("adding rust-src to {}", toolchain.name),
        toolchain::clean_command(&rustup)
            .args(["component", "add", "rust-src", "--toolchain"])
            .arg(&toolchain.name),
        COMPONENT_LIMIT,
    )
}

/// Installs the newest nightly, for those whose toolchains are too old.
pub(super) fn install_nightly() -> Result<()> {
    let rustup = rustup()?;
    check_network()?;
    step::run(
        "installing Rust nightly with rust-src",
        toolchain::clean_command(&rustup).args([
            "toolchain",
            "install",
            "nightly",
            "--profile=minimal",
            "--component=rust-src",
        ]),
        TOOLCHAIN_LIMIT,
    )
}

/// Adds clippy to one of rustup's toolchains.
pub(super) fn add_clippy(toolchain: &Toolchain) -> Result<()> {
    let rustup = rustup()?;
    check_network()?;
    step::run(
        &format!("adding clippy to {}", toolchain.name),
        toolchain::clean_command(&rustup)
            .args(["component", "add", "clippy", "--toolchain"])
            .arg(&toolchain.name),
        COMPONENT_LIMIT,
    )
}

/// Whether a toolchain's `bin` directory is under rustup's care.
pub(super) fn is_rustups(bin: &Path) -> bool {
    toolchain::rustup_home().is_some_and(|home| bin.starts_with(home))
}

fn rustup() -> Result<PathBuf> {
    host::which("rustup")
        .or_else(|| {
            let home = env::var_os("CARGO_HOME")
                .map(PathBuf::from)
                .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))?;
            Some(home.join("bin/rustup")).filter(|path| path.is_file())
        })
        .context("rustup is not installed")
}

/// Fails within seconds where rustup's server cannot be reached. Behind a proxy, or with a mirror,
/// only rustup itself can tell.
fn check_network() -> Result<()> {
    const CONFIGURED: [&str; 5] = [
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "RUSTUP_DIST_SERVER",
    ];
    if CONFIGURED.iter().any(|name| env::var_os(name).is_some()) {
        return Ok(());
    }
    let addresses = DOWNLOAD_HOST
        .to_socket_addrs()
        .with_context(|| format!("no network for rustup: cannot resolve {DOWNLOAD_HOST}"))?;
    for address in addresses.take(2) {
        if TcpStream::connect_timeout(&address, CONNECT_LIMIT).is_ok() {
            return Ok(());
        }
    }
    bail!("no network for rustup: {DOWNLOAD_HOST} does not answer")
}
