//! Reading what Rust's test runner prints.

use std::collections::BTreeMap;

/// What a part's test programs said.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Report {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) failures: Vec<String>,
    /// Tests that could not run, and why. They are not among the passed.
    pub(crate) skipped: BTreeMap<String, String>,
}

/// Follows the output line by line.
///
/// A test that cannot run prints `SKIPPED: <test>: <reason>` and returns, so the runner counts it
/// as passed. Ignored tests count as skipped, too.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    report: Report,
    ignored: usize,
    ignored_seen: usize,
    section: Section,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Section {
    #[default]
    Progress,
    /// What passed tests printed, and their names again.
    Successes,
    /// What failed tests printed, and their names again.
    Failures,
}

impl Parser {
    /// Reads a line; whether a person wants to see it.
    pub(crate) fn read(&mut self, line: &str) -> bool {
        if let Some((test, reason)) = parse_skipped(line) {
            let known = self
                .report
                .skipped
                .insert(test.to_owned(), reason.to_owned());
            return known.is_none();
        }
        match line.trim_end() {
            "successes:" => self.section = Section::Successes,
            "failures:" => self.section = Section::Failures,
            line => {
                if let Some(counts) = line.strip_prefix("test result: ") {
                    self.section = Section::Progress;
                    self.add(counts);
                } else if self.section == Section::Progress {
                    self.read_progress(line);
                }
            }
        }
        self.section != Section::Successes
    }

    /// The sum, after the last line.
    pub(crate) fn finish(mut self) -> Report {
        let ran_but_skipped = self.report.skipped.len() - self.ignored_seen;
        self.report.passed = self.report.passed.saturating_sub(ran_but_skipped);
        // Every ignored test has a line of its own, unless the output was cut.
        for number in self.ignored_seen..self.ignored {
            let name = format!("ignored test {}", number + 1);
            self.report.skipped.insert(name, "ignored".to_owned());
        }
        self.report
    }

    fn read_progress(&mut self, line: &str) {
        let Some((test, outcome)) = line
            .strip_prefix("test ")
            .and_then(|line| line.rsplit_once(" ... "))
        else {
            return;
        };
        if outcome == "FAILED" {
            self.report.failures.push(test.to_owned());
        } else if let Some(reason) = outcome.strip_prefix("ignored") {
            let reason = reason.strip_prefix(", ").unwrap_or("ignored");
            let known = self
                .report
                .skipped
                .insert(test.to_owned(), reason.to_owned());
            self.ignored_seen += usize::from(known.is_none());
        }
    }

    /// `ok. 5 passed; 1 failed; 2 ignored; 0 measured; 3 filtered out; finished in 0.01s`
    fn add(&mut self, counts: &str) {
        let count = |what: &str| {
            counts
                .split([';', '.'])
                .find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok())
                .unwrap_or(0)
        };
        self.report.passed += count("passed");
        self.report.failed += count("failed");
        self.ignored += count("ignored");
    }
}

/// The names in the output of a test program's `--list`.
pub(crate) fn listed(output: &str) -> impl Iterator<Item = &str> {
    output
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
}

/// With one test at a time, the runner has begun the line before the test prints.
fn parse_skipped(line: &str) -> Option<(&str, &str)> {
    const MARK: &str = "SKIPPED: ";
    let rest = line.strip_prefix(MARK).or_else(|| {
        let (_, printed) = line.strip_prefix("test ")?.split_once(" ... ")?;
        printed.strip_prefix(MARK)
    })?;
    // Test names hold `::`, so the separator is the first colon that a space follows.
    rest.trim_end().split_once(": ")
}

#[cfg(test)]
mod tests;
