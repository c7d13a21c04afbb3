//! Choosing by load, limits, sticks and redispatch, with real servers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use lb_tests::balancer::{Backend, Balancer, Check, Lb, LbConfig, Service};
use lb_tests::client::{Connection, who_answers};
use lb_tests::network::{Family, Layout, Network};
use lb_tests::server::Server;
use lb_tests::wait;
use tokio::time::timeout;

use crate::stage::{SERVICE_PORT, start_servers};

/// A client's SYN is sent again after 1, 3 and 7 s; a busy machine takes longer for everything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A service with keys that only `lb` has. Fields are dropped in this order.
struct Choosing {
    lb: Lb,
    servers: Vec<Server>,
    network: Network,
    address: SocketAddr,
}

/// Servers `s1`, `s2`, ... that nobody probes; `service` and `server` are further keys.
fn choosing(family: Family, servers: usize, service: &str, server: &str) -> Option<Choosing> {
    if Balancer::skip_rival() {
        return None;
    }
    let network = Network::new(Layout::Routed, servers as u16).unwrap();
    let servers = start_servers(&network, family);
    let address = network.listen(family, SERVICE_PORT);
    let mut app = Service::new("app", [address]);
    app.check = Check::None;
    for server in &servers {
        app = app.backend(Backend::new(server.name(), server.address()));
    }
    let services = [app];
    let mut config = LbConfig::new(&network, &services);
    config.text = config
        .text
        .replace("balance: roundrobin", service)
        .replace(", weight: 1", &format!(", weight: 1{server}"));
    let lb = Lb::start(&network, &config).unwrap();
    lb.wait_settled(&services).unwrap();
    Some(Choosing {
        lb,
        servers,
        network,
        address,
    })
}

impl Choosing {
    /// Opens connections one after the other.
    async fn open(&self, count: usize) -> Vec<Connection> {
        let mut connections = Vec::new();
        for _ in 0..count {
            let connection = timeout(PATIENCE, Connection::open(self.address)).await;
            connections.push(connection.expect("in time").unwrap());
        }
        connections
    }

    fn active(&self) -> Vec<u64> {
        let servers = self.lb.servers().unwrap();
        servers
            .iter()
            .map(|server| server.flows.active_flows)
            .collect()
    }

    fn failures(&self, name: &str) -> u64 {
        self.lb.server(name).unwrap().flows.connect_failures_total
    }
}

fn tally(connections: &[Connection]) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for connection in connections {
        *tally.entry(connection.server().to_owned()).or_default() += 1;
    }
    tally
}

#[test]
fn leastconn_fills_up_the_idlest() {
    for family in [Family::V4, Family::V6] {
        let Some(stage) = choosing(family, 3, "balance: leastconn", "") else {
            return;
        };
        stage.network.client.block_on(async || {
            let connections = stage.open(9).await;
            assert!(tally(&connections).values().all(|&count| count == 3));
            // All connections of s2 end; the next ones are its.
            let mut kept = Vec::new();
            for connection in connections {
                if connection.server() == "s2" {
                    connection.close().await.unwrap();
                } else {
                    kept.push(connection);
                }
            }
            wait::until("s2 to be idle", PATIENCE, || {
                (stage.active()[1] == 0).then_some(())
            })
            .unwrap();
            let next = stage.open(3).await;
            assert_eq!(tally(&next), BTreeMap::from([("s2".to_owned(), 3)]));
            assert_eq!(stage.active(), [3, 3, 3]);
        });
    }
}

#[test]
fn first_fills_servers_up_to_maxconn_and_then_waits() {
    let Some(stage) = choosing(Family::V4, 2, "balance: first", ", maxconn: 2") else {
        return;
    };
    stage.network.client.block_on(async || {
        let connections = stage.open(4).await;
        let servers: Vec<_> = connections.iter().map(Connection::server).collect();
        assert_eq!(servers, ["s1", "s1", "s2", "s2"]);
        assert_eq!(stage.active(), [2, 2]);
        // Everything is full: the fifth waits, and gets the place that becomes free.
        let fifth = async {
            let connection = timeout(PATIENCE, Connection::open(stage.address)).await;
            connection.expect("in time").unwrap()
        };
        let free = async {
            let full = || {
                stage
                    .lb
                    .verdict("servers_full")
                    .is_ok_and(|count| count > 0)
            };
            while !full() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let mut connections = connections;
            connections.remove(1).close().await.unwrap();
            connections
        };
        let (fifth, _connections) = tokio::join!(fifth, free);
        assert_eq!(fifth.server(), "s1");
    });
}

#[test]
fn a_full_service_refuses_where_it_shall() {
    let keys = "balance: roundrobin\n    max_flows: 2\n    on_full: reset";
    let Some(stage) = choosing(Family::V6, 2, keys, "") else {
        return;
    };
    stage.network.client.block_on(async || {
        let _connections = stage.open(2).await;
        let refused = timeout(PATIENCE, Connection::open(stage.address)).await;
        assert!(refused.expect("at once").is_err());
        let shown = stage.lb.show("services").unwrap();
        let service = &shown["services"][0];
        assert_eq!(
            (&service["active_flows"], &service["max_flows"]),
            (&2.into(), &2.into())
        );
    });
    assert!(stage.lb.verdict("service_full").unwrap() > 0);
}

#[test]
fn clients_stick_to_their_server() {
    let keys = "balance: roundrobin\n    stick: { source: 10m, size: 1k }";
    let Some(stage) = choosing(Family::V4, 3, keys, "") else {
        return;
    };
    stage.network.client.block_on(async || {
        let first = who_answers(stage.address).await.unwrap();
        for _ in 0..10 {
            assert_eq!(who_answers(stage.address).await.unwrap(), first);
        }
    });
}

/// One server's port is closed: nobody probes it, and no client notices but by a second's delay.
#[test]
fn a_refused_connection_is_made_elsewhere() {
    for family in [Family::V4, Family::V6] {
        let keys = "balance: first\n    redispatch: true";
        let Some(mut stage) = choosing(family, 3, keys, "") else {
            return;
        };
        stage.servers[0].stop();
        let connections = stage.network.client.block_on(async || stage.open(2).await);
        assert_eq!(tally(&connections), BTreeMap::from([("s2".to_owned(), 2)]));
        assert!(stage.failures("s1") >= 2 && stage.failures("s2") == 0);
        assert!(stage.lb.verdict("withheld").unwrap() >= 2);
    }
}

/// One server's machine is gone.
#[test]
fn an_unanswered_connection_is_made_elsewhere() {
    let keys = "balance: first\n    redispatch: true";
    let Some(stage) = choosing(Family::V4, 2, keys, "") else {
        return;
    };
    stage.network.plug_server(0, false).unwrap();
    let connections = stage.network.client.block_on(async || stage.open(1).await);
    assert_eq!(tally(&connections), BTreeMap::from([("s2".to_owned(), 1)]));
    assert!(stage.failures("s1") >= 1);
}

/// Its connections go on; new ones go elsewhere.
#[test]
fn a_server_of_weight_zero_gets_nothing_by_any_choice() {
    for balance in ["leastconn", "source", "maglev", "first", "random"] {
        if Balancer::skip_rival() {
            return;
        }
        let keys = format!("balance: {balance}");
        let network = Network::new(Layout::Routed, 2).unwrap();
        let servers = start_servers(&network, Family::V4);
        let address = network.listen(Family::V4, SERVICE_PORT);
        let app = Service::new("app", [address])
            .backend(Backend::new("s1", servers[0].address()).weight(0))
            .backend(Backend::new("s2", servers[1].address()));
        let services = [app];
        let mut config = LbConfig::new(&network, &services);
        config.text = config.text.replace("balance: roundrobin", &keys);
        let lb = Lb::start(&network, &config).unwrap();
        lb.wait_settled(&services).unwrap();
        network.client.block_on(async || {
            for _ in 0..6 {
                assert_eq!(who_answers(address).await.unwrap(), "s2", "{balance}");
            }
        });
    }
}
