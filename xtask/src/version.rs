//! Version numbers as compilers and linkers print them.

use std::fmt;

/// `major.minor.patch`; what follows (`-nightly`, `+dfsg1`) does not take part in comparing.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Version {
    /// The number that breaks compatibility; for LLVM, the one that decides which bitcode it reads.
    pub major: u32,
    /// Zero where the text has only one number.
    pub minor: u32,
    /// Zero where the text has only two numbers.
    pub patch: u32,
}

impl Version {
    /// Reads the version that `text` starts with; `None` when it starts with no number.
    ///
    /// A part that is missing is zero, so that Cargo's `rust-version = "1.95"` reads as 1.95.0.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.').map(|part| {
            let digits = part.split(|c: char| !c.is_ascii_digit()).next();
            digits.unwrap_or_default().parse().ok()
        });
        Some(Self {
            major: parts.next().flatten()?,
            minor: parts.next().flatten().unwrap_or(0),
            patch: parts.next().flatten().unwrap_or(0),
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// What `rustc -vV` says of a compiler.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CompilerVersion {
    /// The release, for example 1.95.0.
    pub release: Version,
    /// Whether the compiler takes unstable features without being asked to (nightly and dev
    /// builds).
    pub unstable: bool,
    /// The LLVM that writes the bitcode.
    pub llvm: Version,
    /// The triple the compiler runs on.
    pub host: String,
}

impl CompilerVersion {
    /// Reads the output of `rustc -vV`; `None` when a line that is needed is missing.
    #[must_use]
    pub fn parse(output: &str) -> Option<Self> {
        let field = |name: &str| {
            output
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        let release = field("release")?;
        Some(Self {
            release: Version::parse(release)?,
            unstable: release.contains("-nightly") || release.contains("-dev"),
            llvm: Version::parse(field("LLVM version")?)?,
            host: field("host")?.to_owned(),
        })
    }
}

/// Reads the LLVM version from what LLVM's own `-version` option prints.
///
/// Distributions put their name before it: `Debian LLVM version 22.1.8`.
#[must_use]
pub fn parse_llvm_banner(output: &str) -> Option<Version> {
    output.lines().find_map(|line| {
        let (_, version) = line.split_once("LLVM version ")?;
        Version::parse(version)
    })
}

#[cfg(test)]
mod tests;
