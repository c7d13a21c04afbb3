//! What an operator sees of connections: those that have ended, in the log, and those that are open.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use lb_tests::balancer::{Backend, Balancer, Lb, LbConfig, Service};
use lb_tests::client::Connection;
use lb_tests::network::{Family, Layout, Network};
use lb_tests::redis::Redis;
use lb_tests::skip::installed;
use lb_tests::wait;
use serde_json::Value;

use crate::stage::{SERVICE_PORT, Stage, start_servers};

const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes that Redis is asked to send back.
const ECHO: usize = 3_000_000;

/// A configuration that logs connections, as JSON.
fn logging(network: &Network, services: &[Service]) -> LbConfig {
    let mut config = LbConfig::new(network, services);
    let text = config.text.replace(
        "log: { level: debug }",
        "log: { level: info, format: json, connections: true }",
    );
    assert_ne!(text, config.text);
    config.text = text;
    config
}

/// The lines for connections from `client`, as soon as there is one.
fn lines(lb: &mut Lb, client: SocketAddr) -> Vec<Value> {
    let client = client.to_string();
    wait::until("the connection's line", PATIENCE, || {
        let log = lb.process().log();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let closed = |line: &Value| line["message"] == "connection closed";
        let lines: Vec<_> = lines
            .filter(|line| closed(line) && line["client"] == *client)
            .collect();
        (!lines.is_empty()).then_some(lines)
    })
    .unwrap()
}

#[test]
fn a_redis_connection_is_one_line_and_right_to_the_byte_v4() {
    redis(Family::V4);
}

#[test]
fn a_redis_connection_is_one_line_and_right_to_the_byte_v6() {
    redis(Family::V6);
}

fn redis(family: Family) {
    let Some(program) = installed("redis-server", "redis-server") else {
        return;
    };
    if Balancer::skip_rival() {
        return;
    }
    let network = Network::new(Layout::Routed, 1).unwrap();
    let listen = network.listen(family, 6379);
    let address = SocketAddr::new(network.server_address(0, family), 6380);
    let dir = network.dir.join("redis");
    let _redis = Redis::start(&network.servers[0], &program, address, &dir).unwrap();
    let services = [Service::new("cache", [listen]).backend(Backend::new("r1", address))];
    let mut lb = Lb::start(&network, &logging(&network, &services)).unwrap();
    lb.wait_settled(&services).unwrap();

    let request = format!("*2\r\n$4\r\nECHO\r\n${ECHO}\r\n{}\r\n", "x".repeat(ECHO));
    let answer = format!("${ECHO}\r\n").len() + ECHO + 2;
    let client = network.client.run(|| {
        let mut stream = TcpStream::connect(listen).unwrap();
        let client = stream.local_addr().unwrap();
        let mut reader = stream.try_clone().unwrap();
        let reading = std::thread::spawn(move || {
            let mut received = vec![0; answer];
            reader.read_exact(&mut received).unwrap();
        });
        stream.write_all(request.as_bytes()).unwrap();
        reading.join().unwrap();
        // Redis closes when the client has.
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        client
    });
    let closed = lines(&mut lb, client);
    assert_eq!(closed.len(), 1, "{closed:?}");
    let line = &closed[0];
    let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
    assert_eq!(text("vip"), listen.to_string());
    assert_eq!(text("server"), address.to_string());
    assert_eq!(text("server_name"), "cache/r1");
    assert_eq!(text("service"), "cache");
    assert_eq!(text("reason"), "fin");
    let nat_source: SocketAddr = text("nat_source").parse().unwrap();
    assert_eq!(nat_source.ip(), network.source_address(family));
    assert!((20_000..=32_767).contains(&nat_source.port()), "{line}");
    assert_eq!(line["bytes_in"], request.len(), "{line}");
    assert_eq!(line["bytes_out"], answer, "{line}");
    assert!(line["packets_in"].as_u64() > Some(10), "{line}");
    assert!(line["duration_ms"].as_u64() < Some(60_000), "{line}");
    let told = lb.show("info").unwrap();
    assert_eq!(told["connection_log"]["lost"], 0, "{told}");
    lb.stop().unwrap();
}

/// Who ended it is said; what is still to be said at the end is.
#[test]
fn the_log_says_how_connections_ended() {
    if Balancer::skip_rival() {
        return;
    }
    let network = Network::new(Layout::Routed, 1).unwrap();
    let mut servers = start_servers(&network, Family::V4);
    let listen = network.listen(Family::V4, SERVICE_PORT);
    let services =
        [Service::new("app", [listen]).backend(Backend::new("s1", servers[0].address()))];
    let config = logging(&network, &services);
    let mut lb = Lb::start(&network, &config).unwrap();
    lb.wait_settled(&services).unwrap();
    let client = network.client.run(|| {
        let stream = TcpStream::connect(listen).unwrap();
        let client = stream.local_addr().unwrap();
        // Closed with something unread, a connection is reset (RFC 2525, section 2.17).
        assert_eq!(stream.peek(&mut [0]).unwrap(), 1);
        client
    });
    assert_eq!(lines(&mut lb, client)[0]["reason"], "client_reset");
    // Before the check finds out, connections are refused.
    servers[0].stop();
    let refused = network.client.run(|| TcpStream::connect(listen));
    assert_eq!(
        refused.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionRefused
    );
    let log = config.log.clone();
    lb.stop().unwrap();
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("\"reason\":\"refused\""), "{log}");
}

#[test]
fn flows_are_found_by_what_is_asked_of_them() {
    if Balancer::skip_rival() {
        return;
    }
    let stage = Stage::new(Layout::Routed, Family::V4, 2);
    let address = stage.address;
    let socket = stage.network.dir.join("control.sock");
    let socket = socket.to_str().unwrap().to_owned();
    let show = |options: &[&str]| {
        let mut arguments = vec!["show", "flows", "--socket", &socket];
        arguments.extend(options);
        Lb::call(&stage.network.balancer, &arguments).unwrap()
    };
    let found = |options: &[&str]| {
        let mut json = options.to_vec();
        json.push("--json");
        let output = show(&json);
        assert!(output.status.success(), "{output:?}");
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let flows = document["flows"].as_array().unwrap();
        assert_eq!(document["shown"], flows.len());
        // The table for people has the same rows below its heading.
        let table = String::from_utf8(show(options).stdout).unwrap();
        let rows = table
            .lines()
            .skip(1)
            .filter(|line| !line.starts_with("the first"));
        assert_eq!(rows.count(), flows.len(), "{table}");
        flows.clone()
    };
    stage.network.client.block_on(async || {
        let mut open = Vec::new();
        for _ in 0..4 {
            open.push(Connection::open(address).await.unwrap());
        }
        for name in ["s1", "s2"] {
            let server = format!("app/{name}");
            let flows = found(&["--server", &server, "--state", "open"]);
            assert_eq!(flows.len(), 2);
            for flow in flows {
                assert_eq!(flow["server_name"], server);
                assert_eq!(flow["service"], "app");
                let client: SocketAddr = flow["client"].as_str().unwrap().parse().unwrap();
                let mine = open.iter().find(|mine| mine.local().unwrap() == client);
                assert_eq!(mine.unwrap().server(), name);
            }
        }
        let client = open[0].local().unwrap().ip().to_string();
        let network = "10.0.0.0/8";
        assert_eq!(found(&["--service", "app", "--client", &client]).len(), 4);
        assert_eq!(found(&["--client", network, "--state", "open"]).len(), 4);
        assert_eq!(found(&["--client", "203.0.113.0/24"]).len(), 0);
        assert_eq!(found(&["--state", "reset"]).len(), 0);
        assert_eq!(found(&["--older-than", "1h"]).len(), 0);
        assert_eq!(found(&["--older-than", "0s", "--state", "open"]).len(), 4);
        assert_eq!(found(&["--limit", "3"]).len(), 3);
        for connection in open {
            connection.close().await.unwrap();
        }
    });
    for (options, said, status) in [
        (["--service", "nosuch"], "there is no service `nosuch`", 1),
        (["--server", "s1"], "there is no server `s1`", 1),
        (["--state", "opne"], "there is no state `opne`", 1),
        (["--client", "10.0.0.1/8"], "10.0.0.0/8 is the network", 2),
        (["--older-than", "5"], "has no unit", 2),
    ] {
        let output = show(&options);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(said), "{options:?}: {error}");
        assert_eq!(output.status.code(), Some(status), "{error}");
    }
}
