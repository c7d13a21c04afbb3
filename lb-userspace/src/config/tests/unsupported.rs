//! What the configuration language has and this version does not do.

use super::{REST, errors, read, with_server, with_service};

/// The text is refused, and only for this reason.
#[track_caller]
fn not_yet(text: &str, what: &str) {
    assert_eq!(
        errors(text),
        [format!("`{what}` is not supported yet")],
        "{text}"
    );
}

#[test]
fn sections_are_refused_by_name() {
    for (section, name) in [
        ("metrics: { listen: \"127.0.0.1:9400\" }", "metrics"),
        (
            "vrrp:\n- { name: front, auth: { type: pass, password: x } }",
            "vrrp",
        ),
        ("flow_sync: { listen: \"10.0.0.2:7400\" }", "flow_sync"),
        ("dataplane: { pin_dir: /sys/fs/bpf/lb }", "pin_dir"),
        (
            "control: { haproxy_socket: /run/lb/haproxy.sock }",
            "haproxy_socket",
        ),
        ("defaults: { vrrp: { priority: 100 } }", "vrrp"),
        ("log: { target: journal }", "target: journal"),
        ("log: { target: syslog }", "target: syslog"),
    ] {
        not_yet(&format!("{section}{REST}"), name);
    }
}

#[test]
fn what_services_will_do_is_refused_by_name() {
    for (keys, name) in [
        ("protocol: udp", "protocol: udp"),
        ("role: primary", "role: primary"),
        ("role: replica", "role: replica"),
        ("fallback: primary", "fallback: primary"),
        ("forward: dnat", "forward: dnat"),
        ("forward: dsr", "forward: dsr"),
        ("forward: ipip", "forward: ipip"),
        ("forward: gue", "forward: gue"),
        ("forward: proxy", "forward: proxy"),
        ("forward: http", "forward: http"),
        ("on_down: reset", "on_down: reset"),
        ("on_down: { drain: 30s }", "on_down: drain"),
        ("panic: all", "panic: all"),
    ] {
        not_yet(&with_service(keys), name);
    }
    let everywhere = REST.replace("\"192.0.2.1:80\"", "\"*:80\"");
    assert_eq!(
        errors(&everywhere),
        ["`listen: *:80`: listening on every address is not supported yet"]
    );
}

#[test]
fn what_pools_servers_and_checks_will_do_is_refused_by_name() {
    for (keys, name) in [
        ("slow_start: 30s", "slow_start"),
        ("observe: { errors: 10 }", "observe"),
        ("two_primaries: holder", "two_primaries"),
        ("max_lag: 10MB", "max_lag"),
    ] {
        not_yet(
            &REST.replace("- name: p", &format!("- name: p\n    {keys}")),
            name,
        );
    }
    for (keys, name) in [
        (
            "check: { type: script, steps: [{ connect: { tls: true } }] }",
            "tls: true",
        ),
        (
            "check: { type: http, path: /, expect: { status: \"200\" } }",
            "type: http",
        ),
        (
            "check: { type: redis, password: x, role: true }",
            "role: true",
        ),
        ("check: { type: postgres, user: lb }", "type: postgres"),
        ("check: { type: mysql }", "type: mysql"),
        ("check: { type: patroni }", "type: patroni"),
        ("check: { tls: true }", "tls: true"),
        ("check: { tls: { verify: true } }", "tls"),
        ("check: { agent: { port: 9999 } }", "agent"),
    ] {
        not_yet(
            &with_server(&format!("address: \"10.0.0.1:80\"\n    {keys}")),
            name,
        );
    }
    assert_eq!(
        errors(&with_server("address: \"db1.example.com:80\"")),
        ["`address: db1.example.com:80`: host names are not supported yet"]
    );
}

#[test]
fn words_for_what_is_done_anyway_are_accepted() {
    for keys in [
        "protocol: tcp",
        "role: any",
        "fallback: none",
        "forward: nat",
        "on_down: keep",
        "panic: refuse",
    ] {
        read(&with_service(keys)).unwrap();
    }
    read(&format!("log: {{ target: stderr }}{REST}")).unwrap();
    read(&REST.replace("- name: p", "- name: p\n    slow_start: 0s")).unwrap();
    read(&with_server(
        "address: \"10.0.0.1:80\"\n    check: { tls: false }",
    ))
    .unwrap();
}
