//! What a valid configuration means: defaults, inheritance, and what holds across sections.

use std::time::Duration;

use super::{REST, errors, read, warnings, with_server};
use crate::config::{
    Backups, Balance, Check, Control, DataPlane, Forward, Hash, Log, LogFormat, LogLevel,
    NatSource, Probe, Protocol, XdpMode,
};

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let config = read(REST).unwrap().config;
    let DataPlane {
        interfaces,
        xdp_mode,
        flow_capacity,
        source_ports,
        nat_source,
    } = config.dataplane;
    assert!(interfaces.is_empty());
    assert_eq!(xdp_mode, XdpMode::Auto);
    assert_eq!(flow_capacity, 1_048_576);
    assert_eq!(source_ports, 20_000..=32_767);
    assert_eq!(nat_source, NatSource::Auto);
    let Control {
        socket,
        mode,
        group,
    } = config.control;
    assert_eq!(socket.to_str(), Some("/run/lb/control.sock"));
    assert_eq!((mode, group), (0o660, None));
    assert_eq!(
        config.log,
        Log {
            level: LogLevel::Info,
            format: LogFormat::Text,
            connections: false,
        }
    );

    assert_eq!(config.pools[0].backups, Backups::First);
    let server = &config.pools[0].servers[0];
    assert_eq!(
        (server.weight.as_u16(), server.backup, server.enabled),
        (1, false, true)
    );
    let Check::Probe(probe) = &server.check else {
        panic!("not probed")
    };
    assert_eq!(probe.target, server.address);
    assert_eq!(probe.interval, Duration::from_secs(2));
    assert_eq!(probe.timeout, Duration::from_secs(1));
    assert_eq!((probe.rise.get(), probe.fall.get()), (2, 3));

    let service = &config.services[0];
    assert_eq!(service.protocol, Protocol::Tcp);
    assert_eq!(service.forward, Forward::Nat);
    assert_eq!(service.balance, Balance::RoundRobin);
    assert_eq!(service.idle_timeout, Duration::from_secs(24 * 3600));
}

/// The probe of the only server.
fn probe(text: &str) -> Probe {
    match &read(text).unwrap().config.pools[0].servers[0].check {
        Check::Probe(probe) => probe.clone(),
        Check::None => panic!("not probed"),
    }
}

#[test]
fn what_is_said_closest_to_a_server_counts() {
    let millis = |text: &str| probe(text).interval.as_millis();
    let mut text = REST.to_owned();
    text.insert_str(0, "defaults:\n  check: { interval: 1s }\n");
    assert_eq!(millis(&text), 1_000);
    text = text.replace(
        "defaults:\n",
        "defaults:\n  pool: { check: { interval: 3s } }\n",
    );
    assert_eq!(millis(&text), 3_000);
    text = text.replace(
        "defaults:\n",
        "defaults:\n  server: { check: { interval: 4s } }\n",
    );
    assert_eq!(millis(&text), 4_000);
    text = text.replace(
        "- name: p",
        "- name: p\n    check: { interval: 5s, fall: 7 }",
    );
    assert_eq!(millis(&text), 5_000);
    text = text.replace("0.1:80\" }", "0.1:80\", check: { interval: 6s } }");
    assert_eq!(millis(&text), 6_000);
    // What it does not say it still inherits.
    assert_eq!(probe(&text).fall.get(), 7);
}

#[test]
fn the_default_timeout_is_never_longer_than_the_interval() {
    let text = with_server("address: \"10.0.0.1:80\"\n    check: { interval: 300ms }");
    assert_eq!(probe(&text).timeout, Duration::from_millis(300));
}

#[test]
fn a_probe_may_go_to_another_address_and_port() {
    let check = |keys: &str| {
        probe(&with_server(&format!(
            "address: \"10.0.0.1:80\"\n    check: {{ {keys} }}"
        )))
        .target
    };
    assert_eq!(check("port: 8008"), "10.0.0.1:8008".parse().unwrap());
    assert_eq!(check("address: 10.0.9.1"), "10.0.9.1:80".parse().unwrap());
    assert_eq!(
        check("address: \"2001:db8::1\", port: 1"),
        "[2001:db8::1]:1".parse().unwrap()
    );
}

#[test]
fn a_check_may_be_one_word() {
    let config = read(&with_server("address: \"10.0.0.1:80\"\n    check: none"))
        .unwrap()
        .config;
    assert_eq!(config.pools[0].servers[0].check, Check::None);
    assert_eq!(
        errors(&with_server("address: \"10.0.0.1:80\"\n    check: mysql")),
        ["`type: mysql` is not supported yet"]
    );
}

#[test]
fn services_pools_and_servers_take_their_defaults() {
    let text = format!(
        "defaults:\n  service: {{ balance: maglev, idle_timeout: 1h }}\n  pool: {{ backups: all }}\n  \
         server: {{ weight: 9, backup: true, enabled: false }}{REST}"
    );
    let config = read(&text).unwrap().config;
    assert_eq!(config.services[0].balance, Balance::Maglev(Hash::Tuple));
    assert_eq!(config.services[0].idle_timeout, Duration::from_secs(3600));
    assert_eq!(config.pools[0].backups, Backups::All);
    let server = &config.pools[0].servers[0];
    assert_eq!(
        (server.weight.as_u16(), server.backup, server.enabled),
        (9, true, false)
    );
}

#[test]
fn defaults_cannot_give_identity() {
    for (entry, key, what) in [
        ("service", "name: a", "`name` of a service"),
        (
            "service",
            "listen: \"192.0.2.9:1\"",
            "`listen` of a service",
        ),
        ("service", "pool: p", "`pool` of a service"),
        ("pool", "servers: []", "`servers` of a pool"),
        (
            "server",
            "address: \"10.0.0.9:80\"",
            "`address` of a server",
        ),
    ] {
        let text = format!("defaults: {{ {entry}: {{ {key} }} }}{REST}");
        assert_eq!(errors(&text), [format!("{what} cannot have a default")]);
    }
}

#[test]
fn inline_servers_are_a_pool_of_the_services_name() {
    let config = read(&with_server("address: \"10.0.0.1:80\""))
        .unwrap()
        .config;
    assert_eq!(config.pools[0].name.as_str(), "s");
    assert_eq!(config.services[0].pool.as_str(), "s");
}

#[test]
fn sections_commented_out_below_their_key_are_empty() {
    let text = format!("dataplane:\ndefaults:\nlog:\ncontrol:\ninclude:\n{REST}");
    assert_eq!(read(&text).unwrap().config, read(REST).unwrap().config);
    assert_eq!(
        warnings("pools:\nservices:\n"),
        ["there are no services: lb has nothing to do"]
    );
    assert_eq!(
        warnings(""),
        ["there are no services: lb has nothing to do"]
    );
}

#[test]
fn names_and_references() {
    let service = |keys: &str| format!("{REST}  - {{ {keys} }}\n");
    for (text, expected) in [
        (
            service("name: s, listen: \"192.0.2.2:80\", pool: p"),
            "there is already a service named `s`",
        ),
        (
            service("name: t, listen: \"192.0.2.1:80\", pool: p"),
            "`192.0.2.1:80` is already listened on",
        ),
        (
            service("name: t, listen: \"192.0.2.2:80\", pool: q"),
            "there is no pool named `q`",
        ),
        (
            service("name: t, listen: \"192.0.2.2:80\""),
            "a service needs `pool`",
        ),
        (service("name: t, pool: p"), "a service needs `listen`"),
        (
            service("name: t, pool: p, listen: []"),
            "`listen` names no address",
        ),
        (
            service("listen: \"192.0.2.2:80\", pool: p"),
            "a service needs `name`",
        ),
        (
            service("name: t, listen: \"192.0.2.2:80\", pool: p, check: none"),
            "`check` belongs to the pool that `pool` names",
        ),
        (
            service("name: t, listen: \"192.0.2.2:80\", pool: p, servers: []"),
            "a service has `pool` or `servers`, not both",
        ),
        (
            service(
                "name: p, listen: \"192.0.2.2:80\", servers: [{ name: a, address: \"10.0.0.1:80\" }]",
            ),
            "there is already a pool named `p`",
        ),
        (
            service("name: t, listen: \"192.0.2.2:80\", servers: []"),
            "a pool needs at least one server",
        ),
    ] {
        assert_eq!(errors(&text), [expected], "{text}");
    }
}

#[test]
fn two_servers_of_a_pool_differ_in_name_and_address() {
    let with =
        |server: &str| REST.replace("servers:\n", &format!("servers:\n      - {{ {server} }}\n"));
    assert_eq!(
        errors(&with("name: a, address: \"10.0.0.2:80\"")),
        ["there is already a server named `a`"]
    );
    assert_eq!(
        errors(&with("name: b, address: \"10.0.0.1:80\"")),
        ["another server of the pool has this address"]
    );
    read(&with("name: b, address: \"10.0.0.1:81\"")).unwrap();
}

#[test]
fn a_service_has_servers_of_each_family_that_it_listens_on() {
    assert_eq!(
        errors(&REST.replace("192.0.2.1:80", "[2001:db8::1]:80")),
        ["pool `p` has no IPv6 server for this address of service `s`"]
    );
    let both = REST.replace(
        "\"192.0.2.1:80\"",
        "[\"192.0.2.1:80\", \"[2001:db8::1]:80\"]",
    );
    assert_eq!(
        errors(&both),
        ["pool `p` has no IPv6 server for this address of service `s`"]
    );
}

#[test]
fn a_server_is_not_a_service() {
    assert_eq!(
        errors(&REST.replace("10.0.0.1:80", "192.0.2.1:80")),
        ["the server's address is one that a service listens on"]
    );
    read(&REST.replace("10.0.0.1:80", "192.0.2.1:81")).unwrap();
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let server = |keys: &str| REST.replace("0.1:80\" }", &format!("0.1:80\", {keys} }}"));
    let idle = "no server here takes new connections: each is disabled or of weight 0";
    for (text, expected) in [
        (server("weight: 0"), idle),
        (server("enabled: false"), idle),
        (server("backup: true"), "every server here is a backup"),
        (
            server("check: { type: none, interval: 1s }"),
            "`interval` has no effect: `type: none` never probes",
        ),
        (
            REST.replace(
                "pools:",
                "pools:\n  - { name: q, servers: [{ name: a, address: \"10.0.0.1:80\" }] }",
            ),
            "no service uses this pool",
        ),
    ] {
        assert_eq!(warnings(&text), [expected], "{text}");
    }
    assert!(warnings(REST).is_empty());
}

#[test]
fn the_maps_bound_the_number_of_services() {
    let mut text = String::from("services:\n");
    for i in 0..4_096_u32 {
        let (high, low) = (i / 256, i % 256);
        text.push_str(&format!(
            "- {{ name: s{i}, listen: \"192.0.{high}.{low}:80\", pool: p }}\n"
        ));
    }
    text.push_str("pools: [{ name: p, servers: [{ name: a, address: \"10.0.0.1:80\" }] }]\n");
    assert_eq!(errors(&text), ["there are 4096 services; at most 4095 fit"]);
}
