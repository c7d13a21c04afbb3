//! Builds the trie of [`lb_common::access`].

use lb_common::access::{Node, STRIDE};

use super::AccessList;
use crate::model::Family;

/// A prefix as the builder sorts it: by its bits, the shorter of two with the same bits first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    /// The first address; its first bit is the highest.
    bits: u128,
    length: u32,
    admits: bool,
}

/// The nodes of one family's part of a list, the root first.
pub fn trie(list: &AccessList, family: Family) -> Vec<Node> {
    let entries = list.prefixes(family).map(|(prefix, admits)| Entry {
        bits: prefix.bits(),
        length: prefix.length().into(),
        admits,
    });
    let mut entries: Vec<Entry> = entries.collect();
    entries.sort_unstable();
    // Of a prefix that both lists have, the one that denies comes first and stays.
    entries.dedup_by_key(|entry| (entry.bits, entry.length));
    let mut otherwise = list.allow.is_none();
    let mut entries = &*entries;
    if let Some((all, longer)) = entries.split_first()
        && all.length == 0
    {
        otherwise = all.admits;
        entries = longer;
    }
    let mut nodes = vec![Node::default()];
    fill(&mut nodes, 0, entries, 0, otherwise);
    nodes
}

/// Makes node `index` the one that decides over addresses from bit `position` on. `entries` are all
/// prefixes longer than that which lie below it; where none does, `otherwise` is the answer.
fn fill(nodes: &mut Vec<Node>, index: usize, entries: &[Entry], position: u32, otherwise: bool) {
    let skip = common_bits(entries, position);
    let start = position + skip;
    let mut node = Node {
        path: if skip == 0 {
            0
        } else {
            bits_at(entries[0].bits, position, skip)
        },
        skip: skip as u8,
        beside: otherwise.into(),
        ..Node::default()
    };
    // Shorter ones first, so that a longer one overrides them.
    let mut short: Vec<&Entry> = entries
        .iter()
        .filter(|entry| entry.length <= start + STRIDE)
        .collect();
    short.sort_by_key(|entry| entry.length);
    let mut answers = [otherwise; 1 << STRIDE];
    for entry in short {
        let first = bits_at(entry.bits, start, STRIDE) as usize;
        let count = 1 << (start + STRIDE - entry.length);
        answers[first..first + count].fill(entry.admits);
    }
    let mut children = Vec::new();
    let six = |entry: &Entry| bits_at(entry.bits, start, STRIDE);
    for below in entries.chunk_by(|a, b| six(a) == six(b)) {
        let number = six(&below[0]) as usize;
        // Those that end within this node's bits sort before those that have the same six bits and
        // go on.
        let ended = below.partition_point(|entry| entry.length <= start + STRIDE);
        let longer = &below[ended..];
        if longer.iter().any(|entry| entry.admits != answers[number]) {
            node.children |= 1 << number;
            children.push((longer, answers[number]));
        }
    }
    for (number, admitted) in answers.into_iter().enumerate() {
        node.admitted |= u64::from(admitted) << number;
    }
    let first = nodes.len();
    node.first_child = first as u32;
    nodes[index] = node;
    nodes.resize(first + children.len(), Node::default());
    for (child, (longer, answer)) in (first..).zip(children) {
        fill(nodes, child, longer, start + STRIDE, answer);
    }
}

/// How many bits from `position` on all entries share and a node can skip: the shortest of them must
/// end within the node's six bits or beyond.
fn common_bits(entries: &[Entry], position: u32) -> u32 {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
        return 0;
    };
    let shortest = entries.iter().map(|entry| entry.length).min().unwrap_or(0);
    let shared = (first.bits ^ last.bits).leading_zeros();
    shared
        .min(shortest.saturating_sub(STRIDE))
        .saturating_sub(position)
        .min(63)
}

/// `count` bits from `position` on, at most 63; beyond the address's end they are zero.
fn bits_at(bits: u128, position: u32, count: u32) -> u64 {
    let rest = bits.checked_shl(position).unwrap_or(0);
    (rest >> (128 - count)) as u64
}
