//! How a service chooses, and its limits.

use std::num::NonZeroU32;
use std::time::Duration;

use super::{errors, read, with_server, with_service};
use crate::config::{Balance, Hash, Limit, OnFull, Service, Stick};

fn service(keys: &str) -> Service {
    read(&with_service(keys)).unwrap().config.services[0].clone()
}

#[test]
fn every_way_of_choosing() {
    for (keys, balance) in [
        ("balance: roundrobin", Balance::RoundRobin),
        ("balance: leastconn", Balance::LeastConn),
        ("balance: source", Balance::Source),
        ("balance: first", Balance::First),
        ("balance: random", Balance::Random),
        ("balance: maglev", Balance::Maglev(Hash::Tuple)),
        (
            "balance: maglev, hash: source",
            Balance::Maglev(Hash::Source),
        ),
        ("balance: source, hash: source", Balance::Source),
        ("hash: tuple", Balance::RoundRobin),
    ] {
        assert_eq!(
            service(&keys.replace(", ", "\n    ")).balance,
            balance,
            "{keys}"
        );
    }
}

#[test]
fn a_hash_is_for_those_that_hash() {
    let lines = |keys: &str| errors(&with_service(&keys.replace(", ", "\n    ")));
    assert_eq!(
        lines("balance: leastconn, hash: source"),
        ["`hash: source` is for `balance: maglev`"]
    );
    assert_eq!(
        lines("balance: source, hash: tuple"),
        ["`balance: source` hashes the client's address alone"]
    );
}

#[test]
fn sticks_and_limits() {
    let plain = service("balance: roundrobin");
    assert_eq!((plain.stick, plain.redispatch), (None, false));
    let limit = Limit {
        max_flows: None,
        on_full: OnFull::Wait,
    };
    assert_eq!(plain.limit, limit);
    let stick = |keys| service(keys).stick.unwrap();
    let half_an_hour = Duration::from_secs(1800);
    for (keys, size) in [
        ("stick: { source: 30m, size: 200k }", 200_000),
        ("stick: { source: 30m, size: 1m }", 1_000_000),
        ("stick: { source: 30m, size: 12345 }", 12_345),
        ("stick: { source: 30m }", 200_000),
    ] {
        let source = half_an_hour;
        assert_eq!(stick(keys), Stick { source, size }, "{keys}");
    }
    let limited = service("max_flows: 100000\n    on_full: reset\n    redispatch: true");
    assert!(limited.redispatch);
    assert_eq!(limited.limit.max_flows, NonZeroU32::new(100_000));
    assert_eq!(limited.limit.on_full, OnFull::Reset);
    let server = with_server("address: \"10.0.0.1:80\"\n    maxconn: 500");
    let server = &read(&server).unwrap().config.pools[0].servers[0];
    assert_eq!(server.maxconn, NonZeroU32::new(500));
}

#[test]
fn what_is_wrong_with_them() {
    for (keys, message) in [
        ("stick: { size: 200k }", "`stick` needs `source`"),
        (
            "stick: { source: 30m, size: 10 }",
            "`size` is from 1000 to 10000000, not 10",
        ),
        (
            "stick: { source: 30m, size: 99m }",
            "`size` is from 1000 to 10000000, not 99m",
        ),
        (
            "stick: { source: 30m, size: 5000000k }",
            "`size` is from 1000 to 10000000, not 5000000k",
        ),
        (
            "stick: { source: 30m, size: manyk }",
            "`size` is a whole number, not `manyk`",
        ),
        ("max_flows: 0", "`max_flows` is from 1 to 4294967295, not 0"),
        ("on_full: queue", "`on_full` cannot be `queue`"),
        (
            "redispatch: yes",
            "`redispatch` is `true` or `false`, not `yes`",
        ),
    ] {
        assert_eq!(errors(&with_service(keys)), [message], "{keys}");
    }
    let maxconn = with_server("address: \"10.0.0.1:80\"\n    maxconn: 0");
    assert_eq!(
        errors(&maxconn),
        ["`maxconn` is from 1 to 4294967295, not 0"]
    );
}
