use lb_userspace::control::protocol::{FlowCounts, Traffic};

use super::*;

fn server(name: &str, state: ServerHealth, packets: u64) -> Server {
    Server {
        pool: "db".to_owned(),
        name: name.to_owned(),
        address: ([10, 0, 0, 1], 1).into(),
        state,
        why: String::new(),
        since_seconds: 0,
        weight: 100,
        backup: false,
        enabled: true,
        maxconn: None,
        flows: FlowCounts {
            open_flows: 1234,
            ..FlowCounts::default()
        },
        traffic: Traffic {
            packets_in: packets,
            packets_out: packets,
            ..Traffic::default()
        },
        via: None,
        check: None,
    }
}

#[test]
fn rates_and_shares_come_from_differences() {
    let sample = |seconds, first, second, requests| Sample {
        at: Duration::from_secs(seconds),
        servers: vec![
            server("db1", ServerHealth::Up, first),
            server("db2", ServerHealth::Down, second),
        ],
        load: Totals {
            requests,
            connections: 0,
            errors: 7,
        },
    };
    let table = sample(12, 1300, 600, 5000).since(&sample(10, 1000, 500, 1000));
    assert_eq!(table.rows[0].packets, 300.0);
    assert_eq!(table.rows[1].packets, 100.0);
    assert_eq!(table.rows[0].share, 0.75);
    assert_eq!(table.requests, 2000.0);
    let lines = table.lines();
    assert!(
        lines[1].contains("1,234") && lines[1].contains("75.0 %"),
        "{lines:?}"
    );
    assert!(lines[2].contains("DOWN"), "{lines:?}");
    assert!(
        table
            .line()
            .contains("db2 DOWN 1234 flows 25 % of 400 packets/s"),
        "{}",
        table.line()
    );
}

/// A line that wraps would spoil the drawing.
#[test]
fn table_fits_a_terminal_of_80_columns() {
    let sample = |seconds, packets| Sample {
        at: Duration::from_secs(seconds),
        servers: vec![server("db1", ServerHealth::Up, packets)],
        load: Totals {
            requests: packets,
            connections: packets,
            errors: 99_999,
        },
    };
    for line in sample(101, 999_999).since(&sample(100, 0)).lines() {
        let visible = line.replace(GREEN, "").replace(RED, "").replace(PLAIN, "");
        // Indented by two.
        assert!(visible.chars().count() <= 78, "{visible}");
    }
}

#[test]
fn no_traffic_is_no_share() {
    let sample = Sample {
        at: Duration::ZERO,
        servers: vec![server("db1", ServerHealth::Up, 5)],
        load: Totals::default(),
    };
    assert_eq!(sample.since(&sample).rows[0].share, 0.0);
}

#[test]
fn numbers_are_easy_to_read() {
    assert_eq!(thousands(0), "0");
    assert_eq!(thousands(999), "999");
    assert_eq!(thousands(1000), "1,000");
    assert_eq!(thousands(1_234_567), "1,234,567");
    assert_eq!(bytes(0.0), "0 B");
    assert_eq!(bytes(1500.0), "1.5 kB");
    assert_eq!(bytes(2.5e6), "2.5 MB");
}
