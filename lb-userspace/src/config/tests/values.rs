//! Single values: what is taken, what is refused and with which words.

use std::time::Duration;

use super::{REST, errors, read, refused, warnings, with_server, with_service};
use crate::config::duration::{self, DurationError};

#[test]
fn durations() {
    for (text, millis) in [
        ("250ms", 250),
        ("2s", 2_000),
        ("5m", 300_000),
        ("24h", 86_400_000),
        ("1m30s", 90_000),
        ("1h1m1s1ms", 3_661_001),
        ("90s", 90_000),
        ("0s", 0),
    ] {
        assert_eq!(
            duration::parse(text),
            Ok(Duration::from_millis(millis)),
            "{text}"
        );
    }
    for text in [
        "", "s", "-5s", "+5s", "1.5s", "2 s", " 2s", "2s ", "30s1m", "1s1s", "1m30", "١s",
    ] {
        assert_eq!(
            duration::parse(text),
            Err(DurationError::Malformed),
            "{text:?}"
        );
    }
    for text in ["2", "2000", "0"] {
        assert_eq!(duration::parse(text), Err(DurationError::NoUnit), "{text}");
    }
    for (text, unit) in [
        ("2sec", "sec"),
        ("1d", "d"),
        ("5M", "M"),
        ("5S", "S"),
        ("7µs", "µs"),
    ] {
        assert_eq!(
            duration::parse(text),
            Err(DurationError::UnknownUnit(unit.to_owned()))
        );
    }
    for text in [
        "99999999999999999999s",
        "18446744073709551615h",
        "6000000000000h",
    ] {
        assert_eq!(duration::parse(text), Err(DurationError::TooLong), "{text}");
    }
}

#[test]
fn durations_are_shown_as_they_are_written() {
    for text in ["250ms", "2s", "5m", "24h", "1m30s", "1h1m1s1ms", "0s"] {
        assert_eq!(duration::show(duration::parse(text).unwrap()), text);
    }
}

#[test]
fn a_duration_without_unit_says_what_to_write() {
    let report = refused(&with_service("idle_timeout: 90"));
    assert!(
        report.contains("`idle_timeout: 90` has no unit"),
        "{report}"
    );
    assert!(
        report.contains("^^ write 90s for seconds, 90ms for milliseconds"),
        "{report}"
    );
}

#[test]
fn durations_have_bounds() {
    for (value, ok) in [
        ("1s", true),
        ("999ms", false),
        ("576h", true),
        ("576h1ms", false),
    ] {
        let result = read(&with_service(&format!("idle_timeout: {value}")));
        assert_eq!(result.is_ok(), ok, "{value}");
    }
    let check = |keys: &str| {
        with_server(&format!(
            "address: \"10.0.0.1:80\"\n    check: {{ {keys} }}"
        ))
    };
    for (keys, ok) in [
        ("interval: 10ms", true),
        ("interval: 9ms", false),
        ("interval: 24h", true),
        ("interval: 25h", false),
        ("interval: 1s, timeout: 1s", true),
        ("interval: 1s, timeout: 1001ms", false),
        ("timeout: 2s", true),
        ("timeout: 3s", false),
        ("timeout: 0s", false),
        ("rise: 1, fall: 1000", true),
        ("rise: 0", false),
        ("fall: 1001", false),
        ("port: 0", false),
        ("port: 65536", false),
    ] {
        assert_eq!(read(&check(keys)).is_ok(), ok, "{keys}");
    }
}

#[test]
fn whole_numbers() {
    let weight =
        |value: &str| with_server(&format!("address: \"10.0.0.1:80\"\n    weight: {value}"));
    for value in ["0", "1", "256", "007"] {
        read(&weight(value)).unwrap();
    }
    for (value, error) in [
        ("257", "`weight` is from 0 to 256, not 257"),
        ("-1", "`weight` is from 0 to 256, not -1"),
        (
            "99999999999999999999",
            "`weight` is from 0 to 256, not 99999999999999999999",
        ),
        ("1.5", "`weight` is a whole number, not `1.5`"),
        ("1e2", "`weight` is a whole number, not `1e2`"),
        ("0x10", "`weight` is a whole number, not `0x10`"),
        ("+1", "`weight` is a whole number, not `+1`"),
        ("1_0", "`weight` is a whole number, not `1_0`"),
        ("heavy", "`weight` is a whole number, not `heavy`"),
        ("\"10\"", "`weight` is a whole number, not text"),
        ("[10]", "`weight` is a whole number, not a list"),
        ("", "`weight` has no value"),
        ("~", "`weight` has no value"),
    ] {
        assert_eq!(errors(&weight(value)), [error], "{value}");
    }
}

#[test]
fn booleans_are_true_and_false_and_nothing_else() {
    for value in ["yes", "no", "on", "True", "TRUE", "1", "\"true\"", "[true]"] {
        let text = with_server(&format!("address: \"10.0.0.1:80\"\n    backup: {value}"));
        let errors = errors(&text);
        assert_eq!(errors.len(), 1, "{value}: {errors:?}");
        assert!(
            errors[0].starts_with("`backup` is `true` or `false`"),
            "{errors:?}"
        );
    }
}

#[test]
fn addresses() {
    let address = |value: &str| with_server(&format!("address: {value}"));
    for value in ["10.0.0.1:80", "\"10.0.0.1:65535\"", "169.254.1.1:1"] {
        read(&address(value)).unwrap();
    }
    let v6 = address("\"[2001:db8::2]:80\"").replace("192.0.2.1:80", "[2001:db8::1]:80");
    read(&v6).unwrap();
    for (value, why) in [
        ("10.0.0.1", "the port is missing"),
        ("\"[2001:db8::1]\"", "the port is missing"),
        ("10.0.0.1:0", "a port is from 1 to 65535"),
        ("10.0.0.1:65536", "a port is from 1 to 65535"),
        ("10.0.0.1:+80", "a port is from 1 to 65535"),
        ("\"10.0.0.1:\"", "a port is from 1 to 65535"),
        ("10.0.0.1:http", "a port is from 1 to 65535"),
        ("10.0.0.300:80", "this is not an IP address"),
        ("010.0.0.1:80", "this is not an IP address"),
        ("10.0.1:80", "this is not an IP address"),
        ("\"[2001:db8::g]:80\"", "this is not an IP address"),
        ("\"[10.0.0.1]:80\"", "this is not an IP address"),
        ("\"\"", "the port is missing"),
        (
            "2001:db8::1:80",
            "an IPv6 address with a port needs brackets",
        ),
        ("db1:80", "host names are not supported yet"),
        ("db1.example.com", "host names are not supported yet"),
        ("localhost:80", "host names are not supported yet"),
        ("0.0.0.0:80", "this stands for no address in particular"),
        ("\"[::]:80\"", "this stands for no address in particular"),
        ("224.0.0.1:80", "this is a multicast address"),
        ("\"[ff02::1]:80\"", "this is a multicast address"),
        ("255.255.255.255:80", "this is the broadcast address"),
        ("\"[::ffff:10.0.0.1]:80\"", "an IPv4 address in IPv6 form"),
        (
            "\"[fe80::1]:80\"",
            "this is a link-local address: it means nothing without an interface",
        ),
        (
            "\"[fe80::1%eth0]:80\"",
            "addresses with a zone (`%`) are not supported",
        ),
        (
            "127.0.0.1:80",
            "this is a loopback address: XDP does not see traffic inside a host",
        ),
        (
            "\"[::1]:80\"",
            "this is a loopback address: XDP does not see traffic inside a host",
        ),
    ] {
        let shown = value.trim_matches('"');
        assert_eq!(
            errors(&address(value)),
            [format!("`address: {shown}`: {why}")],
            "{value}"
        );
    }
    let report = refused(&address("\"[::ffff:10.0.0.1]:80\""));
    assert!(report.contains("^^ write 10.0.0.1\n"), "{report}");
}

#[test]
fn an_unquoted_star_says_to_quote_it() {
    let report = refused(&REST.replace("\"192.0.2.1:80\"", "*:80"));
    assert!(
        report.contains("text that starts with `*` needs quotes: \"*:80\""),
        "{report}"
    );
}

#[test]
fn names_can_be_typed_on_a_command_line() {
    for name in ["a", "pg-1", "a.b_c", "1", "\"2\"", "true"] {
        read(&REST.replace("name: a", &format!("name: {name}"))).unwrap();
    }
    for name in [
        "\"\"",
        "a/b",
        "\"a b\"",
        "-a",
        "ä",
        "\"a\\n\"",
        &"x".repeat(65),
        "[]",
        "~",
    ] {
        let errors = errors(&REST.replace("name: a", &format!("name: {name}")));
        assert_eq!(errors.len(), 1, "{name}: {errors:?}");
    }
}

#[test]
fn data_plane_settings() {
    for (keys, expected) in [
        (
            "flow_capacity: 1023",
            Some("`flow_capacity` is from 1024 to 16777216, not 1023"),
        ),
        ("flow_capacity: 1024", None),
        ("flow_capacity: 16777216", None),
        (
            "flow_capacity: 16777217",
            Some("`flow_capacity` is from 1024 to 16777216, not 16777217"),
        ),
        ("source_ports: 1024-65535", None),
        ("source_ports: 5000-5000", None),
        (
            "source_ports: 1023-2000",
            Some("`source_ports: 1023-2000` starts below 1024"),
        ),
        (
            "source_ports: 2000-1999",
            Some("`source_ports: 2000-1999` ends before it starts"),
        ),
        (
            "source_ports: 2000-65536",
            Some("`source_ports: 2000-65536`: a port is at most 65535"),
        ),
        (
            "source_ports: 2000",
            Some("`source_ports: 2000` is not a range of ports"),
        ),
        (
            "source_ports: [2000, 3000]",
            Some("`source_ports` is a range of ports such as 20000-32767, not a list"),
        ),
        ("interfaces: eth0", None),
        ("interfaces: [eth0.100, br-lan]", None),
        (
            "interfaces: [sixteen-letters-]",
            Some("`sixteen-letters-` cannot be the name of an interface"),
        ),
        (
            "interfaces: [a/b]",
            Some("`a/b` cannot be the name of an interface"),
        ),
        (
            "interfaces: [eth0, eth0]",
            Some("the interface `eth0` is here twice"),
        ),
        ("xdp_mode: native", Some("`xdp_mode` cannot be `native`")),
        ("nat_source: auto", None),
        ("nat_source: 10.0.0.9", None),
        ("nat_source: []", Some("`nat_source` names no address")),
        (
            "nat_source: [10.0.0.9, 10.0.0.9]",
            Some("this address is in `nat_source` twice"),
        ),
        (
            "nat_source: \"10.0.0.9:80\"",
            Some("`nat_source: 10.0.0.9:80`: a port has no place here"),
        ),
        (
            "nat_source: \"2001:db8::1\"",
            Some("`nat_source` has no IPv4 address, and there are IPv4 servers"),
        ),
        (
            "nat_source: 10.0.0.1",
            Some("`nat_source` has the address of a server"),
        ),
    ] {
        let text = format!("dataplane: {{ {keys} }}{REST}");
        match expected {
            None => drop(read(&text).unwrap()),
            Some(error) => assert_eq!(errors(&text), [error], "{keys}"),
        }
    }
}

#[test]
fn control_settings() {
    for (keys, expected) in [
        ("mode: 0600", None),
        ("mode: \"0660\"", None),
        ("mode: 660", Some("`mode: 660` is not permission bits")),
        (
            "mode: \"0880\"",
            Some("`mode: 0880` is not permission bits"),
        ),
        ("mode: u+rw", Some("`mode: u+rw` is not permission bits")),
        ("socket: lb.sock", Some("`socket` is an absolute path")),
        ("group: \"a b\"", Some("`a b` cannot be a name")),
    ] {
        let text = format!("control: {{ {keys} }}{REST}");
        match expected {
            None => drop(read(&text).unwrap()),
            Some(error) => assert_eq!(errors(&text), [error], "{keys}"),
        }
    }
    let long = format!("control: {{ socket: /{} }}{REST}", "x".repeat(107));
    assert_eq!(
        errors(&long),
        ["the path of a socket has at most 107 bytes"]
    );
    assert_eq!(
        warnings(&format!("control: {{ mode: \"0666\" }}{REST}")),
        ["with this mode every user of the host can control lb"]
    );
}
