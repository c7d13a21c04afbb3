//! Debian's kernels, fetched and unpacked.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use xtask::linker;

use crate::step;

/// 27 MB.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(300);
const UNPACK_LIMIT: Duration = Duration::from_secs(120);

/// An unpacked kernel.
pub(super) struct Kernel {
    /// As `uname -r` says it.
    pub(super) release: String,
    /// What a boot loader loads.
    pub(super) image: PathBuf,
    /// The driver of the tests' interfaces, which Debian builds as a module.
    pub(super) veth: PathBuf,
}

/// Fetches the kernel that a meta package stands for, once for each release.
pub(super) fn fetch(meta_package: &str) -> Result<Kernel> {
    let package = resolve(meta_package)?;
    let release = package.trim_start_matches("linux-image-").to_owned();
    let cache = linker::cache_dir()
        .context("HOME is not set: there is no directory to keep kernels in")?
        .join("kernels");
    let dir = cache.join(&package);
    if !dir.is_dir() {
        unpack(&package, &cache, &dir)?;
    }
    let image = dir.join("boot").join(format!("vmlinuz-{release}"));
    let veth = dir
        .join("lib/modules")
        .join(&release)
        .join("kernel/drivers/net/veth.ko");
    // Since 6.12, Debian's package may keep modules in the merged directory, and compressed.
    let veth = [
        veth.clone(),
        dir.join("usr")
            .join(veth.strip_prefix(&dir).unwrap_or(&veth)),
    ]
    .into_iter()
    .flat_map(|path| [path.clone(), path.with_extension("ko.xz")])
    .find(|path| path.is_file())
    .with_context(|| format!("{package} has no veth module"))?;
    Ok(Kernel {
        release,
        image,
        veth,
    })
}

/// Unpacks beside the final place and renames, so that what is there is whole.
fn unpack(package: &str, cache: &Path, dir: &Path) -> Result<()> {
    let part = cache.join(format!("{package}.part"));
    if part.exists() {
        fs::remove_dir_all(&part).with_context(|| format!("cannot clear {}", part.display()))?;
    }
    fs::create_dir_all(&part).with_context(|| format!("cannot create {}", part.display()))?;
    step::run(
        &format!("fetching {package}"),
        Command::new("apt-get")
            .args(["--quiet", "download", package])
            .current_dir(&part),
        DOWNLOAD_LIMIT,
    )?;
    let archive = fs::read_dir(&part)
        .with_context(|| format!("cannot read {}", part.display()))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get downloaded nothing")?;
    step::run(
        &format!("unpacking {package}"),
        Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&part),
        UNPACK_LIMIT,
    )?;
    fs::remove_file(&archive).context("cannot remove the archive")?;
    fs::rename(&part, dir).with_context(|| format!("cannot rename to {}", dir.display()))
}

fn resolve(meta_package: &str) -> Result<String> {
    let output = Command::new("apt-cache")
        .args(["depends", meta_package])
        .env("LC_ALL", "C")
        .output()
        .context("cannot run apt-cache")?;
    match parse_depends(&String::from_utf8_lossy(&output.stdout)) {
        Some(package) => Ok(package.to_owned()),
        None => bail!("apt knows no package {meta_package}"),
    }
}

fn parse_depends(output: &str) -> Option<&str> {
    output
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|package| package.starts_with("linux-image-"))
}

#[cfg(test)]
mod tests;
