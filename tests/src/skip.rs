//! Tests that cannot run here.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Says on standard output that the test that runs on this thread is skipped, and why.
///
/// The line reads `SKIPPED: <test name>: <reason>` and goes past the test runner's capture, so that
/// whoever runs the tests can count such lines.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unknown test");
    // A reader who is gone misses nothing.
    let _ = writeln!(std::io::stdout().lock(), "SKIPPED: {name}: {reason}");
}

/// Where `program` is; `None`, and the test reported as skipped, if it is not installed.
pub fn installed(program: &str, package: &str) -> Option<PathBuf> {
    let found = find(program);
    if found.is_none() {
        skip(&format!(
            "{program} is not installed (Debian package {package})"
        ));
    }
    found
}

/// Where `program` is, searching what root's PATH may lack, too.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from))
        .chain(postgres_directories())
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}

/// Debian keeps PostgreSQL's server programs per version, out of the PATH. Newest first.
fn postgres_directories() -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Path::new("/usr/lib/postgresql")
        .read_dir()
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}
