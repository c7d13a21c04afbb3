//! What is wrong with a configuration, in the words of its author.

use std::collections::HashSet;
use std::fmt;

use super::source::{Place, Sources};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// It is accepted, but probably not what was meant.
    Warning,
}

/// One problem: where, what, the line, and what was probably meant. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    severity: Severity,
    place: Option<Place>,
    /// `file:line:column`, or a file's name, or nothing.
    location: String,
    message: String,
    excerpt: Option<Excerpt>,
    hint: Option<String>,
}

/// A source line, and the characters of it that are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    number: usize,
    line: String,
    /// From 0.
    column: usize,
    width: usize,
}

/// Longer lines are cut around the place that is meant.
const LINE_MAX: usize = 160;

impl Diagnostic {
    /// A problem at a place of a file.
    pub(super) fn at(
        sources: &Sources,
        severity: Severity,
        place: Place,
        message: impl Into<String>,
    ) -> Self {
        let excerpt = sources.line(place).map(|line| {
            let (column, width) = line.locate(place.column - 1, place.width);
            Excerpt::new(place.line, &line.text, column, width)
        });
        Self {
            severity,
            place: Some(place),
            location: sources.locate(place),
            message: message.into(),
            excerpt,
            hint: None,
        }
    }

    /// A problem of no place in particular: `location` is a file or empty.
    pub(super) fn general(
        severity: Severity,
        location: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            place: None,
            location: location.into(),
            message: message.into(),
            excerpt: None,
            hint: None,
        }
    }

    /// Says what was probably meant, or what to do.
    pub(super) fn hint(&mut self, hint: impl Into<String>) {
        self.hint = Some(hint.into());
    }

    /// Error or warning.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl Excerpt {
    fn new(number: usize, line: &str, column: usize, width: usize) -> Self {
        let chars: Vec<char> = line.chars().collect();
        let start = if chars.len() <= LINE_MAX {
            0
        } else {
            column
                .saturating_sub(LINE_MAX / 2)
                .min(chars.len() - LINE_MAX)
        };
        let end = chars.len().min(start + LINE_MAX);
        let mut line = String::new();
        if start > 0 {
            line.push('…');
        }
        line.extend(&chars[start..end]);
        if end < chars.len() {
            line.push('…');
        }
        let column = column - start + usize::from(start > 0);
        let room = line.chars().count().saturating_sub(column);
        Self {
            number,
            column,
            width: width.clamp(1, room.max(1)),
            line,
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.location.is_empty() {
            write!(f, "{}: ", self.location)?;
        }
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.message)?;
        let Some(excerpt) = &self.excerpt else {
            if let Some(hint) = &self.hint {
                write!(f, "\n  = {hint}")?;
            }
            return Ok(());
        };
        let number = excerpt.number.to_string();
        let margin = number.len();
        write!(f, "\n  {number} | {}", excerpt.line)?;
        let column = excerpt.column;
        let carets = "^".repeat(excerpt.width);
        write!(f, "\n  {:margin$} | {:column$}{carets}", "", "")?;
        if let Some(hint) = &self.hint {
            write!(f, " {hint}")?;
        }
        Ok(())
    }
}

/// Why a configuration is refused: every error in it, never none.
#[derive(Debug)]
pub struct ConfigErrors {
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl ConfigErrors {
    /// The errors in the order of the files; warnings come on top.
    pub fn errors(&self) -> &[Diagnostic] {
        &self.errors
    }

    /// What else was noticed.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in self.warnings.iter().chain(&self.errors) {
            writeln!(f, "{diagnostic}")?;
        }
        match self.errors.len() {
            1 => f.write_str("1 error"),
            n => write!(f, "{n} errors"),
        }
    }
}

impl std::error::Error for ConfigErrors {}

/// Collects problems while reading goes on.
#[derive(Debug, Default)]
pub(super) struct Problems {
    all: Vec<Diagnostic>,
    /// Where a text is not YAML.
    syntax: Vec<Diagnostic>,
}

impl Problems {
    pub(super) fn push(&mut self, diagnostic: Diagnostic) -> &mut Diagnostic {
        push(&mut self.all, diagnostic)
    }

    /// A syntax error: what else seems wrong on its line follows from it and is dropped.
    pub(super) fn syntax(
        &mut self,
        sources: &Sources,
        place: Place,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let diagnostic = Diagnostic::at(sources, Severity::Error, place, message);
        push(&mut self.syntax, diagnostic)
    }

    pub(super) fn error(
        &mut self,
        sources: &Sources,
        place: Place,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.push(Diagnostic::at(sources, Severity::Error, place, message))
    }

    pub(super) fn warn(
        &mut self,
        sources: &Sources,
        place: Place,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.push(Diagnostic::at(sources, Severity::Warning, place, message))
    }

    /// Whether anything was refused so far.
    pub(super) fn any_error(&self) -> bool {
        let mut all = self.all.iter().chain(&self.syntax);
        all.any(|d| d.severity == Severity::Error)
    }

    /// The warnings, or everything if there is an error. Sorted by place; what one mistake in
    /// `defaults` causes in many entries is said once.
    pub(super) fn finish(self) -> Result<Vec<Diagnostic>, ConfigErrors> {
        let line = |d: &Diagnostic| d.place.map(|place| (place.file, place.line));
        let unreadable: HashSet<_> = self.syntax.iter().filter_map(line).collect();
        let mut all = self.all;
        all.retain(|d| line(d).is_none_or(|line| !unreadable.contains(&line)));
        all.extend(self.syntax);
        all.sort_by(|a, b| (a.place, &a.message).cmp(&(b.place, &b.message)));
        all.dedup();
        let (errors, warnings): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|d| d.severity == Severity::Error);
        if errors.is_empty() {
            Ok(warnings)
        } else {
            Err(ConfigErrors { errors, warnings })
        }
    }
}

fn push(list: &mut Vec<Diagnostic>, diagnostic: Diagnostic) -> &mut Diagnostic {
    let index = list.len();
    list.push(diagnostic);
    &mut list[index]
}
