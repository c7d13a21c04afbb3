//! The parser's events -> tree.

use std::collections::HashMap;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Span, StructureStyle, Tag};

use super::place;
use crate::config::diagnostic::Problems;
use crate::config::environment::{self, Lookup};
use crate::config::source::{Place, Sources};
use crate::config::tree::{Key, Map, Node, Text, Value};

/// Deepest nesting. The configuration itself needs nine.
const DEPTH: usize = 32;
/// Bytes, roughly, that aliases and variables may add: stops alias bombs.
const COPIES: usize = 8 << 20;

/// Where the text stops being YAML.
pub(super) struct Fault {
    pub(super) place: Place,
    pub(super) message: String,
    /// The innermost `[` or `{` that was open there.
    pub(super) bracket: Option<Place>,
}

/// Builds the tree of one part of a file.
pub(super) struct Composer<'a> {
    sources: &'a Sources,
    problems: &'a mut Problems,
    lookup: Lookup<'a>,
    file: usize,
    lines_before: usize,
    /// Collections that are open, the outermost first.
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    root: Option<Node>,
    section_line: usize,
    copied: usize,
}

struct Anchored {
    node: Node,
    cost: usize,
}

struct Open {
    place: Place,
    anchor: usize,
    flow: bool,
    collection: Collection,
}

enum Collection {
    List(Vec<Node>),
    Map {
        map: Map,
        seen: HashMap<String, Place>,
        key: Pending,
    },
}

/// What the next node of a map is.
enum Pending {
    Key,
    ValueOf(Key),
    /// The value of a key that was refused.
    Skipped,
}

impl<'a> Composer<'a> {
    pub(super) fn new(
        sources: &'a Sources,
        problems: &'a mut Problems,
        lookup: Lookup<'a>,
        file: usize,
        lines_before: usize,
    ) -> Self {
        Self {
            sources,
            problems,
            lookup,
            file,
            lines_before,
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            section_line: lines_before,
            copied: 0,
        }
    }

    /// Line number of the last top-level key.
    pub(super) fn section_line(&self) -> usize {
        self.section_line
    }

    /// Reads until the end, the first syntax error or a second document.
    pub(super) fn run(&mut self, text: &str) -> Result<(), Fault> {
        let options = granit_parser::options! {
            emit_comments: false,
            emit_unresolved_aliases: true,
            flow_nesting_limit: DEPTH,
            block_nesting_limit: DEPTH,
        };
        let mut documents = 0;
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, span) = event.map_err(|error| self.fault(&error))?;
            if matches!(event, Event::DocumentStart(..)) {
                documents += 1;
                if documents > 1 {
                    self.error(self.place(span), "only one document a file: `---` again");
                    return Ok(());
                }
            }
            self.event(event, span);
        }
        Ok(())
    }

    /// The tree; what a syntax error left open is closed and marked. With `drop_last` the last
    /// top-level section is left out.
    pub(super) fn finish(mut self, drop_last: bool) -> Option<Node> {
        if drop_last {
            self.open.truncate(1);
        }
        while let Some(mut open) = self.open.pop() {
            match &mut open.collection {
                Collection::List(_) => {}
                Collection::Map { map, .. } => map.cut = true,
            }
            let node = match open.collection {
                // An empty list would be reported as one.
                Collection::List(items) if items.is_empty() => Node {
                    place: open.place,
                    value: Value::Broken,
                },
                collection => collection.into_node(open.place),
            };
            self.add(node, 0);
        }
        self.root
    }

    fn event(&mut self, event: Event<'_>, span: Span) {
        let place = self.place(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(place, tag.as_deref());
                let node = self.scalar(place, &text, style);
                self.add(node, anchor);
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.refuse_tag(place, tag.as_deref());
                let flow = style == StructureStyle::Flow;
                let place = Place { width: 1, ..place };
                self.open.push(Open {
                    place,
                    anchor,
                    flow,
                    collection: Collection::List(Vec::new()),
                });
            }
            Event::MappingStart(style, anchor, tag) => {
                self.refuse_tag(place, tag.as_deref());
                let flow = style == StructureStyle::Flow;
                let place = Place { width: 1, ..place };
                let collection = Collection::Map {
                    map: Map::default(),
                    seen: HashMap::new(),
                    key: Pending::Key,
                };
                self.open.push(Open {
                    place,
                    anchor,
                    flow,
                    collection,
                });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let node = open.collection.into_node(open.place);
                    self.add(node, open.anchor);
                }
            }
            Event::Alias(id) => {
                let node = self.alias(place, id);
                self.add(node, 0);
            }
            Event::UnresolvedAlias(name) => {
                // Anchors of parts that were skipped are lost: not the author's mistake.
                if self.lines_before == 0 {
                    let name = name.escape_debug();
                    self.error(
                        place,
                        format!("there is no anchor `&{name}` for this alias"),
                    )
                    .hint(format!(
                        "text that starts with `*` needs quotes: \"*{name}\""
                    ));
                }
                self.add(
                    Node {
                        place,
                        value: Value::Broken,
                    },
                    0,
                );
            }
            _ => {}
        }
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, node: Node, anchor: usize) {
        if anchor != 0 {
            let cost = cost(&node);
            self.anchors.insert(
                anchor,
                Anchored {
                    node: node.clone(),
                    cost,
                },
            );
        }
        let top = self.open.len() == 1;
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        match &mut open.collection {
            Collection::List(items) => items.push(node),
            Collection::Map { map, seen, key } => match std::mem::replace(key, Pending::Key) {
                Pending::Skipped => {}
                Pending::ValueOf(key) => map.entries.push((key, node)),
                Pending::Key => {
                    if top {
                        self.section_line = node.place.line;
                    }
                    match accept_key(node, seen, self.sources, self.problems) {
                        Some(accepted) => *key = Pending::ValueOf(accepted),
                        None => *key = Pending::Skipped,
                    }
                }
            },
        }
    }

    fn scalar(&mut self, place: Place, text: &str, style: ScalarStyle) -> Node {
        let plain = style == ScalarStyle::Plain;
        if plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
            return Node {
                place,
                value: Value::Null,
            };
        }
        if !environment::refers(text) {
            let text = Text {
                text: text.to_owned(),
                written: None,
                plain,
            };
            return Node {
                place,
                value: Value::Text(text),
            };
        }
        let written = environment::unshield(text);
        let value = match environment::expand(text, self.lookup) {
            Ok(expanded) if self.spend(place, expanded.len()) => Value::Text(Text {
                text: expanded,
                written: Some(written),
                plain,
            }),
            Ok(_) => Value::Broken,
            Err(environment::Fault::Unset(name)) => {
                let place = self.find(place, &format!("${{{name}}}"));
                self.error(
                    place,
                    format!("the environment variable `{name}` is not set"),
                );
                Value::Broken
            }
            Err(environment::Fault::Malformed) => {
                let place = self.find(place, "${");
                self.error(place, "`${` is not followed by a variable's name and `}`")
                    .hint("write `${NAME}`");
                Value::Broken
            }
        };
        Node { place, value }
    }

    /// Narrows a scalar's place to a part of it, if that stands on its first line.
    fn find(&self, place: Place, part: &str) -> Place {
        let line = self
            .sources
            .get(place.file)
            .text()
            .lines()
            .nth(place.line - 1);
        let tail: String = line
            .unwrap_or_default()
            .chars()
            .skip(place.column - 1)
            .collect();
        match tail.find(part) {
            Some(bytes) => Place {
                column: place.column + tail[..bytes].chars().count(),
                width: part.chars().count(),
                ..place
            },
            None => place,
        }
    }

    fn alias(&mut self, place: Place, id: usize) -> Node {
        let Some(anchored) = self.anchors.get(&id) else {
            self.error(place, "an alias inside the value that it stands for");
            return Node {
                place,
                value: Value::Broken,
            };
        };
        let (node, cost) = (anchored.node.value.clone(), anchored.cost);
        let value = if self.spend(place, cost) {
            node
        } else {
            Value::Broken
        };
        Node { place, value }
    }

    fn spend(&mut self, place: Place, cost: usize) -> bool {
        let before = self.copied;
        self.copied = before.saturating_add(cost);
        if before <= COPIES && self.copied > COPIES {
            self.error(
                place,
                "aliases and variables make the configuration too large",
            );
        }
        self.copied <= COPIES
    }

    fn refuse_tag(&mut self, place: Place, tag: Option<&Tag>) {
        if tag.is_some() {
            self.error(place, "YAML tags (`!…`) are not supported")
                .hint("take the tag out");
        }
    }

    fn fault(&self, error: &granit_parser::ScanError) -> Fault {
        let message = match error.kind() {
            ErrorKind::RecursionLimitExceeded => format!("nested more than {DEPTH} deep"),
            kind => kind.to_string(),
        };
        let place = self.place(Span::empty(*error.marker()));
        let bracket = self
            .open
            .last()
            .filter(|open| open.flow)
            .map(|open| open.place);
        Fault {
            place,
            message,
            bracket,
        }
    }

    fn place(&self, span: Span) -> Place {
        place(self.file, span, self.lines_before)
    }

    fn error(
        &mut self,
        place: Place,
        message: impl Into<String>,
    ) -> &mut crate::config::diagnostic::Diagnostic {
        self.problems.error(self.sources, place, message)
    }
}

impl Collection {
    fn into_node(self, place: Place) -> Node {
        let value = match self {
            Self::List(items) => Value::List(items),
            Self::Map { map, .. } => Value::Map(map),
        };
        Node { place, value }
    }
}

/// A node as a key, unless it cannot be one or is there already.
fn accept_key(
    node: Node,
    seen: &mut HashMap<String, Place>,
    sources: &Sources,
    problems: &mut Problems,
) -> Option<Key> {
    let place = node.place;
    let text = match node.value {
        Value::Text(text) => text.written.unwrap_or(text.text),
        Value::Broken => return None,
        _ => {
            problems.error(sources, place, "a key must be a word");
            return None;
        }
    };
    if text == "<<" {
        problems
            .error(sources, place, "merge keys (`<<`) are not supported")
            .hint("use `defaults`, or write the keys out");
        return None;
    }
    if let Some(first) = seen.get(&text) {
        let message = format!("the key `{}` is here twice", text.escape_debug());
        let first = sources.locate(*first);
        problems
            .error(sources, place, message)
            .hint(format!("it is already at {first}"));
        return None;
    }
    seen.insert(text.clone(), place);
    Some(Key { text, place })
}

/// Roughly the bytes of a tree.
fn cost(node: &Node) -> usize {
    const NODE: usize = 64;
    NODE + match &node.value {
        Value::Null | Value::Broken => 0,
        Value::Text(text) => text.text.len(),
        Value::List(items) => items.iter().map(cost).sum(),
        Value::Map(map) => map
            .entries
            .iter()
            .map(|(key, node)| NODE + key.text.len() + cost(node))
            .sum(),
    }
}
