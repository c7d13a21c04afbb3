//! Hides secrets in source lines before they are printed.
//!
//! It works on text, not on the parsed tree: a file with a syntax error has no tree, and a
//! misspelt `pasword` must be hidden too. Where it cannot tell how far a secret goes, it hides
//! more, never less.

/// A source line that may be printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShownLine {
    /// Secrets are `***`, control characters `?`, tabs a space.
    pub(super) text: String,
    hidden: Vec<Hidden>,
}

/// A stretch of characters that [`MASK`] replaced; positions are of the original line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hidden {
    start: usize,
    len: usize,
}

const MASK: &str = "***";

impl ShownLine {
    /// Where an original column (from 0) and width are now.
    pub(super) fn locate(&self, column: usize, width: usize) -> (usize, usize) {
        let start = self.shift(column);
        let end = self.shift(column + width);
        (start, end.saturating_sub(start).max(1))
    }

    fn shift(&self, column: usize) -> usize {
        let mut shifted = column;
        for hidden in self.hidden.iter().rev() {
            let end = hidden.start + hidden.len;
            if column >= end {
                shifted = shifted - hidden.len + MASK.len();
            } else if column > hidden.start {
                shifted = shifted - (column - hidden.start) + MASK.len();
            }
        }
        shifted
    }
}

/// All lines of a file as they may be printed.
pub(super) fn hide(text: &str) -> Vec<ShownLine> {
    let mut state = State::Open;
    text.lines()
        .map(|line| {
            let chars: Vec<char> = line.chars().collect();
            let hidden = hide_line(&chars, &mut state);
            show(&chars, hidden)
        })
        .collect()
}

/// Whether a key's value is a secret.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    // `send` and `headers` of checks carry logins.
    matches!(&*key, "pw" | "send" | "send_hex" | "headers")
        || ["pass", "pwd", "secret", "token", "cred", "auth", "key"]
            .iter()
            .any(|part| key.contains(part))
        || strsim::jaro_winkler(&key, "password") > 0.85
}

/// What earlier lines say about the next one.
enum State {
    /// Nothing.
    Open,
    /// A secret's value goes on while lines are indented deeper than this.
    Deeper(usize),
    /// A quoted secret goes on to this quote.
    Quoted(char),
}

fn hide_line(chars: &[char], state: &mut State) -> Vec<Hidden> {
    let indent = chars.iter().take_while(|c| **c == ' ').count();
    let mut from = 0;
    let mut hidden = Vec::new();
    match *state {
        State::Open => {}
        State::Deeper(limit) => {
            let list_item = indent == limit && chars.get(indent) == Some(&'-');
            if indent > limit || list_item || indent == chars.len() {
                return rest(chars, indent);
            }
            *state = State::Open;
        }
        State::Quoted(quote) => match closing_quote(chars, 0, quote) {
            Some(end) => {
                hidden.push(Hidden { start: 0, len: end });
                from = end;
                *state = State::Open;
            }
            None => return rest(chars, 0),
        },
    }
    while let Some(key) = next_secret_key(chars, from) {
        let value = key.end
            + chars[key.end..]
                .iter()
                .take_while(|c| c.is_whitespace())
                .count();
        let (end, next) = value_end(chars, value, key.column);
        *state = next;
        if end > value {
            hidden.push(Hidden {
                start: value,
                len: end - value,
            });
        }
        from = end.max(key.end);
    }
    hidden
}

/// Everything from a column on.
fn rest(chars: &[char], start: usize) -> Vec<Hidden> {
    match chars.len() - start {
        0 => Vec::new(),
        len => vec![Hidden { start, len }],
    }
}

struct Key {
    /// Where its first character is.
    column: usize,
    /// Just behind the separator.
    end: usize,
}

/// The next `word:` or `word=` whose word is a secret's key. Quotes are not looked at: a secret
/// inside quoted text is one too.
fn next_secret_key(chars: &[char], from: usize) -> Option<Key> {
    for (i, c) in chars.iter().enumerate().skip(from) {
        if !matches!(c, ':' | '=') {
            continue;
        }
        let word_end = i - chars[from..i]
            .iter()
            .rev()
            .take_while(|c| matches!(c, ' ' | '"' | '\''))
            .count();
        let length = chars[from..word_end]
            .iter()
            .rev()
            .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
            .count();
        let word: String = chars[word_end - length..word_end].iter().collect();
        if is_secret(&word) {
            return Some(Key {
                column: word_end - length,
                end: i + 1,
            });
        }
    }
    None
}

/// Where the value that starts at `start` ends on this line, and what follows on later lines.
fn value_end(chars: &[char], start: usize, key_column: usize) -> (usize, State) {
    let to_the_end = (chars.len(), State::Deeper(key_column));
    match chars.get(start) {
        Some(&quote @ ('"' | '\'')) => match closing_quote(chars, start + 1, quote) {
            Some(end) => (end, State::Open),
            None => (chars.len(), State::Quoted(quote)),
        },
        Some('{' | '[') => match closing_bracket(chars, start) {
            Some(end) => (end, State::Open),
            None => to_the_end,
        },
        // The header of a block, an anchor, a tag: the value is on later lines.
        Some('|' | '>' | '&' | '!') | None => to_the_end,
        Some(_) if in_flow(&chars[..start]) => {
            match chars[start..]
                .iter()
                .position(|c| matches!(c, ',' | '}' | ']'))
            {
                Some(length) => {
                    let value = &chars[start..start + length];
                    let spaces = value.iter().rev().take_while(|c| c.is_whitespace()).count();
                    (start + length - spaces, State::Open)
                }
                None => to_the_end,
            }
        }
        Some(_) => to_the_end,
    }
}

/// Just behind the quote that ends a quoted text.
fn closing_quote(chars: &[char], mut i: usize, quote: char) -> Option<usize> {
    while let Some(&c) = chars.get(i) {
        if c == '\\' && quote == '"' {
            i += 1;
        } else if c == quote {
            // A doubled single quote stands for one.
            if quote == '"' || chars.get(i + 1) != Some(&quote) {
                return Some(i + 1);
            }
            i += 1;
        }
        i += 1;
    }
    None
}

/// Just behind the bracket that closes the one at `start`, if no quote confuses the count.
fn closing_bracket(chars: &[char], start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut i = start;
    while let Some(&c) = chars.get(i) {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(i + 1);
                }
            }
            '"' | '\'' => {
                i = closing_quote(chars, i + 1, c)?;
                continue;
            }
            _ => {}
        }
        i += 1;
    }
    None
}

fn in_flow(before: &[char]) -> bool {
    let count = |wanted: [char; 2]| before.iter().filter(|c| wanted.contains(c)).count();
    count(['{', '[']) > count(['}', ']'])
}

fn show(chars: &[char], hidden: Vec<Hidden>) -> ShownLine {
    let mut text = String::new();
    let mut next = 0;
    for stretch in &hidden {
        text.extend(chars[next..stretch.start].iter().map(|c| printable(*c)));
        text.push_str(MASK);
        next = stretch.start + stretch.len;
    }
    text.extend(chars[next..].iter().map(|c| printable(*c)));
    ShownLine { text, hidden }
}

/// One character for one, so that columns stay; nothing that a terminal obeys.
fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '?',
        // Text direction overrides would show a line as it is not.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '?',
        c => c,
    }
}
