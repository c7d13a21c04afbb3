//! YAML text -> tree, with every problem in the file and not only the first.
//!
//! Stricter than YAML 1.2: a key twice, `<<`, tags and several documents are errors, aliases are
//! bounded. After a syntax error reading goes on at the next top-level key.

mod compose;

use compose::{Composer, Fault};

use super::diagnostic::Problems;
use super::environment::{self, Lookup};
use super::source::{Place, Sources};
use super::tree::{Map, Node, Value};

/// How often reading goes on after a syntax error: each time reads the rest of the file anew.
const RECOVERIES: usize = 50;

/// Reads one file; of a file with syntax errors what could be read.
pub(super) fn read(
    sources: &Sources,
    file: usize,
    lookup: Lookup<'_>,
    problems: &mut Problems,
) -> Map {
    let text = environment::shield(sources.get(file).text());
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut root = Map::default();
    // Lines that are done with, and the line of the last syntax error.
    let mut done = 0;
    let mut last_fault = 0;
    for _ in 0..=RECOVERIES {
        let part = lines[done..].concat();
        let mut composer = Composer::new(sources, problems, lookup, file, done);
        let fault = composer.run(&part).err();
        let section = composer.section_line();
        let resume = fault.as_ref().and_then(|_| next_section(&lines, section));
        // An unclosed bracket or quote is noticed sections later: what was read on the way
        // belongs to nobody.
        let swallowed = fault
            .as_ref()
            .zip(resume)
            .is_some_and(|(f, index)| index < f.place.line);
        let node = composer.finish(swallowed);
        absorb(&mut root, node, sources, problems);
        let Some(fault) = fault else { break };
        root.cut = true;
        if fault.place.line != last_fault {
            report(&fault, swallowed, sources, problems);
        }
        last_fault = fault.place.line;
        match resume {
            Some(line) => done = line,
            None => break,
        }
    }
    root
}

fn absorb(root: &mut Map, node: Option<Node>, sources: &Sources, problems: &mut Problems) {
    match node.map(|n| (n.place, n.value)) {
        None | Some((_, Value::Null | Value::Broken)) => {}
        Some((_, Value::Map(map))) => root.absorb(map, sources, problems),
        Some((place, _)) => {
            problems
                .error(sources, place, "a configuration is a map of sections")
                .hint("it starts with a key such as `services:`");
        }
    }
}

/// Index of the first line after line number `section` that starts a top-level key.
fn next_section(lines: &[&str], section: usize) -> Option<usize> {
    let starts_section = |line: &str| {
        let word = line
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(0);
        let rest = &line[word..];
        word > 0 && rest.starts_with(':') && rest[1..].starts_with([' ', '\n'])
    };
    (section..lines.len()).find(|i| starts_section(lines[*i]))
}

/// `read_anew`: the line was only read as part of an earlier section; reading goes on before it.
fn report(fault: &Fault, read_anew: bool, sources: &Sources, problems: &mut Problems) {
    let line = sources
        .get(fault.place.file)
        .text()
        .lines()
        .nth(fault.place.line - 1);
    let line = line.unwrap_or_default();
    let message = format!("not YAML: {}", fault.message);
    let diagnostic = if read_anew {
        problems.error(sources, fault.place, message)
    } else {
        problems.syntax(sources, fault.place, message)
    };
    let before: String = line.chars().take(fault.place.column).collect();
    if before.contains('\t') {
        diagnostic.hint("indent with spaces, not tabs");
    } else if line.contains("]:") && !line.contains("\"[") {
        diagnostic.hint("put IPv6 addresses in quotes: \"[2001:db8::1]:5432\"");
    } else if line.contains("${") && line.contains(['{', '[']) {
        diagnostic.hint("put values with `${` in quotes");
    } else if let Some(bracket) = fault
        .bracket
        .filter(|bracket| bracket.line < fault.place.line)
    {
        let (line, column) = (bracket.line, bracket.column);
        diagnostic.hint(format!("is the bracket at {line}:{column} closed?"));
    }
}

/// Places of one part of a file.
fn place(file: usize, span: granit_parser::Span, lines_before: usize) -> Place {
    let (start, end) = (span.start, span.end);
    let width = if end.line() == start.line() {
        end.col().saturating_sub(start.col())
    } else {
        1
    };
    Place {
        file,
        line: start.line().max(1) + lines_before,
        column: start.col() + 1,
        width: width.max(1),
    }
}
