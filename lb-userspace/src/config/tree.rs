//! A configuration file as a tree in which every value knows its place.

use super::diagnostic::Problems;
use super::source::{Place, Sources};

/// A value and where it starts.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    Text(Text),
    List(Vec<Node>),
    Map(Map),
    /// Something about it has been reported: readers pass over it in silence.
    Broken,
}

/// Any scalar but null.
#[derive(Clone, Debug)]
pub(super) struct Text {
    /// With `${VAR}` replaced.
    pub(super) text: String,
    /// As written, if that differs: what came from the environment may be a secret.
    pub(super) written: Option<String>,
    /// Neither quoted nor a block.
    pub(super) plain: bool,
}

/// Keys in the order of the file, each once.
#[derive(Clone, Debug, Default)]
pub(super) struct Map {
    pub(super) entries: Vec<(Key, Node)>,
    /// Some of it was lost to a syntax error: missing keys are not worth a word.
    pub(super) cut: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) place: Place,
}

impl Node {
    /// What kind of value it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Text(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Broken => "unreadable",
        }
    }
}

impl Text {
    /// The value as a message may show it: as written, without control characters, not endless.
    pub(super) fn shown(&self) -> String {
        const LONGEST: usize = 60;
        let text = self.written.as_ref().unwrap_or(&self.text);
        let mut shown: String = text
            .chars()
            .take(LONGEST)
            .flat_map(char::escape_debug)
            .collect();
        if text.chars().nth(LONGEST).is_some() {
            shown.push('…');
        }
        shown
    }
}

impl Map {
    pub(super) fn get(&self, key: &str) -> Option<(&Key, &Node)> {
        let (key, node) = self.entries.iter().find(|(k, _)| k.text == key)?;
        Some((key, node))
    }

    pub(super) fn take(&mut self, key: &str) -> Option<(Key, Node)> {
        let index = self.entries.iter().position(|(k, _)| k.text == key)?;
        Some(self.entries.remove(index))
    }

    /// Every `check: WORD` as `check: { type: WORD }`.
    pub(super) fn with_checks_spelt_out(mut self) -> Self {
        self.spell_out_checks();
        self
    }

    fn spell_out_checks(&mut self) {
        for (key, node) in &mut self.entries {
            match &mut node.value {
                Value::Text(_) if key.text == "check" => {
                    let word = Node {
                        place: node.place,
                        value: std::mem::replace(&mut node.value, Value::Null),
                    };
                    let key = Key {
                        text: "type".to_owned(),
                        place: word.place,
                    };
                    node.value = Value::Map(Self {
                        entries: vec![(key, word)],
                        cut: false,
                    });
                }
                Value::Map(map) => map.spell_out_checks(),
                Value::List(items) => {
                    for item in items {
                        if let Value::Map(map) = &mut item.value {
                            map.spell_out_checks();
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Joins another file's map with this one: lists are appended, maps joined; a value that both
    /// have is an error.
    pub(super) fn absorb(&mut self, other: Self, sources: &Sources, problems: &mut Problems) {
        self.cut |= other.cut;
        for (key, node) in other.entries {
            let Some((first, mine)) = self.entries.iter_mut().find(|(k, _)| k.text == key.text)
            else {
                self.entries.push((key, node));
                continue;
            };
            match (&mut mine.value, node.value) {
                (Value::List(mine), Value::List(more)) => mine.extend(more),
                (Value::Map(mine), Value::Map(more)) => mine.absorb(more, sources, problems),
                (_, Value::Null | Value::Broken) => {}
                (mine @ (Value::Null | Value::Broken), value) => *mine = value,
                _ => {
                    let place = sources.locate(first.place);
                    let message = format!("`{}` is already set at {place}", key.text);
                    problems.error(sources, key.place, message);
                }
            }
        }
    }
}
