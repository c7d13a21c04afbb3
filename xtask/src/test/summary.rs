//! The sum over all parts, as people and programs read it.

use std::{collections::BTreeMap, fmt};

use super::libtest::Report;

/// As many tests skipped for one reason are named one by one.
const NAMED: usize = 12;

/// A test that could not run.
#[derive(Clone, Debug)]
pub(crate) struct Skipped {
    pub(crate) test: String,
    pub(crate) reason: String,
}

/// What became of one part.
#[derive(Debug)]
pub(crate) struct PartResult {
    /// The part, and the kernel where it is not this machine's.
    pub(crate) name: String,
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) failures: Vec<String>,
    pub(crate) skipped: Vec<Skipped>,
    /// Wall time, building included.
    pub(crate) seconds: f64,
}

impl PartResult {
    /// What the test programs said. `succeeded`: how cargo ended. A program that does not build, or
    /// dies, says nothing, and must not pass for one without tests.
    pub(crate) fn new(name: &str, report: Report, succeeded: bool) -> Self {
        let mut result = Self {
            passed: report.passed,
            failed: report.failed,
            failures: report.failures,
            skipped: report
                .skipped
                .into_iter()
                .map(|(test, reason)| Skipped { test, reason })
                .collect(),
            ..Self::empty(name)
        };
        if !succeeded && result.failed == 0 {
            result.failed = 1;
            result
                .failures
                .push("a test program did not build, or died: see above".to_owned());
        }
        result
    }

    /// A part that could not begin: one failure.
    pub(crate) fn failed_as_a_whole(name: &str, why: &str) -> Self {
        Self {
            failed: 1,
            failures: vec![why.to_owned()],
            ..Self::empty(name)
        }
    }

    /// A part none of whose tests can run here.
    pub(crate) fn skipped_as_a_whole(name: &str, skipped: Vec<Skipped>) -> Self {
        Self {
            skipped,
            ..Self::empty(name)
        }
    }

    fn empty(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            passed: 0,
            failed: 0,
            failures: Vec::new(),
            skipped: Vec::new(),
            seconds: 0.0,
        }
    }
}

/// All parts. Displays as what failed, what was skipped and why, a table, and the sum in one line.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) parts: Vec<PartResult>,
}

impl Summary {
    pub(crate) fn failed(&self) -> usize {
        self.parts.iter().map(|part| part.failed).sum()
    }

    fn passed(&self) -> usize {
        self.parts.iter().map(|part| part.passed).sum()
    }

    fn skipped(&self) -> usize {
        self.parts.iter().map(|part| part.skipped.len()).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            for (reason, tests) in by_reason(&part.skipped) {
                // A part that cannot run at all has one reason, and its tests' names tell nothing.
                if tests.len() > NAMED {
                    let count = tests.len();
                    writeln!(f, "skipped  {}: {count} tests: {reason}", part.name)?;
                    continue;
                }
                for test in tests {
                    writeln!(f, "skipped  {} {test}: {reason}", part.name)?;
                }
            }
        }
        for part in &self.parts {
            for test in &part.failures {
                writeln!(f, "failed   {} {test}", part.name)?;
            }
        }
        writeln!(
            f,
            "{:<30}{:>8}{:>8}{:>8}{:>10}",
            "part", "passed", "failed", "skipped", "time"
        )?;
        for part in &self.parts {
            writeln!(
                f,
                "{:<30}{:>8}{:>8}{:>8}{:>8.1} s",
                part.name,
                part.passed,
                part.failed,
                part.skipped.len(),
                part.seconds
            )?;
        }
        writeln!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed(),
            self.failed(),
            self.skipped()
        )
    }
}

fn by_reason(skipped: &[Skipped]) -> BTreeMap<&str, Vec<&str>> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Skipped { test, reason } in skipped {
        groups.entry(reason).or_default().push(test);
    }
    groups
}

#[cfg(test)]
mod tests;
