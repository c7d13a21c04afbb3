//! The release archive.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};

use crate::{host, setup};

/// What goes into the archive beside the program.
const DOCUMENTS: [&str; 4] = [
    "README.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "lb-ebpf/LICENSE-GPL",
];

/// Builds `target/dist/lb-VERSION-TARGET.tar.gz` from what is committed and what is not.
pub(crate) fn run() -> Result<ExitCode> {
    let toolchain = setup::toolchain()?;
    let lb = host::build_release(&["--package=lb-userspace", "--bin=lb"])?.join("lb");

    let dist = host::target_dir()?.join("dist");
    let name = format!(
        "lb-{}-{}",
        env!("CARGO_PKG_VERSION"),
        toolchain.rust.version.host
    );
    let dir = dist.join(&name);
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot clear {}", dir.display()))?;
    }
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    copy_into(&dir, &lb)?;
    for document in DOCUMENTS {
        copy_into(&dir, &host::workspace_root().join(document))?;
    }

    let archive = dist.join(format!("{name}.tar.gz"));
    let status = Command::new("tar")
        .arg("--directory")
        .arg(&dist)
        .args(["--owner=0", "--group=0", "--sort=name", "-czf"])
        .arg(&archive)
        .arg(&name)
        .status()
        .context("cannot run tar")?;
    if !status.success() {
        bail!("tar failed ({status})");
    }
    println!("{}", archive.display());
    Ok(ExitCode::SUCCESS)
}

fn copy_into(dir: &Path, file: &Path) -> Result<()> {
    let name = file.file_name().context("a file has a name")?;
    fs::copy(file, dir.join(name))
        .with_context(|| format!("cannot copy {}", file.display()))
        .map(drop)
}
