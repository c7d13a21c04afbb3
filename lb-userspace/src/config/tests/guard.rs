//! `allow`, `deny` and `new_flows`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{REST, errors, read, refused, warnings, with_service};
use crate::access::AccessList;
use crate::config::{NewFlows, Service};

fn service(keys: &str) -> Service {
    let config = read(&with_service(keys)).unwrap_or_else(|report| panic!("{report}"));
    config.config.services[0].clone()
}

fn shown(list: &AccessList) -> (Option<Vec<String>>, Vec<String>) {
    let texts = |prefixes: &Vec<_>| prefixes.iter().map(ToString::to_string).collect();
    (list.allow.as_ref().map(texts), texts(&list.deny))
}

#[test]
fn without_lists_everybody_may_connect_as_often_as_they_like() {
    assert_eq!((service("").access, service("").new_flows), (None, None));
    // Nobody is denied by nothing.
    assert_eq!(service("deny: []").access, None);
}

#[test]
fn lists_are_what_they_say() {
    let list = service("allow: [10.0.0.0/8, 192.0.2.7]\n    deny: 10.6.6.0/24").access;
    let (allow, deny) = shown(&list.unwrap());
    assert_eq!(allow.unwrap(), ["10.0.0.0/8", "192.0.2.7/32"]);
    assert_eq!(deny, ["10.6.6.0/24"]);
    let list = service("deny: [\"2001:db8::/32\"]").access.unwrap();
    assert_eq!(shown(&list), (None, vec!["2001:db8::/32".to_owned()]));
}

#[test]
fn services_with_the_same_lists_share_them() {
    let text = with_service("allow: [10.0.0.0/8]");
    let second = text[text.find("  - name: s").unwrap()..].replace("name: s", "name: t");
    let text = text + &second.replace("192.0.2.1:80", "192.0.2.2:80");
    let services = read(&text).unwrap().config.services;
    let [Some(one), Some(other)] = [&services[0].access, &services[1].access] else {
        panic!("{services:?}")
    };
    assert!(Arc::ptr_eq(one, other));
}

#[test]
fn defaults_may_have_them() {
    let text = format!(
        "defaults: {{ service: {{ deny: [10.6.6.6], new_flows: {{ per_source: 5/m }} }} }}{REST}"
    );
    let services = read(&text).unwrap().config.services;
    assert!(services[0].access.is_some() && services[0].new_flows.is_some());
    let wrong = text.replace("10.6.6.6", "10.6.6.6/33").replace("5/m", "5");
    assert_eq!(
        errors(&wrong),
        [
            "`deny: 10.6.6.6/33`: the length of this prefix is at most 32",
            "`per_source: 5` does not say in which time"
        ]
    );
}

#[test]
fn prefixes_that_are_none() {
    for (value, why) in [
        ("10.0.0.1/8", "bits beyond the prefix's length are set"),
        ("10.0.0.0/33", "the length of this prefix is at most 32"),
        ("10.0.0.0/", "this is not a prefix"),
        ("everybody", "this is not a prefix"),
        ("10.0.0.1:80", "an address with a port is not a prefix"),
        ("\"::ffff:10.0.0.0/104\"", "an IPv4 prefix in IPv6 form"),
    ] {
        let plain = value.trim_matches('"');
        for key in ["allow", "deny"] {
            assert_eq!(
                errors(&with_service(&format!("{key}: [{value}]"))),
                [format!("`{key}: {plain}`: {why}")]
            );
        }
    }
    let report = refused(&with_service("deny: [10.0.0.1/8]"));
    assert!(
        report.contains("write 10.0.0.0/8, or 10.0.0.1 for that address alone"),
        "{report}"
    );
    // All of them at once.
    let many = with_service("allow: [a, 10.0.0.0/8, b]\n    deny: { c: d }");
    assert_eq!(errors(&many).len(), 3);
}

#[test]
fn an_empty_allow_is_refused() {
    for nothing in ["[]", "~", ""] {
        assert_eq!(
            errors(&with_service(&format!("allow: {nothing}"))),
            ["`allow` names no prefix: nobody could connect"]
        );
    }
}

#[test]
fn a_family_that_nobody_may_connect_by_is_warned_of() {
    let warned = |allow: &str| warnings(&with_service(&format!("allow: [{allow}]")));
    assert_eq!(warned("10.0.0.0/8").len(), 0);
    assert_eq!(
        warned("\"2001:db8::/32\""),
        ["`allow` has no IPv4 prefix, and the service listens on IPv4: nobody can connect there"]
    );
}

#[test]
fn limits() {
    let NewFlows {
        per_source,
        burst,
        ban,
    } = service("new_flows: { per_source: 100/s, burst: 200, ban: 2m }")
        .new_flows
        .unwrap();
    assert_eq!((per_source.to_string().as_str(), burst), ("100/s", 200));
    assert_eq!(ban, Duration::from_secs(120));
    let defaults = service("new_flows: { per_source: 20/m }")
        .new_flows
        .unwrap();
    assert_eq!((defaults.burst, defaults.ban), (20, Duration::ZERO));
}

#[test]
fn limits_that_are_none() {
    for (value, error) in [
        ("{}", "`new_flows` needs `per_source`"),
        ("{ burst: 3 }", "`new_flows` needs `per_source`"),
        ("100/s", "`new_flows` is a map, not a single value"),
        (
            "{ per_source: 100 }",
            "`per_source: 100` does not say in which time",
        ),
        (
            "{ per_source: 100/d }",
            "`per_source: 100/d` has an unknown unit",
        ),
        (
            "{ per_source: 0/s }",
            "`per_source: 0/s` is not from 1 to 1000000",
        ),
        ("{ per_source: many }", "`per_source: many` is not a rate"),
        (
            "{ per_source: [1/s] }",
            "`per_source` is a rate such as 100/s, not a list",
        ),
        (
            "{ per_source: 1/s, burst: 0 }",
            "`burst` is from 1 to 1000000, not 0",
        ),
        (
            "{ per_source: 1/s, ban: 577h }",
            "`ban` is from 0s to 576h, not 577h",
        ),
        ("{ per_source: 1/s, ban: 2 }", "`ban: 2` has no unit"),
        (
            "{ per_source: 1/s, rate: 2 }",
            "unknown key `rate` in `new_flows`",
        ),
    ] {
        assert_eq!(
            errors(&with_service(&format!("new_flows: {value}"))),
            [error],
            "{value}"
        );
    }
    let report = refused(&with_service("new_flows: { per_source: 100 }"));
    assert!(
        report.contains("write 100/s for so many in a second"),
        "{report}"
    );
}

/// Lists come out of scripts. This takes a second in a build without optimisation; the limit is for
/// what grows with the square.
#[test]
fn a_hundred_thousand_prefixes_are_read_in_reasonable_time() {
    let mut text = with_service("deny:");
    for i in 0..100_000_u32 {
        let [a, b, c] = [i >> 16, i >> 8 & 255, i & 255];
        text.push_str(&format!("      - {}.{b}.{c}.0/24\n", 20 + a));
    }
    let start = Instant::now();
    let config = read(&text).unwrap().config;
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "{:?}",
        start.elapsed()
    );
    let list = config.services[0].access.clone().unwrap();
    assert_eq!(list.deny.len(), 100_000);
}
