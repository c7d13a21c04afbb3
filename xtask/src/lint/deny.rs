//! cargo-deny: licences, sources, duplicates and known vulnerabilities of the dependencies.

use std::{path::PathBuf, process::Command, time::Duration};

use anyhow::{Context as _, Result};
use xtask::linker;

use crate::{host, step};

const RELEASE: &str = "0.20.2";
/// Some minutes on two processors.
const BUILD_LIMIT: Duration = Duration::from_secs(1800);
/// The database of advisories is a git repository.
const FETCH_LIMIT: Duration = Duration::from_secs(60);

/// Checks what `deny.toml` says. Without the advisory database the other checks run, and it says
/// so: they need no network.
pub(super) fn run() -> Result<bool> {
    let program = match host::which("cargo-deny") {
        Some(program) => program,
        None => install()?,
    };
    let deny = || {
        let mut command = Command::new(&program);
        command.current_dir(host::workspace_root());
        command
    };
    let fetched = step::run(
        "fetching advisories",
        deny().args(["fetch", "db"]),
        FETCH_LIMIT,
    );
    let mut check = deny();
    check.arg("check");
    match fetched {
        Ok(()) => {
            check.arg("advisories");
        }
        Err(_) => step::say("the advisory database cannot be fetched: advisories NOT checked"),
    }
    super::passes("deny", check.args(["licenses", "bans", "sources"]))
}

/// Builds cargo-deny into the cache directory, once.
fn install() -> Result<PathBuf> {
    let root = linker::cache_dir()
        .context("HOME is not set: there is no directory to install cargo-deny in")?
        .join(format!("cargo-deny-{RELEASE}"));
    let program = root.join("bin/cargo-deny");
    if !program.is_file() {
        step::run(
            &format!("building cargo-deny {RELEASE}, once"),
            host::cargo("install")
                .args(["cargo-deny", "--locked", "--version", RELEASE, "--root"])
                .arg(&root)
                .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
                .env("CARGO_PROFILE_RELEASE_LTO", "false"),
            BUILD_LIMIT,
        )?;
    }
    Ok(program)
}
