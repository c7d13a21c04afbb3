use std::net::{Ipv4Addr, Ipv6Addr};

use lb_common::access::{DEPTH, Node, admits};
use proptest::prelude::*;

use super::*;

fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    Prefix::new(address.parse().unwrap(), length.parse().unwrap()).unwrap()
}

fn list(allow: Option<&[&str]>, deny: &[&str]) -> AccessList {
    let prefixes = |texts: &[&str]| texts.iter().map(|text| prefix(text)).collect();
    AccessList {
        allow: allow.map(prefixes),
        deny: prefixes(deny),
    }
}

/// What the data path answers.
fn look_up(nodes: &[Node], address: IpAddr) -> bool {
    let bits = Prefix::host(address).bits();
    let node = |index: u32| nodes.get(index as usize);
    admits((bits >> 64) as u64, bits as u64, node).expect("every node is there")
}

/// What it should answer: the rule, word by word.
fn should_admit(list: &AccessList, address: IpAddr) -> bool {
    let longest = |prefixes: &[Prefix]| {
        let matching = prefixes.iter().filter(|prefix| {
            prefix.family() == Prefix::host(address).family()
                && Prefix::containing(address, prefix.length()) == Some(**prefix)
        });
        matching.map(|prefix| i32::from(prefix.length())).max()
    };
    let denied = longest(&list.deny).unwrap_or(-1);
    match &list.allow {
        Some(allow) => longest(allow).unwrap_or(-1) > denied,
        None => denied < 0,
    }
}

#[track_caller]
fn check(list: &AccessList, expected: &[(&str, bool)]) {
    for (address, admitted) in expected {
        let address: IpAddr = address.parse().unwrap();
        let nodes = trie(list, Prefix::host(address).family());
        assert_eq!(look_up(&nodes, address), *admitted, "{address}");
        assert_eq!(should_admit(list, address), *admitted, "{address} (rule)");
    }
}

#[test]
fn without_a_list_everybody_is_admitted() {
    check(&list(None, &[]), &[("10.0.0.1", true), ("::1", true)]);
}

#[test]
fn who_is_not_allowed_is_not_admitted() {
    let list = list(Some(&["10.0.0.0/8", "2001:db8::/32"]), &[]);
    check(
        &list,
        &[
            ("9.255.255.255", false),
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("2001:db7:ffff::", false),
            ("2001:db8::", true),
            ("2001:db8:ffff:ffff::1", true),
            ("2001:db9::", false),
        ],
    );
    // A list of one family admits nobody of the other.
    let v4_only = super::tests::list(Some(&["10.0.0.0/8"]), &[]);
    check(&v4_only, &[("2001:db8::1", false)]);
}

#[test]
fn the_longest_prefix_decides_at_every_depth() {
    let list = list(
        Some(&["10.0.0.0/8", "10.6.6.6/32", "10.6.7.0/25"]),
        &["10.6.0.0/16", "10.6.7.64/26", "0.0.0.0/1"],
    );
    check(
        &list,
        &[
            ("10.5.0.1", true),
            ("10.6.0.1", false),
            ("10.6.6.5", false),
            ("10.6.6.6", true),
            ("10.6.7.1", true),
            ("10.6.7.63", true),
            ("10.6.7.64", false),
            ("10.6.7.128", false),
            ("9.0.0.1", false),
            ("200.0.0.1", false),
        ],
    );
}

#[test]
fn a_tie_denies() {
    for prefixes in [["10.0.0.0/8"], ["10.1.2.3/32"], ["0.0.0.0/0"]] {
        let list = list(Some(&prefixes), &prefixes);
        check(&list, &[("10.1.2.3", false)]);
    }
    let everything = list(Some(&["::/0"]), &["::/0"]);
    check(&everything, &[("::", false), ("2001:db8::1", false)]);
}

#[test]
fn deny_alone_admits_the_rest() {
    let list = list(None, &["10.6.6.0/24", "2001:db8:6::/48"]);
    check(
        &list,
        &[
            ("10.6.6.1", false),
            ("10.6.7.1", true),
            ("2001:db8:6::1", false),
            ("2001:db8:7::1", true),
        ],
    );
    assert!(list.restricts(Family::V4) && list.restricts(Family::V6));
    let v4 = super::tests::list(None, &["10.6.6.0/24"]);
    assert!(v4.restricts(Family::V4) && !v4.restricts(Family::V6));
}

#[test]
fn a_list_of_one_prefix_is_one_node() {
    for text in [
        "10.0.0.0/8",
        "10.1.2.3/32",
        "0.0.0.0/0",
        "2001:db8::/32",
        "::1/128",
    ] {
        let list = list(None, &[text]);
        let nodes = trie(&list, prefix(text).family());
        // 63 bits can be skipped at once.
        let most = usize::from(prefix(text).length()).div_ceil(64).max(1);
        assert!(nodes.len() <= most, "{text}: {}", nodes.len());
    }
}

#[test]
fn what_changes_nothing_takes_no_room() {
    let list = list(
        Some(&["10.0.0.0/8", "10.1.0.0/16", "10.2.3.4/32"]),
        &["11.0.0.0/8"],
    );
    assert_eq!(trie(&list, Family::V4).len(), 1);
}

#[test]
fn the_deepest_list_is_walked_to_its_end() {
    // A prefix of every length, turn by turn in either list.
    let ones = Ipv6Addr::from_bits(u128::MAX);
    let nested = |odd: bool| {
        let lengths = (0..=128_u8).filter(|length| (length % 2 == 1) == odd);
        lengths
            .map(|length| Prefix::containing(ones.into(), length).unwrap())
            .collect::<Vec<_>>()
    };
    let list = AccessList {
        allow: Some(nested(false)),
        deny: nested(true),
    };
    let nodes = trie(&list, Family::V6);
    assert!(nodes.len() <= DEPTH as usize);
    for bit in 0..128 {
        let address = IpAddr::from(Ipv6Addr::from_bits(u128::MAX ^ (1 << (127 - bit))));
        assert_eq!(
            look_up(&nodes, address),
            should_admit(&list, address),
            "bit {bit}"
        );
    }
    assert!(look_up(&nodes, ones.into()));
}

/// Memory and time are bounded: about a node for each prefix.
#[test]
fn a_hundred_thousand_prefixes() {
    // A fixed sequence that hits every part of the address space.
    let number = |i: u32| i.wrapping_mul(2_654_435_761);
    let v4 = |i| Prefix::containing(IpAddr::from(Ipv4Addr::from_bits(number(i))), 24).unwrap();
    let v6 = |i| {
        let bits = 0x2000_u128 << 112 | u128::from(number(i)) << 80;
        Prefix::containing(IpAddr::from(Ipv6Addr::from_bits(bits)), 48).unwrap()
    };
    let list = AccessList {
        allow: None,
        deny: (0..100_000).map(v4).chain((0..100_000).map(v6)).collect(),
    };
    for family in [Family::V4, Family::V6] {
        let nodes = trie(&list, family);
        assert!(nodes.len() < 150_000, "{family:?}: {}", nodes.len());
        for i in 0..100_000 {
            let prefix = if family == Family::V4 { v4(i) } else { v6(i) };
            assert!(!look_up(&nodes, prefix.address()), "{prefix}");
        }
    }
}

/// Addresses that share many bits, so that lists nest and neighbour each other.
fn v4() -> impl Strategy<Value = IpAddr> {
    (0..4_u32, 0..16_u32, 0..256_u32, any::<u32>(), any::<bool>()).prop_map(
        |(a, b, c, any, near)| {
            let bits = if near {
                10 << 24 | a << 22 | b << 6 | c
            } else {
                any
            };
            Ipv4Addr::from_bits(bits).into()
        },
    )
}

fn v6() -> impl Strategy<Value = IpAddr> {
    (
        0..4_u128,
        0..16_u128,
        0..256_u128,
        any::<u128>(),
        any::<bool>(),
    )
        .prop_map(|(a, b, c, any, near)| {
            let bits = if near {
                0x2001 << 112 | a << 94 | b << 61 | c
            } else {
                any
            };
            Ipv6Addr::from_bits(bits).into()
        })
}

fn prefixes(
    address: impl Strategy<Value = IpAddr>,
    longest: u8,
) -> impl Strategy<Value = Vec<Prefix>> {
    let one = (address, 0..=longest)
        .prop_map(|(address, length)| Prefix::containing(address, length).unwrap());
    prop::collection::vec(one, 0..40)
}

/// Compares at the addresses where an answer may change: the edges of every prefix.
fn agree(list: &AccessList, family: Family, others: &[IpAddr]) -> Result<(), TestCaseError> {
    let nodes = trie(list, family);
    let edges = list.prefixes(family).flat_map(|(prefix, _)| {
        let first = prefix.bits();
        let width: u32 = if family == Family::V4 { 32 } else { 128 };
        let one = 1_u128 << (128 - width);
        let beyond = u128::MAX.checked_shr(prefix.length().into());
        let last = first | beyond.unwrap_or(0) & !(one - 1);
        [first, last, first.wrapping_sub(one), last.wrapping_add(one)].map(|bits| match family {
            Family::V4 => IpAddr::from(Ipv4Addr::from_bits((bits >> 96) as u32)),
            Family::V6 => IpAddr::from(Ipv6Addr::from_bits(bits)),
        })
    });
    for address in edges.chain(others.iter().copied()) {
        prop_assert_eq!(
            look_up(&nodes, address),
            should_admit(list, address),
            "{}",
            address
        );
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_trie_is_the_rule_for_ipv4(
        allow in prop::option::of(prefixes(v4(), 32)),
        deny in prefixes(v4(), 32),
        others in prop::collection::vec(v4(), 20),
    ) {
        agree(&AccessList { allow, deny }, Family::V4, &others)?;
    }

    #[test]
    fn the_trie_is_the_rule_for_ipv6(
        allow in prop::option::of(prefixes(v6(), 128)),
        deny in prefixes(v6(), 128),
        others in prop::collection::vec(v6(), 20),
    ) {
        agree(&AccessList { allow, deny }, Family::V6, &others)?;
    }
}
