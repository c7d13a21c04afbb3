//! `check:` of each type.

use std::fs;
use std::time::Duration;

use super::{errors, read, refused, with_server};
use crate::config::{Bytes, Check, Kind, Login, Pattern, Probe, Regex, Step, Wanted, show};

/// A configuration whose only server has this check.
fn with_check(keys: &str) -> String {
    with_server(&format!("address: \"10.0.0.1:80\"\n    check: {keys}"))
}

fn probe(keys: &str) -> Probe {
    match &read(&with_check(keys)).unwrap().config.pools[0].servers[0].check {
        Check::Probe(probe) => probe.clone(),
        Check::None => panic!("not probed"),
    }
}

fn wrong(keys: &str) -> Vec<String> {
    errors(&with_check(keys))
}

fn expect(wanted: Wanted, absent: bool) -> Step {
    Step::Expect(Pattern { wanted, absent })
}

#[test]
fn a_script_has_steps() {
    let steps = r#"{ type: script, steps: [
      { connect: { port: 6380 } },
      { send: "PING\r\n" },
      { expect: "+PONG" },
      { expect_regex: "role:(master|active-replica)" },
      { send_hex: "00 ff0D" },
      { expect_hex: "0a" },
      { expect_not: "role:slave" },
      { connect: {} } ] }"#;
    let expected = vec![
        Step::Connect(Some(6380)),
        Step::Send(Bytes(b"PING\r\n".to_vec())),
        expect(Wanted::Text("+PONG".into()), false),
        expect(
            Wanted::Regex(Regex(
                regex::bytes::Regex::new("role:(master|active-replica)").unwrap(),
            )),
            false,
        ),
        Step::Send(Bytes(vec![0, 0xff, 0x0d])),
        expect(Wanted::Hex(vec![0x0a]), false),
        expect(Wanted::Text("role:slave".into()), true),
        Step::Connect(None),
    ];
    assert_eq!(probe(steps).kind, Kind::Script(expected));
}

#[test]
fn mistakes_in_steps_are_named() {
    let wrong = |steps: &str| wrong(&format!("{{ type: script, steps: {steps} }}"));
    assert_eq!(wrong("[]"), ["a script needs at least one step"]);
    assert_eq!(
        errors(&with_check("{ type: script }")),
        ["a check needs `steps`"]
    );
    assert_eq!(
        wrong(r#"[{ send: "a", expect: "b" }]"#),
        ["a step does one thing, and this one has `send` already"]
    );
    assert_eq!(wrong("[{}]"), ["a step does something"]);
    assert_eq!(
        wrong(r#"[{ sned: "a" }]"#),
        ["unknown key `sned` in a step"]
    );
    assert_eq!(wrong(r#"[{ send: "" }]"#), ["`send` is empty"]);
    for digits in ["0", "0g", "+1"] {
        assert_eq!(
            wrong(&format!("[{{ send_hex: \"{digits}\" }}]")),
            ["`send_hex` is pairs of hexadecimal digits"]
        );
    }
    assert_eq!(
        wrong(r#"[{ expect_regex: "a(b" }]"#),
        ["`expect_regex` is no regular expression: unclosed group"]
    );
    assert_eq!(
        wrong("[{ connect: { port: 0 } }]"),
        ["`port` is from 1 to 65535, not 0"]
    );
}

#[test]
fn a_redis_check_may_log_in() {
    let login = |user: Option<&str>| {
        Kind::Redis(Some(Login {
            user: user.map(str::to_owned),
            password: Bytes(b"hunter2".to_vec()),
        }))
    };
    assert_eq!(probe("redis").kind, Kind::Redis(None));
    assert_eq!(
        probe("{ type: redis, password: hunter2 }").kind,
        login(None)
    );
    assert_eq!(
        probe("{ type: redis, user: lb, password: hunter2 }").kind,
        login(Some("lb"))
    );
    let file = std::env::temp_dir().join(format!("lb-password-{}", std::process::id()));
    fs::write(&file, "hunter2\nnot this\n").unwrap();
    let keys = format!("{{ type: redis, password_file: {} }}", file.display());
    let from_file = probe(&keys).kind;
    fs::remove_file(&file).unwrap();
    assert_eq!(from_file, login(None));
    assert_eq!(
        wrong(&keys),
        ["`password_file` cannot be read: No such file or directory (os error 2)"]
    );
    assert_eq!(
        wrong("{ type: redis, user: lb }"),
        ["`user` without a password"]
    );
    assert_eq!(
        wrong("{ type: redis, password: x, password_file: /etc/hostname }"),
        ["a check has `password` or `password_file`, not both"]
    );
}

#[test]
fn keys_of_another_type_are_refused() {
    assert_eq!(
        wrong(r#"{ type: tcp, password: x }"#),
        ["`password` has no effect with `type: tcp`"]
    );
    assert_eq!(
        wrong(r#"{ type: redis, steps: [{ send: "x" }] }"#),
        ["`steps` has no effect with `type: redis`"]
    );
}

#[test]
fn each_state_may_have_its_interval() {
    let millis = Duration::from_millis;
    let all = probe("{ interval: 2s, fast_interval: 500ms, down_interval: 5s, timeout: 400ms }");
    assert_eq!(
        (all.interval, all.fast_interval, all.down_interval),
        (millis(2000), millis(500), millis(5000))
    );
    let plain = probe("{ interval: 3s }");
    assert_eq!(
        (plain.fast_interval, plain.down_interval),
        (millis(3000), millis(3000))
    );
    // Nobody asked for a timeout longer than that.
    assert_eq!(probe("{ fast_interval: 200ms }").timeout, millis(200));
    assert_eq!(
        wrong("{ fast_interval: 200ms, timeout: 1s }"),
        ["`timeout` is longer than `fast_interval`"]
    );
}

#[test]
fn what_is_sent_is_never_shown() {
    let secret = "hunter2";
    for keys in [
        format!("{{ type: redis, user: lb, password: {secret} }}"),
        format!(r#"{{ type: script, steps: [{{ send: "AUTH {secret}" }}, {{ expect: "+OK" }}] }}"#),
    ] {
        let text = with_check(&keys);
        let config = read(&text).unwrap().config;
        let shown = show(&config);
        assert!(!shown.contains(secret), "{shown}");
        assert!(read(&shown).is_ok(), "{shown}");
        assert!(!format!("{config:?}").contains(secret));
        let report = refused(&text.replace("name: s", "nmae: s"));
        assert!(!report.contains(secret), "{report}");
    }
}

#[test]
fn expectations_are_shown_as_they_were_written() {
    let keys = r#"{ type: script, steps: [
      { connect: { port: 6380 } }, { expect: "a\r\n" }, { expect_not: "b" },
      { expect_regex: "^c\\d" }, { expect_hex: "00ff" }, { connect: {} } ] }"#;
    let config = read(&with_check(keys)).unwrap().config;
    let again = read(&show(&config)).unwrap().config;
    assert_eq!(again, config);
}
