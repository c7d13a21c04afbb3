//! The machine and the workspace that the commands work on.

use std::{
    env, fs,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};

/// The directory of the workspace's `Cargo.toml`.
pub(crate) fn workspace_root() -> PathBuf {
    let manifest_dir = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest_dir
        .parent()
        .map_or_else(|| manifest_dir.clone(), Path::to_path_buf)
}

/// The target directory: this program lies two levels below it, wherever the user's configuration
/// puts it.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let program = env::current_exe().context("cannot find this program's own path")?;
    program
        .ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .context("this program lies outside of a target directory")
}

/// The cargo that started this program, at the workspace's root.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace_root()).arg(subcommand);
    command
}

/// Builds programs of the workspace, optimised, and returns the directory they lie in.
pub(crate) fn build_release(arguments: &[&str]) -> Result<PathBuf> {
    let status = cargo("build")
        .arg("--release")
        .args(arguments)
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("the build failed");
    }
    Ok(target_dir()?.join("release"))
}

/// Becomes `program` with root's rights, through sudo if need be. Returns only to report failure.
pub(crate) fn exec_as_root(program: &Path, arguments: &[String]) -> Result<ExitCode> {
    let mut command = if is_root() {
        Command::new(program)
    } else if let Some(sudo) = which("sudo") {
        eprintln!(
            "This needs root: running {} through sudo.",
            program.display()
        );
        let mut command = Command::new(sudo);
        command.arg(program);
        command
    } else {
        bail!(
            "this needs root, and there is no sudo; as root, type: {} {}",
            program.display(),
            arguments.join(" ")
        );
    };
    let error = command.args(arguments).exec();
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}

/// Whether this process has root's rights.
pub(crate) fn is_root() -> bool {
    // The owner of a process's directory there is its effective user.
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// Whether packages come from apt: Debian and what is made from it.
pub(crate) fn has_apt() -> bool {
    Path::new("/etc/debian_version").exists() && which("apt-get").is_some()
}

/// Finds a program as a shell would, and where root's programs and PostgreSQL's servers lie, which
/// a user's PATH may lack.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let postgresql = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"));
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .chain(postgresql)
        .map(|dir| dir.join(program))
        .find(|path| {
            fs::metadata(path)
                .is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
        })
}
