//! PostgreSQL behind the balancer.

use std::net::SocketAddr;

use lb_tests::balancer::{Backend, Balancer, Service};
use lb_tests::network::{Family, Layout, Network};
use lb_tests::postgres::{Postgres, Programs, query, target};
use lb_tests::skip::installed;

const PORT: u16 = 5432;
const CLIENTS: u32 = 8;
const TRANSACTIONS: u32 = 50;

#[test]
fn pgbench_routed_v4() {
    pgbench(Layout::Routed, Family::V4);
}

#[test]
fn pgbench_routed_v6() {
    pgbench(Layout::Routed, Family::V6);
}

/// pgbench fills its tables and runs, all through the balancer; the rows then agree with what it
/// did.
fn pgbench(layout: Layout, family: Family) {
    let find = |program| installed(program, "postgresql");
    let (Some(initdb), Some(postgres), Some(psql), Some(pgbench)) = (
        find("initdb"),
        find("postgres"),
        find("psql"),
        find("pgbench"),
    ) else {
        return;
    };
    let programs = Programs {
        initdb,
        postgres,
        psql,
        pgbench,
    };
    let network = Network::new(layout, 1).unwrap();
    let address = SocketAddr::new(network.server_address(0, family), PORT);
    let _server =
        Postgres::start(&network.servers[0], &programs, address, network.dir.path()).unwrap();
    let listen = network.listen(family, PORT);
    let service = Service::new("pg", [listen]).backend(Backend::new("pg1", address));
    let _balancer = Balancer::start(&network, &[service]).unwrap();

    let bench = |arguments: &[&str]| {
        let program = network.client.program(&programs.pgbench);
        program
            .args(arguments)
            .args(target(listen))
            .arg("postgres")
            .stdout()
            .unwrap()
    };
    let ask = |sql| query(&network.client, &programs.psql, listen, "postgres", sql).unwrap();

    bench(&["--initialize", "--scale=1", "--quiet"]);
    assert_eq!(ask("SELECT count(*) FROM pgbench_accounts"), "100000");

    let (clients, transactions) = (CLIENTS.to_string(), TRANSACTIONS.to_string());
    let load = [
        "--client",
        &clients,
        "--transactions",
        &transactions,
        "--no-vacuum",
    ];
    bench(&load);
    // The same with a connection for every transaction.
    bench(&[&load[..], &["--connect"]].concat());
    let done = (2 * CLIENTS * TRANSACTIONS).to_string();
    assert_eq!(ask("SELECT count(*) FROM pgbench_history"), done);
    let balanced = ask(
        "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history)
            AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(delta) FROM pgbench_history)
            AND (SELECT sum(bbalance) FROM pgbench_branches) = (SELECT sum(delta) FROM pgbench_history)",
    );
    assert_eq!(balanced, "t");
}
