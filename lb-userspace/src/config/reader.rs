//! Reads typed values out of the tree, notes what is wrong with them and goes on.

mod value;

use std::time::Duration;

use super::diagnostic::{Diagnostic, Problems};
use super::source::{Place, Sources};
use super::tree::{Key, Map, Node, Text, Value};
use super::vocabulary::{self, ALL, Kind, Table, nearest};

/// Reads values; every method that returns `None` has reported why.
pub(super) struct Reader<'s> {
    pub(super) sources: &'s Sources,
    pub(super) problems: &'s mut Problems,
}

/// A map whose keys have been checked, and the maps that stand in for what it does not say.
#[derive(Clone)]
pub(super) struct Entry<'n> {
    /// Own keys first, then the defaults, the nearest first.
    maps: Vec<&'n Map>,
    pub(super) place: Place,
}

/// A key and its value: what readers of single values take.
#[derive(Clone, Copy)]
pub(super) struct Field<'n> {
    pub(super) key: &'n Key,
    pub(super) node: &'n Node,
}

impl<'n> Entry<'n> {
    /// A map at `place` that says what the first of `parts` says that says something.
    pub(super) fn join<'p>(place: Place, parts: impl IntoIterator<Item = Option<&'p Self>>) -> Self
    where
        'n: 'p,
    {
        let maps = parts
            .into_iter()
            .flatten()
            .flat_map(|part| part.maps.iter().copied())
            .collect();
        Self { maps, place }
    }

    /// Adds a map that is asked after all others.
    pub(super) fn or_else(mut self, other: Option<&Self>) -> Self {
        self.maps
            .extend(other.into_iter().flat_map(|other| &other.maps));
        self
    }

    pub(super) fn get(&self, key: &str) -> Option<Field<'n>> {
        self.maps
            .iter()
            .find_map(|map| map.get(key))
            .map(|(key, node)| Field { key, node })
    }

    /// The value that the map itself gives, whatever the defaults say.
    pub(super) fn own(&self, key: &str) -> Option<Field<'n>> {
        let (key, node) = self.maps.first()?.get(key)?;
        Some(Field { key, node })
    }

    /// The keys that the map itself has.
    pub(super) fn own_keys(&self) -> impl Iterator<Item = &'n Key> {
        self.maps
            .first()
            .into_iter()
            .flat_map(|map| &map.entries)
            .map(|(key, _)| key)
    }

    fn cut(&self) -> bool {
        self.maps.first().is_some_and(|map| map.cut)
    }
}

impl Field<'_> {
    /// The value as a message may show it.
    pub(super) fn shown(&self) -> String {
        match &self.node.value {
            Value::Text(text) => text.shown(),
            _ => self.node.kind().to_owned(),
        }
    }
}

impl Reader<'_> {
    pub(super) fn error(&mut self, place: Place, message: impl Into<String>) -> &mut Diagnostic {
        self.problems.error(self.sources, place, message)
    }

    pub(super) fn warn(&mut self, place: Place, message: impl Into<String>) -> &mut Diagnostic {
        self.problems.warn(self.sources, place, message)
    }

    /// A map with the keys of `table`. Nothing at all is an empty map.
    pub(super) fn entry<'n>(&mut self, node: &'n Node, table: &Table) -> Option<Entry<'n>> {
        static EMPTY: Map = Map {
            entries: Vec::new(),
            cut: false,
        };
        let map = match &node.value {
            Value::Map(map) => map,
            Value::Null => &EMPTY,
            Value::Broken => return None,
            _ => {
                let keys = supported(table).collect::<Vec<_>>().join(", ");
                self.error(
                    node.place,
                    format!("{} is a map, not {}", table.what, node.kind()),
                )
                .hint(format!("with the keys {keys}"));
                return None;
            }
        };
        self.check_keys(map, table);
        Some(Entry {
            maps: vec![map],
            place: node.place,
        })
    }

    /// Reports keys that `table` does not have or that come later, and words that are wrong.
    pub(super) fn check_keys(&mut self, map: &Map, table: &Table) {
        // With a type of check that comes later, its keys go without saying.
        let type_comes_later = match (map.get("type"), table.key("type")) {
            (
                Some((_, node)),
                Some(vocabulary::Key {
                    kind: Kind::Word(_, later),
                    ..
                }),
            ) => {
                matches!(&node.value, Value::Text(text) if later.contains(&&*text.text))
            }
            _ => false,
        };
        for (key, node) in &map.entries {
            match table.key(&key.text) {
                None => self.unknown_key(key, table),
                Some(known) if matches!(known.kind, Kind::Later) && type_comes_later => {}
                Some(known) => self.check_kind(Field { key, node }, known.kind),
            }
        }
    }

    /// A map under `defaults`: the keys of `table` that can have a default.
    pub(super) fn defaults<'n>(&mut self, field: Field<'n>, table: &Table) -> Option<Entry<'n>> {
        let entry = self.entry(field.node, table)?;
        for key in entry.own_keys() {
            if table
                .key(&key.text)
                .is_some_and(|known| matches!(known.kind, Kind::Own))
            {
                let message = format!("`{}` of {} cannot have a default", key.text, table.what);
                self.error(key.place, message);
            }
        }
        Some(entry)
    }

    fn unknown_key(&mut self, key: &Key, table: &Table) {
        let name = key.text.as_str();
        let elsewhere = ALL.iter().find(|other| other.key(name).is_some());
        let hint = if let Some(other) = elsewhere {
            format!("`{name}` belongs in {}", other.what)
        } else if let Some(meant) = nearest(name, table.keys.iter().map(|key| key.name)) {
            format!("did you mean `{meant}`?")
        } else {
            let keys = supported(table).collect::<Vec<_>>().join(", ");
            format!("{} takes {keys}", table.what)
        };
        let shown: String = name.chars().take(60).flat_map(char::escape_debug).collect();
        self.error(
            key.place,
            format!("unknown key `{shown}` in {}", table.what),
        )
        .hint(hint);
    }

    /// What can be said of a value from the vocabulary alone.
    fn check_kind(&mut self, field: Field<'_>, kind: Kind) {
        let name = &field.key.text;
        match kind {
            Kind::Value | Kind::Own => {}
            Kind::Later => {
                self.error(field.key.place, format!("`{name}` is not supported yet"));
            }
            Kind::Word(now, later) => {
                self.check_word(field, now, later);
            }
            Kind::Off => match &field.node.value {
                Value::Text(text) if text.text == "true" => self.later(field, "true"),
                Value::Map(_) | Value::List(_) => {
                    self.error(field.key.place, format!("`{name}` is not supported yet"));
                }
                _ => {
                    self.boolean(field);
                }
            },
            Kind::Zero => {
                if self
                    .duration(field, Duration::ZERO..=Duration::MAX)
                    .is_some_and(|d| !d.is_zero())
                {
                    self.error(field.node.place, format!("`{name}` is not supported yet"));
                }
            }
        }
    }

    fn check_word(&mut self, field: Field<'_>, now: &[&str], later: &[&str]) {
        let name = &field.key.text;
        let words = || now.join(", ");
        let word = match &field.node.value {
            // `on_down: { drain: 30s }`.
            Value::Map(map) => {
                let word = map
                    .entries
                    .iter()
                    .map(|(key, _)| &*key.text)
                    .find(|k| later.contains(k));
                match word {
                    Some(word) => return self.later(field, word),
                    None => return self.wrong_type(field, &format!("one of {}", words())),
                }
            }
            Value::Text(text) => text,
            _ => return self.wrong_type(field, &format!("one of {}", words())),
        };
        if now.contains(&&*word.text) {
            return;
        }
        if later.contains(&&*word.text) {
            let shown = word.shown();
            self.later(field, &shown);
            return;
        }
        let hint = match nearest(&word.text, now.iter().chain(later).copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("it is one of {}", words()),
        };
        let shown = word.shown();
        self.error(field.node.place, format!("`{name}` cannot be `{shown}`"))
            .hint(hint);
    }

    fn later(&mut self, field: Field<'_>, word: &str) {
        let message = format!("`{}: {word}` is not supported yet", field.key.text);
        self.error(field.node.place, message);
    }

    pub(super) fn wrong_type(&mut self, field: Field<'_>, wanted: &str) {
        let (name, place) = (&field.key.text, field.node.place);
        match &field.node.value {
            Value::Broken => {}
            Value::Null => {
                self.error(field.key.place, format!("`{name}` has no value"))
                    .hint(format!("it is {wanted}"));
            }
            Value::Text(text) => {
                let shown = text.shown();
                self.error(place, format!("`{name}` is {wanted}, not `{shown}`"));
            }
            Value::List(_) | Value::Map(_) => {
                let kind = field.node.kind();
                self.error(place, format!("`{name}` is {wanted}, not {kind}"));
            }
        }
    }

    /// The field, or an error that it is missing.
    pub(super) fn required<'n>(
        &mut self,
        entry: &Entry<'n>,
        table: &Table,
        key: &str,
    ) -> Option<Field<'n>> {
        let field = entry.get(key);
        // A misspelt key has been reported as such.
        let misspelt = || {
            let unknown = entry
                .own_keys()
                .filter(|own| table.key(&own.text).is_none());
            let names = table.keys.iter().map(|known| known.name);
            unknown
                .filter_map(|own| nearest(&own.text, names.clone()))
                .any(|meant| meant == key)
        };
        if field.is_none() && !entry.cut() && !misspelt() {
            self.error(entry.place, format!("{} needs `{key}`", table.what));
        }
        field
    }

    /// `None`: it is there and wrong. `Some(None)`: it is not there.
    pub(super) fn optional<'n, T>(
        &mut self,
        entry: &Entry<'n>,
        key: &str,
        read: impl FnOnce(&mut Self, Field<'n>) -> Option<T>,
    ) -> Option<Option<T>> {
        match entry.get(key) {
            None => Some(None),
            Some(field) => read(self, field).map(Some),
        }
    }

    pub(super) fn text<'n>(&mut self, field: Field<'n>, wanted: &str) -> Option<&'n Text> {
        match &field.node.value {
            Value::Text(text) => Some(text),
            _ => {
                self.wrong_type(field, wanted);
                None
            }
        }
    }

    /// The items of a list; nothing at all is an empty list.
    pub(super) fn list<'n>(&mut self, field: Field<'n>) -> Option<&'n [Node]> {
        match &field.node.value {
            Value::List(items) => Some(items),
            Value::Null => Some(&[]),
            _ => {
                self.wrong_type(field, "a list");
                None
            }
        }
    }

    /// The items of a list, or the one item itself.
    pub(super) fn one_or_list<'n>(&mut self, field: Field<'n>) -> Option<&'n [Node]> {
        match &field.node.value {
            Value::Text(_) => Some(std::slice::from_ref(field.node)),
            _ => self.list(field),
        }
    }
}

/// The keys of a table that do something, for hints.
fn supported(table: &Table) -> impl Iterator<Item = &'static str> {
    table
        .keys
        .iter()
        .filter(|key| !matches!(key.kind, Kind::Later))
        .map(|key| key.name)
}
