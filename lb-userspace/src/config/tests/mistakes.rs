//! Reports as their readers see them.

use super::{errors, read, refused};

#[test]
fn every_mistake_of_a_file_is_reported_at_once() {
    let report = refused(include_str!("mistakes.yaml"));
    let expected = include_str!("mistakes.txt");
    assert_eq!(
        report,
        expected.trim_end(),
        "the report now is:\n{report}\n"
    );
}

#[test]
fn after_a_syntax_error_the_other_sections_are_still_read() {
    let report = refused(
        r#"
pools:
  - name: a
    servers: [{ name: a, address: 10.0.0.1:80 }
log: { level: loud }
services:
  - name: x
    listen: [2001:db8::10]:5432
    pool: a
dataplane:
	interfaces: a
control: { mode: "x" }
"#,
    );
    let expected = r#"
lb.yaml:5:4: not YAML: illegal placement of ':' indicator
  5 | log: { level: loud }
    |    ^ is the bracket at 4:14 closed?
lb.yaml:5:15: `level` cannot be `loud`
  5 | log: { level: loud }
    |               ^^^^ it is one of error, warn, info, debug, trace
lb.yaml:8:27: not YAML: while parsing a block mapping, did not find expected key
  8 |     listen: [2001:db8::10]:5432
    |                           ^ put IPv6 addresses in quotes: "[2001:db8::1]:5432"
lb.yaml:11:2: not YAML: tabs disallowed within this context (block indentation)
  11 |  interfaces: a
     |  ^ indent with spaces, not tabs
lb.yaml:12:18: `mode: x` is not permission bits
  12 | control: { mode: "x" }
     |                  ^^^ four octal digits, the first 0: "0660"
5 errors"#;
    assert_eq!(report, expected.trim_start());
}

#[test]
fn what_a_syntax_error_swallowed_is_not_called_missing() {
    let errors = errors(
        "services:\n- { name: s, listen: \"192.0.2.1:80\", pool: p }\npools:\n- name: p\n  servers: [\n",
    );
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with("not YAML"), "{errors:?}");
}

#[test]
fn yaml_that_means_something_else_than_it_looks_is_refused() {
    let cases = [
        (
            "log: { level: info }\nlog: {}",
            "the key `log` is here twice",
        ),
        (
            "a: &x {}\nlog:\n  <<: *x",
            "merge keys (`<<`) are not supported",
        ),
        ("log: !!map {}", "YAML tags (`!…`) are not supported"),
        (
            "log: {}\n---\nlog: {}",
            "only one document a file: `---` again",
        ),
        (
            "log: *nowhere",
            "there is no anchor `&nowhere` for this alias",
        ),
        (
            "log: &x { level: *x }",
            "an alias inside the value that it stands for",
        ),
        ("[a]: b", "a key must be a word"),
        ("- a", "a configuration is a map of sections"),
        (
            "control: { mode: 0660 }\nlog: { connections: no }",
            "`connections` is `true` or `false`, not `no`",
        ),
    ];
    for (text, expected) in cases {
        let errors = errors(text);
        assert!(errors.iter().any(|e| e == expected), "{text}: {errors:?}");
    }
}

#[test]
fn an_alias_bomb_is_stopped() {
    let mut text = String::from("x0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for i in 1..20 {
        let aliases = vec![format!("*a{}", i - 1); 9].join(", ");
        text.push_str(&format!("x{i}: &a{i} [{aliases}]\n"));
    }
    let errors = errors(&text);
    let limit = "aliases and variables make the configuration too large";
    assert!(errors.iter().any(|e| e == limit), "{errors:?}");
}

#[test]
fn deep_nesting_is_stopped() {
    let errors = errors(&"[".repeat(100_000));
    assert_eq!(errors, ["not YAML: nested more than 32 deep"]);
}

#[test]
fn an_alias_stands_for_the_value() {
    let loaded = read(
        r#"
defaults:
  check: &fast { interval: 100ms }
services:
  - name: s
    listen: "192.0.2.1:80"
    check: *fast
    servers:
      - { name: a, address: "10.0.0.1:80" }
"#,
    );
    loaded.unwrap();
}

#[test]
fn a_mistake_in_the_defaults_is_reported_once() {
    let errors = errors(
        r#"
defaults: { server: { weight: 300 } }
services:
  - name: s
    listen: "192.0.2.1:80"
    servers:
      - { name: a, address: "10.0.0.1:80" }
      - { name: b, address: "10.0.0.2:80" }
"#,
    );
    assert_eq!(errors, ["`weight` is from 0 to 256, not 300"]);
}

#[test]
fn a_long_line_is_cut_around_the_mistake() {
    let filler = "x".repeat(300);
    let report = refused(&format!(
        "include: [\"{filler}\"]\nlog: {{ format: text, {filler}: 1 }}\n"
    ));
    let line = report.lines().find(|l| l.contains(" | ")).unwrap();
    assert!(line.chars().count() < 200, "{line}");
    assert!(
        line.contains("format: text") && line.ends_with('…'),
        "{line}"
    );
}
