//! `steps` of a check of type `script`.

use crate::config::reader::{Field, Reader};
use crate::config::tree::Node;
use crate::config::vocabulary::{CONNECT, STEP};
use crate::config::{Bytes, Pattern, Regex, Step, Wanted};

pub(super) fn steps(r: &mut Reader<'_>, field: Field<'_>) -> Option<Vec<Step>> {
    let items = r.list(field)?;
    if items.is_empty() {
        r.error(field.key.place, "a script needs at least one step");
        return None;
    }
    let steps: Vec<_> = items.iter().filter_map(|item| step(r, item)).collect();
    (steps.len() == items.len()).then_some(steps)
}

fn step(r: &mut Reader<'_>, node: &Node) -> Option<Step> {
    let entry = r.entry(node, &STEP)?;
    let mut known = entry.own_keys().filter(|key| STEP.key(&key.text).is_some());
    let Some(key) = known.next() else {
        if entry.own_keys().next().is_none() {
            r.error(node.place, "a step does something")
                .hint("it is one of connect, send, send_hex, expect, expect_regex, expect_hex, expect_not");
        }
        return None;
    };
    if let Some(second) = known.next() {
        r.error(
            second.place,
            format!(
                "a step does one thing, and this one has `{}` already",
                key.text
            ),
        )
        .hint(format!(
            "make `{}` a step of its own, with a `-` before it",
            second.text
        ));
        return None;
    }
    let field = entry.own(&key.text)?;
    Some(match &*key.text {
        "connect" => {
            let options = r.entry(field.node, &CONNECT)?;
            let port = r.optional(&options, "port", |r, f| r.number(f, 1..=65_535))?;
            Step::Connect(port.and_then(|port| u16::try_from(port).ok()))
        }
        "send" => Step::Send(Bytes(text(r, field)?.into_bytes())),
        "send_hex" => Step::Send(Bytes(hex(r, field)?)),
        "expect_hex" => expect(Wanted::Hex(hex(r, field)?), false),
        "expect_regex" => expect(Wanted::Regex(regex(r, field)?), false),
        "expect_not" => expect(Wanted::Text(text(r, field)?), true),
        _ => expect(Wanted::Text(text(r, field)?), false),
    })
}

fn expect(wanted: Wanted, absent: bool) -> Step {
    Step::Expect(Pattern { wanted, absent })
}

/// Text that is not empty.
fn text(r: &mut Reader<'_>, field: Field<'_>) -> Option<String> {
    let text = &r.text(field, "text")?.text;
    if text.is_empty() {
        r.error(field.node.place, format!("`{}` is empty", field.key.text));
        return None;
    }
    Some(text.clone())
}

/// Bytes written as pairs of hexadecimal digits; spaces between them do not count.
fn hex(r: &mut Reader<'_>, field: Field<'_>) -> Option<Vec<u8>> {
    let digits: String = text(r, field)?.split_whitespace().collect();
    let bytes = digits.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair)
            .ok()
            .filter(|pair| pair.len() == 2)?;
        // `from_str_radix` would take a sign.
        let plain = pair.bytes().all(|digit| digit.is_ascii_hexdigit());
        plain.then(|| u8::from_str_radix(pair, 16).ok())?
    });
    let bytes: Option<Vec<u8>> = bytes.collect();
    if bytes.is_none() {
        let name = &field.key.text;
        r.error(
            field.node.place,
            format!("`{name}` is pairs of hexadecimal digits"),
        )
        .hint("such as 00ff0d0a");
    }
    bytes
}

fn regex(r: &mut Reader<'_>, field: Field<'_>) -> Option<Regex> {
    let text = text(r, field)?;
    // `.` matches any byte but a line feed, not only those of UTF-8.
    match regex::bytes::RegexBuilder::new(&text)
        .unicode(false)
        .build()
    {
        Ok(regex) => Some(Regex(regex)),
        Err(error) => {
            let why = match error {
                regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
                // The last line says what; those before show the expression, which may be secret.
                error => error
                    .to_string()
                    .lines()
                    .last()
                    .unwrap_or_default()
                    .trim_start_matches("error: ")
                    .to_owned(),
            };
            r.error(
                field.node.place,
                format!("`{}` is no regular expression: {why}", field.key.text),
            );
            None
        }
    }
}
