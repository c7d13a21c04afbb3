//! Secrets do not get into reports.

use super::{errors, read_with, refused};
use crate::config::secret::{hide, is_secret};

#[test]
fn a_line_is_printed_without_the_secret_and_with_its_caret_in_place() {
    let report = refused("services:\n- { password: 'hunter2, it''s', nmae: x }\n");
    let expected = "\
lb.yaml:2:3: a service needs `listen`
  2 | - { password: ***, nmae: x }
    |   ^
lb.yaml:2:3: a service needs `pool`
  2 | - { password: ***, nmae: x }
    |   ^
lb.yaml:2:5: unknown key `password` in a service
  2 | - { password: ***, nmae: x }
    |     ^^^^^^^^ `password` belongs in a check
lb.yaml:2:33: unknown key `nmae` in a service
  2 | - { password: ***, nmae: x }
    |                    ^^^^ did you mean `name`?
4 errors";
    assert_eq!(report, expected);
}

#[test]
fn nothing_of_a_secret_is_printed_whatever_else_is_wrong() {
    for text in [
        "password: hunter2",
        "pasword: hunter2",
        "passwd: hunter2",
        "\"password\": hunter2",
        "password : hunter2",
        "password:hunter2",
        "- password=hunter2",
        "{ password: hunter2",
        "{ x: [ , password: \"hunter2",
        "{ x: ], password: \"a\\\"hunter2\" }",
        "auth: { type: pass, word: hunter2 }",
        "auth: [a, hunter2",
        "auth: { type: pass, word: hunter2",
        "key_file: hunter2",
        "secret:\n  wrong: [hunter2",
        "secret:\n- hunter2: ]",
        "password: |\n  hunter2\n \thunter2: ]",
        "password: \"a\n  hunter2\" x",
        "password: a\n  hunter2: ]",
        "# the password: hunter2 ]\nx: ]",
        "vrrp: [{ auth: { type: pass, password: hunter2 } }]",
        "services: [{ check: { type: script, steps: [{ send: \"AUTH hunter2\\r\\n\" }] } }]",
        "services: [{ check: { type: http, headers: { Authorization: hunter2 } } }]",
    ] {
        let report = refused(text);
        assert!(!report.contains("hunter2"), "{text}\n{report}");
    }
}

#[test]
fn values_of_the_environment_are_not_printed() {
    let secret = [("S", "hunter2")];
    for text in [
        "log: { level: ${S} }",
        "dataplane: { flow_capacity: \"${S}\" }",
        "dataplane: { source_ports: \"${S}\" }",
        "dataplane: { interfaces: [\"${S}/\"] }",
        "dataplane: { nat_source: [\"${S}\"] }",
        "control: { mode: \"${S}\", group: \"${S}!\", socket: \"${S}\" }",
        "defaults: { check: { interval: \"${S}\", rise: \"${S}\", type: \"${S}\" } }",
        "defaults: { check: { interval: \"2${S}\", address: \"::ffff:10.0.0.1${S}\" } }",
        "pools: [\"${S}\"]",
        "pools: [{ name: \"a${S}/\", servers: [{ name: a, address: \"${S}:80\", backup: \"${S}\" }] }]",
        "pools: [{ name: \"${S}\", servers: [] }, { name: \"${S}\", servers: [] }]",
        "services: [{ name: s, listen: \"${S}:80\", pool: \"${S}\" }]",
        "services: [{ name: \"${S}\", listen: \"10.0.0.1:80\", pool: nope }]",
        "\"${S}\": 1",
        "log: \"${S}\"",
    ] {
        let report = read_with(text, &secret).expect_err(text);
        assert!(!report.contains("hunter2"), "{text}\n{report}");
    }
}

#[test]
fn ordinary_keys_are_shown() {
    for key in [
        "name",
        "address",
        "weight",
        "check",
        "listen",
        "pool",
        "path",
        "passive_port",
    ] {
        let secret = is_secret(key);
        // One that starts like a secret's is hidden to be on the safe side.
        assert_eq!(secret, key == "passive_port", "{key}");
    }
    let lines = hide("a: { name: x, key: y }, b: z");
    assert_eq!(lines[0].text, "a: { name: x, key: *** }, b: z");
}

#[test]
fn what_a_terminal_would_obey_is_not_printed() {
    let report = refused("log: { \"\u{1b}[2J\": 1, x\u{202e}y: 2 }\n");
    assert!(!report.contains(['\u{1b}', '\u{202e}']), "{report:?}");
    assert_eq!(
        errors("log: { \"a\\eb\": 1 }"),
        ["unknown key `a\\u{1b}b` in `log`"]
    );
}
