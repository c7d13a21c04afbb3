//! The files of a configuration and places in them.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::secret::{self, ShownLine};

/// A stretch of one line of one file; lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    /// Index into [`Sources`].
    pub(super) file: usize,
    pub(super) line: usize,
    pub(super) column: usize,
    /// Characters to underline, at least one.
    pub(super) width: usize,
}

/// The text of one configuration file.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    text: String,
    /// The text as it may be printed; made when the first problem of the file is.
    shown: OnceLock<Vec<ShownLine>>,
}

impl Source {
    /// `path` is only for messages: nothing is read.
    pub fn new(path: impl Into<PathBuf>, text: &str) -> Self {
        Self {
            path: path.into(),
            // YAML 1.2, section 5.4: all three are line breaks. With one kind, the parser and the
            // excerpts count lines alike.
            text: text.replace("\r\n", "\n").replace('\r', "\n"),
            shown: OnceLock::new(),
        }
    }

    /// Where the text came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// All files of a configuration, the main file first.
#[derive(Debug, Default)]
pub(super) struct Sources(Vec<Source>);

impl Sources {
    /// Adds a file and returns its index.
    pub(super) fn push(&mut self, source: Source) -> usize {
        self.0.push(source);
        self.0.len() - 1
    }

    pub(super) fn get(&self, file: usize) -> &Source {
        &self.0[file]
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(Source::path)
    }

    /// `file:line:column`.
    pub(super) fn locate(&self, place: Place) -> String {
        let path = self.get(place.file).path.display();
        format!("{path}:{}:{}", place.line, place.column)
    }

    /// The line of `place` without secrets; `None` past the end of the file.
    pub(super) fn line(&self, place: Place) -> Option<&ShownLine> {
        let source = self.get(place.file);
        let lines = source.shown.get_or_init(|| secret::hide(&source.text));
        lines.get(place.line.checked_sub(1)?)
    }
}
