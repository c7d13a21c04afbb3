use std::time::Duration;

use super::*;
use crate::health::machine::{Failure, Finding};
use crate::model::{PoolName, ServerName, Weight};
use crate::neighbour::{Hop, Link};

const CONFIG: &str = r#"
dataplane: { interfaces: [eth0] }
pools:
  - name: pg
    check: { type: tcp, interval: 1s, timeout: 500ms, rise: 2, fall: 3 }
    servers:
      - { name: pg1, address: "10.0.5.10:5432" }
      - { name: pg2, address: "10.0.5.11:5432", enabled: false }
services:
  - { name: rw, listen: "192.0.2.10:5432", pool: pg }
  - { name: other, listen: "192.0.2.11:5432", pool: pg }
"#;

fn config() -> Config {
    let source = config::Source::new("lb.yaml", CONFIG);
    config::parse(vec![source], &|_| None).unwrap().config
}

fn key(server: &str) -> ServerKey {
    ServerKey {
        pool: PoolName::new("pg"),
        server: ServerName::new(server),
    }
}

fn up(since: Instant) -> Status {
    Status {
        health: ServerHealth::Up,
        why: "connected in 0.4 ms (1 of 1)".to_owned(),
        since,
        last: Some(Finding {
            took: Duration::from_micros(1500),
            result: Err(Failure::HostUnreachable),
        }),
        successes: 0,
        failures: 1,
    }
}

fn tally(service: &str, server: &str, number: u64) -> Tally {
    Tally {
        service: ServiceName::new(service),
        server: key(server),
        counts: Counts {
            flows: 2 * number,
            open: number,
            opened_total: 3 * number,
            failed_total: 4 * number,
        },
        stats: Stats {
            packets_in: 10 * number,
            bytes_in: 1000 * number,
            packets_out: 20 * number,
            bytes_out: 2000 * number,
        },
    }
}

#[test]
fn services_count_their_own_members_and_servers_that_take_new_flows() {
    let statuses = [
        (key("pg1"), up(Instant::now())),
        (key("pg2"), up(Instant::now())),
    ];
    let tallies = [
        tally("rw", "pg1", 1),
        tally("rw", "pg2", 2),
        tally("other", "pg1", 100),
    ];
    let active = Active::from([(GaugeOf::Service(ServiceName::new("rw")), 5)]);
    let services = services(&config(), &statuses.into(), &tallies, &active).services;
    let rw = &services[0];
    assert_eq!(
        (rw.name.as_str(), rw.servers_up, rw.servers_total),
        ("rw", 1, 2)
    );
    let flows = FlowCounts {
        open_flows: 3,
        flows: 6,
        flows_opened_total: 9,
        active_flows: 5,
        connect_failures_total: 12,
    };
    assert_eq!(rw.flows, flows);
    assert_eq!((rw.traffic.packets_in, rw.traffic.bytes_out), (30, 6000));
    assert_eq!(services[1].flows.open_flows, 100);
}

#[test]
fn servers_sum_over_services_and_tell_of_their_check_and_way() {
    let now = Instant::now();
    let statuses = [(key("pg1"), up(now))];
    let tallies = [tally("rw", "pg1", 1), tally("other", "pg1", 100)];
    let source = "10.0.5.1".parse().unwrap();
    let hop = Hop {
        ifindex: 3,
        source,
        mac: Some([2, 0, 0, 0, 0, 0xab]),
    };
    let link = Link {
        name: "eth1".to_owned(),
        mac: [2; 6],
        mtu: 1500,
    };
    let network = Network {
        links: [(3, link)].into(),
        hops: [("10.0.5.10".parse().unwrap(), hop)].into(),
    };
    let later = now + Duration::from_millis(7900);
    let active = Active::from([(GaugeOf::Server(key("pg1")), 7)]);
    let servers = servers(
        &config(),
        &statuses.into(),
        &network,
        &tallies,
        &active,
        later,
    )
    .servers;
    let pg1 = &servers[0];
    assert_eq!(
        (pg1.state, pg1.since_seconds, pg1.flows.open_flows),
        (ServerHealth::Up, 7, 101)
    );
    let mac = Some("02:00:00:00:00:ab".to_owned());
    assert_eq!(
        pg1.via,
        Some(Via {
            interface: "eth1".to_owned(),
            mac,
            source
        })
    );
    let check = pg1.check.as_ref().unwrap();
    assert_eq!(
        (check.duration_ms, check.last_ok, check.failures),
        (Some(1.5), Some(false), 1)
    );
    assert_eq!(check.last_result.as_deref(), Some("no route to host"));
    let pg2 = &servers[1];
    assert_eq!(
        (pg2.state, pg2.enabled, &pg2.via),
        (ServerHealth::Down, false, &None)
    );
    assert_eq!(pg2.why, "not checked yet");
    assert_eq!(pg2.weight, Weight::new(1).unwrap().as_u16());
}

#[test]
fn every_reason_is_listed_by_its_number() {
    let drops = drops(&config(), &BTreeMap::new(), u64::from);
    let no_flow = drops
        .drops
        .iter()
        .find(|verdict| verdict.reason == "no_flow")
        .unwrap();
    assert_eq!(no_flow.packets, DropReason::NoFlow as u64);
    assert_eq!(drops.drops.len(), DropReason::ALL.len());
    assert!(
        drops
            .passes
            .iter()
            .any(|verdict| verdict.reason == "no_service")
    );
}

#[test]
fn drops_are_listed_by_service_where_there_are_any() {
    let mut counted = ServiceDrops::default();
    counted.packets[DropReason::NoServer as usize] = 3;
    counted.packets[DropReason::NoFlow as usize] = 1;
    // No reason: nobody counts there.
    counted.packets[0] = 7;
    let services = BTreeMap::from([(ServiceName::new("other"), counted)]);
    let drops = drops(&config(), &services, |_| 0);
    let [rw, other] = &*drops.services else {
        panic!("{:?}", drops.services)
    };
    assert_eq!((&*rw.service, rw.drops.len()), ("rw", 0));
    let reasons: Vec<_> = other
        .drops
        .iter()
        .map(|d| (&*d.reason, d.packets))
        .collect();
    assert_eq!(other.service, "other");
    assert_eq!(reasons, [("no_server", 3), ("no_flow", 1)]);
}
