//! A configuration on a host.

use std::net::IpAddr;

use super::{messages, read};
use crate::config::Severity;
use crate::config::host::{HostFacts, Interface, Route, check, destinations, seen_from};

const TEXT: &str = "
dataplane: { interfaces: [eth0, eth1] }
control: { group: lb }
services:
  - name: s
    listen: \"192.0.2.1:80\"
    servers:
      - { name: a, address: \"10.0.0.1:80\" }
      - { name: b, address: \"10.0.0.2:80\", check: { address: 10.0.9.2 } }
      - { name: c, address: \"10.0.0.3:80\", check: none }
";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn interface(index: u32, name: &str, address: &str) -> Interface {
    Interface {
        index,
        name: name.to_owned(),
        addresses: vec![(ip(address), 24)],
    }
}

/// A host on which nothing is wrong with [`TEXT`].
fn facts() -> HostFacts {
    let route = |to: &str, interface, source: &str| {
        (
            ip(to),
            Route {
                interface,
                source: ip(source),
            },
        )
    };
    HostFacts {
        interfaces: vec![
            interface(1, "lo", "127.0.0.1"),
            interface(2, "eth0", "192.0.2.1"),
            interface(3, "eth1", "10.0.0.9"),
            interface(4, "eth2", "10.0.9.9"),
        ],
        routes: [
            route("10.0.0.1", 3, "10.0.0.9"),
            route("10.0.0.2", 3, "10.0.0.9"),
            route("10.0.0.3", 3, "10.0.0.9"),
            route("10.0.9.2", 4, "10.0.9.9"),
        ]
        .into(),
        local_ports: Some(32_768..=60_999),
        group_exists: Some(true),
    }
}

const SURVIVE: &str = "servers see connections come from this host's own addresses: \
                       connections will not survive this host";

#[test]
fn on_a_fitting_host_only_the_source_addresses_are_worth_a_warning() {
    let loaded = read(TEXT).unwrap();
    assert_eq!(messages(&check(&loaded, &facts())), [SURVIVE]);
    let text = TEXT.replace("eth1]", "eth1], nat_source: 10.0.0.100");
    assert!(check(&read(&text).unwrap(), &facts()).is_empty());
}

#[test]
fn a_server_that_is_this_host_is_refused_with_reason_and_remedy() {
    let mut facts = facts();
    facts.interfaces[2].addresses.push((ip("10.0.0.2"), 24));
    let found = check(&read(TEXT).unwrap(), &facts);
    assert_eq!(found[0].severity(), Severity::Error);
    let expected = "\
lb.yaml:9:29: this server is this host itself (eth1): XDP does not see local traffic
  9 |       - { name: b, address: \"10.0.0.2:80\", check: { address: 10.0.9.2 } }
    |                             ^^^^^^^^^^^^^ run the server on another host, or take it out of the pool on this one";
    assert_eq!(found[0].to_string(), expected);
}

#[test]
fn what_will_not_work_on_this_host_is_a_warning() {
    let warnings = |change: fn(&mut HostFacts)| {
        let mut facts = facts();
        change(&mut facts);
        let found = check(&read(TEXT).unwrap(), &facts);
        assert!(
            found.iter().all(|d| d.severity() == Severity::Warning),
            "{found:?}"
        );
        let mut messages = messages(&found);
        messages.retain(|message| message != SURVIVE);
        messages
    };
    assert_eq!(
        warnings(|f| {
            f.routes.remove(&ip("10.0.0.1"));
        }),
        ["there is no route to this server"]
    );
    assert_eq!(
        warnings(|f| f.routes.get_mut(&ip("10.0.0.1")).unwrap().interface = 4),
        ["packets to this server leave by `eth2`, where lb does not attach"]
    );
    assert_eq!(
        warnings(|f| f.interfaces[1].name = "ens3".to_owned()),
        ["there is no such interface on this host"]
    );
    assert_eq!(
        warnings(|f| f.interfaces[1].addresses.clear()),
        ["no interface of this host has this address"]
    );
    assert_eq!(
        warnings(|f| f.group_exists = Some(false)),
        ["there is no such group on this host: the socket stays with the agent's"]
    );
    assert_eq!(
        warnings(|f| f.local_ports = Some(32_767..=60_999)),
        [
            "`source_ports` 20000-32767 overlap the ports of this host's own connections, 32767-60999"
        ]
    );
}

#[test]
fn servers_see_connections_and_checks_from_the_routes_sources() {
    let config = read(TEXT).unwrap().config;
    let wanted = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.9.2"].map(ip);
    assert_eq!(destinations(&config), wanted);
    let seen = seen_from(&config, &facts());
    let servers: Vec<String> = seen.iter().map(|s| s.server.to_string()).collect();
    assert_eq!(servers, ["s/a", "s/b", "s/c"]);
    assert!(seen.iter().all(|s| s.connections == [ip("10.0.0.9")]));
    let checks: Vec<_> = seen.iter().map(|s| s.checks).collect();
    assert_eq!(checks, [Some(ip("10.0.0.9")), Some(ip("10.0.9.9")), None]);
}

#[test]
fn configured_sources_replace_the_routes() {
    let text = TEXT.replace("eth1]", "eth1], nat_source: [10.0.0.100, \"2001:db8::1\"]");
    let config = read(&text).unwrap().config;
    let seen = seen_from(&config, &facts());
    assert_eq!(seen[0].connections, [ip("10.0.0.100")]);
    assert_eq!(seen[0].checks, Some(ip("10.0.0.9")));
}
