//! `${NAME}`.

use super::read_with;

const TEXT: &str = r#"
services:
  - name: ${NAME}
    listen: "${VIP}:${PORT}"
    servers:
      - { name: a, address: ${DB1}, weight: ${WEIGHT}, backup: "${BACKUP}" }
"#;

#[test]
fn variables_are_replaced_in_text_numbers_and_inside_braces() {
    let environment = [
        ("NAME", "pg"),
        ("VIP", "192.0.2.1"),
        ("PORT", "5432"),
        ("DB1", "10.0.0.1:5432"),
        ("WEIGHT", "7"),
        ("BACKUP", "false"),
    ];
    let config = read_with(TEXT, &environment).unwrap().config;
    assert_eq!(config.services[0].name.as_str(), "pg");
    assert_eq!(
        config.services[0].listen,
        ["192.0.2.1:5432".parse().unwrap()]
    );
    let server = &config.pools[0].servers[0];
    assert_eq!(server.address, "10.0.0.1:5432".parse().unwrap());
    assert_eq!(server.weight.as_u16(), 7);
    assert!(!server.backup);
}

#[test]
fn an_unset_variable_is_an_error_at_its_place() {
    let report = read_with("control:\n  group: lb-${GROUP}\n", &[]).unwrap_err();
    let expected = "\
lb.yaml:2:13: the environment variable `GROUP` is not set
  2 |   group: lb-${GROUP}
    |             ^^^^^^^^
1 error";
    assert_eq!(report, expected);
}

#[test]
fn a_value_cannot_bring_structure_with_it() {
    let environment = [("G", "x\nlog: { level: debug }")];
    let report = read_with("control: { group: \"${G}\" }", &environment).unwrap_err();
    assert!(report.contains("`${G}` cannot be a name"), "{report}");
}

#[test]
fn a_reference_that_is_none_is_refused() {
    for text in ["${", "${}", "${A", "${A-b}", "${1}", "x${ A }"] {
        let report = read_with(&format!("control: {{ group: \"{text}\" }}"), &[("A", "x")]);
        let report = report.expect_err(text);
        assert!(
            report.contains("`${` is not followed by a variable's name and `}`"),
            "{report}"
        );
    }
    // A dollar alone is nothing special.
    read_with("control: { socket: \"/run/$A\" }", &[]).unwrap();
}

#[test]
fn a_large_value_used_often_is_stopped() {
    let value = "x".repeat(1 << 20);
    let text = format!("include: [{}]", vec!["\"${V}\""; 100].join(", "));
    let report = read_with(&text, &[("V", &value)]).unwrap_err();
    assert!(report.contains("too large"), "{report}");
}
