//! `${NAME}` in values.
//!
//! References are replaced in the parsed values, not in the file: a value cannot bring keys or
//! structure with it, and every place in the file stays true. For the YAML parser they are first
//! rewritten without braces ([`shield`]), so that they need no quotes inside `{ }`.

use std::borrow::Cow;

/// Looks a variable up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

// Characters of the private use area: YAML takes them anywhere in plain text, and replacing each
// character of `${NAME}` by one character keeps all columns.
const DOLLAR: char = '\u{e000}';
const OPEN: char = '\u{e001}';
const CLOSE: char = '\u{e002}';

/// What is wrong with a reference.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The variable of this name is not set.
    Unset(String),
    /// `${` is not followed by a name and `}`.
    Malformed,
}

/// Rewrites references so that YAML sees plain text. `"\x24{"` in double quotes stays what it is.
pub(super) fn shield(text: &str) -> Cow<'_, str> {
    rewrite(text, "${", '}', |name| {
        Some(match name {
            Some(name) => format!("{DOLLAR}{OPEN}{name}{CLOSE}"),
            None => format!("{DOLLAR}{OPEN}"),
        })
    })
}

/// Undoes [`shield`].
pub(super) fn unshield(text: &str) -> String {
    let original = |c| match c {
        DOLLAR => '$',
        OPEN => '{',
        CLOSE => '}',
        c => c,
    };
    text.chars().map(original).collect()
}

/// Whether a shielded value holds a reference, be it a broken one.
pub(super) fn refers(text: &str) -> bool {
    text.contains(DOLLAR)
}

/// Replaces the references of a shielded value.
pub(super) fn expand(text: &str, lookup: Lookup<'_>) -> Result<String, Fault> {
    let open: String = [DOLLAR, OPEN].iter().collect();
    let mut fault = None;
    let expanded = rewrite(text, &open, CLOSE, |name| {
        let value = name.and_then(lookup);
        if value.is_none() && fault.is_none() {
            fault = Some(name.map_or(Fault::Malformed, |name| Fault::Unset(name.to_owned())));
        }
        value
    });
    match fault {
        Some(fault) => Err(fault),
        None => Ok(expanded.into_owned()),
    }
}

/// Replaces each `open NAME close`, and each `open` that no name follows.
fn rewrite<'t>(
    text: &'t str,
    open: &str,
    close: char,
    mut replace: impl FnMut(Option<&str>) -> Option<String>,
) -> Cow<'t, str> {
    if !text.contains(open) {
        return Cow::Borrowed(text);
    }
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(open) {
        let (before, reference) = rest.split_at(start);
        let inside = &reference[open.len()..];
        done.push_str(before);
        let (name, tail) = match inside.split_once(close) {
            Some((name, tail)) if is_name(name) => (Some(name), tail),
            _ => (None, inside),
        };
        done.extend(replace(name));
        rest = tail;
    }
    done.push_str(rest);
    Cow::Owned(done)
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
