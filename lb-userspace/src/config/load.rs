//! Files, `include` and the way from text to [`Loaded`].

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use tracing::debug;

use super::diagnostic::{ConfigErrors, Diagnostic, Problems, Severity};
use super::environment::Lookup;
use super::place::Places;
use super::reader::{Field, Reader};
use super::source::{Place, Source, Sources};
use super::tree::{Map, Text};
use super::{Config, assemble, yaml};

/// Largest configuration file.
const FILE_MAX: u64 = 4 << 20;
/// Most files.
const FILES_MAX: usize = 1_000;

/// A valid configuration and what is known of its origin.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Diagnostic>,
    pub(super) sources: Sources,
    pub(super) places: Places,
}

impl Loaded {
    /// Every file that was read, the main file first.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.sources.paths()
    }
}

/// Reads a file and what it includes, with the environment of this process.
///
/// # Errors
/// Every mistake in every file, or why a file cannot be read.
pub fn load(path: &Path) -> Result<Loaded, ConfigErrors> {
    let lookup = |name: &str| std::env::var(name).ok();
    let mut problems = Problems::default();
    let mut sources = Sources::default();
    let mut root = Map::default();
    let mut seen = HashSet::new();
    // With the place that asked for it.
    let mut queue = VecDeque::from([(path.to_owned(), None)]);
    while let Some((path, asked)) = queue.pop_front() {
        // A file that several patterns match, or that matches its own, is read once.
        if !seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())) {
            continue;
        }
        if seen.len() > FILES_MAX {
            let message = format!("more than {FILES_MAX} files are included");
            report(&sources, &mut problems, asked, &path, message);
            break;
        }
        debug!(path = %path.display(), "reading configuration");
        let text = match read(&path) {
            Ok(text) => text,
            Err(why) => {
                report(&sources, &mut problems, asked, &path, why);
                continue;
            }
        };
        let file = sources.push(Source::new(path.as_path(), &text));
        let mut map = yaml::read(&sources, file, &lookup, &mut problems);
        for (path, place) in included(&mut map, &path, &sources, &mut problems) {
            queue.push_back((path, Some(place)));
        }
        root.absorb(map, &sources, &mut problems);
    }
    finish(sources, &root.with_checks_spelt_out(), problems)
}

/// The same from text: the main file first, then what it includes. Nothing is read, and `include`
/// is not followed.
///
/// # Errors
/// Every mistake in every source.
pub fn parse(sources: Vec<Source>, lookup: Lookup<'_>) -> Result<Loaded, ConfigErrors> {
    let mut problems = Problems::default();
    let mut all = Sources::default();
    let mut root = Map::default();
    for source in sources {
        let file = all.push(source);
        let mut map = yaml::read(&all, file, lookup, &mut problems);
        include_patterns(&mut map, &all, &mut problems);
        root.absorb(map, &all, &mut problems);
    }
    finish(all, &root.with_checks_spelt_out(), problems)
}

fn finish(sources: Sources, root: &Map, mut problems: Problems) -> Result<Loaded, ConfigErrors> {
    let mut reader = Reader {
        sources: &sources,
        problems: &mut problems,
    };
    let (config, places) = assemble::config(&mut reader, root);
    let warnings = problems.finish()?;
    Ok(Loaded {
        config,
        warnings,
        sources,
        places,
    })
}

/// A problem with a file as a whole: where it was asked for, else under its own name.
fn report(
    sources: &Sources,
    problems: &mut Problems,
    asked: Option<Place>,
    path: &Path,
    why: String,
) {
    let path = path.display();
    match asked {
        Some(place) => problems.error(sources, place, format!("{path}: {why}")),
        None => problems.push(Diagnostic::general(Severity::Error, path.to_string(), why)),
    };
}

/// Takes `include` out of a file's map.
fn include_patterns(
    map: &mut Map,
    sources: &Sources,
    problems: &mut Problems,
) -> Vec<(Text, Place)> {
    let Some((key, node)) = map.take("include") else {
        return Vec::new();
    };
    let mut reader = Reader { sources, problems };
    let items = reader
        .one_or_list(Field {
            key: &key,
            node: &node,
        })
        .unwrap_or_default();
    let mut patterns = Vec::new();
    for node in items {
        let text = reader.text(Field { key: &key, node }, "a path or a pattern of paths");
        patterns.extend(text.map(|text| (text.clone(), node.place)));
    }
    patterns
}

/// The files that a file includes, in the order of its patterns, each pattern's sorted.
fn included(
    map: &mut Map,
    including: &Path,
    sources: &Sources,
    problems: &mut Problems,
) -> Vec<(PathBuf, Place)> {
    let folder = including.parent().unwrap_or(Path::new(""));
    let mut paths = Vec::new();
    for (text, place) in include_patterns(map, sources, problems) {
        if !text.text.contains(['*', '?', '[']) {
            paths.push((folder.join(&text.text), place));
            continue;
        }
        match expand(folder, &text.text) {
            Ok(found) => {
                if found.is_empty() {
                    debug!(pattern = text.shown(), "include matches no file");
                }
                paths.extend(found.into_iter().map(|path| (path, place)));
            }
            Err(why) => {
                problems.error(sources, place, format!("`{}`: {why}", text.shown()));
            }
        }
    }
    paths
}

fn expand(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        // Editors' swap files are no configuration.
        require_literal_leading_dot: true,
    };
    let folder = folder.to_str().ok_or("the folder's name is not UTF-8")?;
    // An absolute pattern replaces the folder.
    let folder = PathBuf::from(glob::Pattern::escape(folder)).join(pattern);
    let pattern = folder.to_str().ok_or("the pattern is not UTF-8")?;
    let paths = glob::glob_with(pattern, options).map_err(|error| error.msg.to_owned())?;
    let mut found = Vec::new();
    for path in paths {
        found.push(path.map_err(|error| error.to_string())?);
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(format!("is larger than {} MiB", FILE_MAX >> 20));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        format!("is not UTF-8 text (line {line})")
    })
}
