//! No input makes it panic, and every error has a place in its file.

use proptest::prelude::*;

use super::{messages, read_with};
use crate::config::{Source, parse};

const VALID: &str = include_str!("../../../../examples/postgres.yaml");
const WRONG: &str = include_str!("mistakes.yaml");

/// Pieces that mean something to YAML or to us.
const PIECES: &[&str] = &[
    "\n",
    " ",
    "  ",
    "\t",
    ":",
    ": ",
    "- ",
    "-",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"",
    "'",
    "#",
    "&a ",
    "*a",
    "!",
    "!!str ",
    "|",
    ">",
    "%",
    "@",
    "`",
    "---\n",
    "...\n",
    "? ",
    "<<: ",
    "~",
    "null",
    "${",
    "${V}",
    "}",
    "\\",
    "\u{e000}\u{e001}V\u{e002}",
    "\u{feff}",
    "\r",
    "\u{85}",
    "\0",
    "é",
    "𝄞",
    "name",
    "servers",
    "check",
    "0",
    "-1",
    "99999999999999999999",
    "2s",
    "10.0.0.1:80",
    "[::1]:80",
    "password: x",
];

/// Reads a text and checks what holds for every report.
fn check(text: &str) -> Result<(), TestCaseError> {
    let environment = [("V", "a value: [")];
    let Err(report) = read_with(text, &environment) else {
        return Ok(());
    };
    prop_assert!(report.contains("error"), "{report}");
    prop_assert!(!report.contains("a value"), "{report}");
    let lookup = |name: &str| (name == "V").then(|| "a value: [".to_owned());
    let errors = parse(vec![Source::new("lb.yaml", text)], &lookup).expect_err("refused before");
    prop_assert!(!messages(errors.errors()).is_empty());
    Ok(())
}

proptest! {
    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn arbitrary_pieces(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..60)) {
        check(&pieces.concat())?;
    }

    #[test]
    fn mutated_configurations(
        which in any::<bool>(),
        edits in prop::collection::vec(
            (any::<prop::sample::Index>(), 0_usize..20, prop::sample::select(PIECES)),
            1..6,
        ),
    ) {
        let mut text: Vec<char> = if which { VALID } else { WRONG }.chars().collect();
        for (at, removed, piece) in edits {
            let start = at.index(text.len());
            let end = text.len().min(start + removed);
            text.splice(start..end, piece.chars());
            if text.is_empty() {
                break;
            }
        }
        check(&text.into_iter().collect::<String>())?;
    }
}
