//! `lb check --show`.

use proptest::prelude::*;

use super::{REST, read, read_with};
use crate::config::{Config, show};

/// What is shown reads back as the same.
fn round_trip(config: &Config) {
    let shown = show(config);
    let again = read(&shown).unwrap_or_else(|report| panic!("{shown}\n{report}"));
    assert_eq!(again.config, *config, "{shown}");
}

#[test]
fn a_small_configuration_with_its_defaults() {
    let config = read(REST).unwrap().config;
    let expected = r#"dataplane:
  interfaces: []
  xdp_mode: auto
  flow_capacity: 1048576
  source_ports: 20000-32767
  nat_source: auto
control:
  socket: "/run/lb/control.sock"
  mode: "0660"
  # group: not set, the agent's own
log:
  level: info
  format: text
  target: stderr
  connections: false
pools:
  - name: "p"
    backups: first
    servers:
      - name: "a"
        address: "10.0.0.1:80"
        weight: 1
        backup: false
        enabled: true
        # maxconn: not set, no limit
        check:
          type: tcp
          address: "10.0.0.1"
          port: 80
          interval: 2s
          fast_interval: 2s
          down_interval: 2s
          timeout: 1s
          rise: 2
          fall: 3
services:
  - name: "s"
    listen: ["192.0.2.1:80"]
    protocol: tcp
    pool: "p"
    forward: nat
    balance: roundrobin
    # stick: not set
    redispatch: false
    # max_flows: not set, no limit
    on_full: wait
    idle_timeout: 24h
    # allow: not set, everybody
    deny: []
    # new_flows: not set, no limit
"#;
    assert_eq!(show(&config), expected);
    round_trip(&config);
}

#[test]
fn text_that_looks_like_something_else_stays_text() {
    let text =
        format!("control: {{ socket: \"/a \\\" \\\\ # ${{V}} \\n ä\", group: \"0\" }}{REST}");
    let text = text
        .replace("name: p", "name: true")
        .replace("pool: p", "pool: true");
    let config = read_with(&text, &[("V", "${X}: \u{1b}'")]).unwrap().config;
    round_trip(&config);
}

prop_compose! {
    fn server()(
        host in 1_u8..250,
        port in 1_u16..,
        weight in 0_u16..=256,
        flags in any::<[bool; 4]>(),
        interval in 10_u64..1_000_000,
        timeout in 1_u64..,
        times in 1_u32..=1000,
    ) -> String {
        let [backup, enabled, probed, v6] = flags;
        let check = if probed {
            let timeout = 1 + timeout % interval;
            let address = if v6 { "\"2001:db8::9\"" } else { "10.9.9.9" };
            format!("{{ interval: {interval}ms, timeout: {timeout}ms, rise: {times}, address: {address}, port: {port} }}")
        } else {
            "none".to_owned()
        };
        format!(
            "address: \"10.0.HIGH.{host}:{port}\", weight: {weight}, backup: {backup}, \
             enabled: {enabled}, maxconn: {times}, check: {check}"
        )
    }
}

prop_compose! {
    fn configuration()(
        servers in prop::collection::vec(server(), 1..6),
        capacity in 1024_u32..=16_777_216,
        low in 1024_u16..,
        span in any::<u16>(),
        mode in 0_u32..0o1000,
        idle in 1_000_u64..2_000_000_000,
        connections in any::<bool>(),
        words in (
            prop::sample::select(vec!["auto", "driver", "generic"]),
            prop::sample::select(vec!["error", "warn", "info", "debug", "trace"]),
            prop::sample::select(vec!["text", "json"]),
            prop::sample::select(vec!["first", "all"]),
            prop::sample::select(vec![
                "roundrobin", "leastconn", "source", "first", "random", "maglev",
                "maglev, hash: source",
            ]),
            prop::sample::select(vec!["wait", "reset"]),
            prop::sample::select(vec!["auto", "[10.1.1.1, \"2001:db8::1\"]"]),
            prop::sample::select(vec![
                "",
                ", allow: 10.0.0.0/8",
                ", deny: [10.6.6.6, \"2001:db8::/32\"]",
                ", allow: [\"::/0\", 0.0.0.0/0], deny: []",
            ]),
            prop::sample::select(vec![
                "",
                ", new_flows: { per_source: 100/s }",
                ", new_flows: { per_source: 7/h, burst: 1, ban: 1m30s }",
            ]),
        ),
    ) -> String {
        let (xdp, level, format, backups, balance, full, nat, access, limit) = words;
        let size = capacity.min(10_000_000);
        let high = low.saturating_add(span);
        let mut servers_text = String::new();
        for (i, server) in servers.iter().enumerate() {
            let server = server.replace("HIGH", &i.to_string());
            servers_text.push_str(&format!("  - {{ name: n{i}, {server} }}\n"));
        }
        format!(
            "dataplane: {{ interfaces: [a, b], xdp_mode: {xdp}, flow_capacity: {capacity}, \
             source_ports: {low}-{high}, nat_source: {nat} }}\n\
             control: {{ mode: \"{mode:04o}\", group: g }}\n\
             log: {{ level: {level}, format: {format}, connections: {connections} }}\n\
             pools:\n- name: p\n  backups: {backups}\n  servers:\n{servers_text}\
             services:\n- {{ name: s, listen: [\"192.0.2.1:80\", \"192.0.2.1:81\"], pool: p, \
             balance: {balance}, idle_timeout: {idle}ms, stick: {{ source: {idle}ms, size: {size} }}, \
             redispatch: {connections}, max_flows: {capacity}, on_full: {full}{access}{limit} }}\n"
        )
    }
}

proptest! {
    #[test]
    fn any_valid_configuration_is_shown_so_that_it_reads_back(text in configuration()) {
        let loaded = read(&text).map_err(|report| TestCaseError::fail(format!("{text}\n{report}")))?;
        round_trip(&loaded.config);
    }
}
