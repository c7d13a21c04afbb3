//! The distribution's packages, on Debian and what is made from it.

use std::{
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use xtask::{toolchain, version::Version};

use crate::{host, step};

const UPDATE_LIMIT: Duration = Duration::from_secs(120);
const INSTALL_LIMIT: Duration = Duration::from_secs(900);

/// Matched sets of compiler, cargo and library source. Debian's stable releases carry a compiler
/// that is new enough for browsers under the first names.
const RUST_PACKAGES: [[&str; 3]; 2] = [
    ["rustc-web", "cargo-web", "rust-web-src"],
    ["rustc", "cargo", "rust-src"],
];

/// Whether packages can be installed without asking anybody.
pub(super) fn may_install() -> bool {
    host::has_apt() && host::is_root()
}

/// Installs the distribution's compiler with rust-src, if it is new enough.
pub(super) fn install_rust() -> Result<()> {
    if !may_install() {
        bail!("the distribution's packages need apt and root");
    }
    update()?;
    let minimum = Version::parse(toolchain::MINIMUM_RELEASE);
    for packages in RUST_PACKAGES {
        if candidate(packages[0])? >= minimum {
            return install(&packages);
        }
    }
    bail!(
        "the distribution's Rust is older than {}",
        toolchain::MINIMUM_RELEASE
    )
}

/// Installs packages. Removes none, and starts none of the services that they bring.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    if !may_install() {
        bail!("installing {} needs apt and root", packages.join(" "));
    }
    update()?;
    // Debian asks this program before it starts a service: 101 forbids it. Where an administrator
    // has put one, his decides. The shell's trap takes it away on Ctrl-C, too.
    const SCRIPT: &str = r#"
        guard=/usr/sbin/policy-rc.d
        if [ ! -e "$guard" ]; then
            trap 'rm -f "$guard"' EXIT
            trap 'exit 130' INT TERM
            printf '#!/bin/sh\nexit 101\n' > "$guard" && chmod 755 "$guard" || exit 1
        fi
        apt-get -o DPkg::Lock::Timeout=60 -o Acquire::Retries=1 -o Acquire::http::Timeout=15 \
            --yes --quiet --no-install-recommends --no-remove install "$@"
    "#;
    step::run(
        &format!("installing {}", packages.join(" ")),
        Command::new("sh")
            .args(["-c", SCRIPT, "install"])
            .args(packages)
            .env("DEBIAN_FRONTEND", "noninteractive"),
        INSTALL_LIMIT,
    )
}

/// Fetches the package lists, once.
fn update() -> Result<()> {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    step::run(
        "fetching package lists",
        Command::new("apt-get")
            .args(["-o", "DPkg::Lock::Timeout=60", "-o", "Acquire::Retries=0"])
            .args(["-o", "Acquire::http::Timeout=15", "update"])
            .env("DEBIAN_FRONTEND", "noninteractive"),
        UPDATE_LIMIT,
    )
}

/// The version of a package that would be installed; `None` when there is none.
fn candidate(package: &str) -> Result<Option<Version>> {
    let output = Command::new("apt-cache")
        .args(["policy", package])
        .env("LC_ALL", "C")
        .output()
        .context("cannot run apt-cache")?;
    Ok(parse_candidate(&String::from_utf8_lossy(&output.stdout)))
}

/// Debian's versions may begin with an epoch, `1:`.
fn parse_candidate(policy: &str) -> Option<Version> {
    let version = policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    let upstream = version.split_once(':').map_or(version, |(_, rest)| rest);
    Version::parse(upstream)
}

/// Installs clippy for the distribution's compiler.
pub(super) fn install_clippy() -> Result<()> {
    let web = Path::new("/usr/share/doc/rustc-web").exists();
    install(&[if web {
        "rust-web-clippy"
    } else {
        "rust-clippy"
    }])
}

#[cfg(test)]
mod tests;
