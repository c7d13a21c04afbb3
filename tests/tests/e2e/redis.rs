//! Redis behind the balancer.

use std::net::SocketAddr;
use std::path::Path;
use std::thread::scope;

use lb_tests::balancer::{Backend, Balancer, Service};
use lb_tests::network::{Family, Layout, Network};
use lb_tests::redis::{Redis, RedisClient, Value};
use lb_tests::skip::installed;

const PORT: u16 = 6379;
const REQUESTS: u64 = 30_000;
const MESSAGES: usize = 200;

#[test]
fn redis_benchmark_and_subscriber_routed_v4() {
    redis(Layout::Routed, Family::V4);
}

#[test]
fn redis_benchmark_and_subscriber_routed_v6() {
    redis(Layout::Routed, Family::V6);
}

#[test]
fn redis_benchmark_and_subscriber_one_arm() {
    redis(Layout::OneArm, Family::V4);
}

/// A subscriber gets every message, in order, while redis-benchmark runs; then every one of the
/// benchmark's requests has reached a server.
fn redis(layout: Layout, family: Family) {
    let (Some(server), Some(benchmark)) = (
        installed("redis-server", "redis-server"),
        installed("redis-benchmark", "redis-tools"),
    ) else {
        return;
    };
    let network = Network::new(layout, 2).unwrap();
    let listen = network.listen(family, PORT);
    let mut service = Service::new("redis", [listen]);
    let mut servers = Vec::new();
    for (index, namespace) in network.servers.iter().enumerate() {
        let name = format!("redis{}", index + 1);
        let address = SocketAddr::new(network.server_address(index, family), PORT);
        let dir = network.dir.join(&name);
        servers.push(Redis::start(namespace, &server, address, &dir).unwrap());
        service = service.backend(Backend::new(&name, address));
    }
    let _balancer = Balancer::start(&network, &[service]).unwrap();

    let mut subscriber = network.client.run(|| RedisClient::connect(listen)).unwrap();
    let subscribed = subscriber.call(&["SUBSCRIBE", "news"]).unwrap();
    assert_eq!(subscribed, message("subscribe", Value::Integer(1)));

    scope(|scope| {
        let load = scope.spawn(|| run_benchmark(&network, &benchmark, listen));
        let mut publishers: Vec<RedisClient> = network
            .servers
            .iter()
            .zip(&servers)
            .map(|(namespace, redis)| namespace.run(|| RedisClient::connect(redis.address())))
            .collect::<Result<_, _>>()
            .unwrap();
        let mut number = 0;
        // Over the whole time that the benchmark takes.
        while number < MESSAGES || !load.is_finished() {
            let text = format!("message {number}");
            let reached = publishers
                .iter_mut()
                .map(|publisher| publisher.call(&["PUBLISH", "news", &text]).unwrap());
            assert_eq!(
                reached.filter(|r| *r == Value::Integer(1)).count(),
                1,
                "one subscriber"
            );
            assert_eq!(
                subscriber.receive().unwrap(),
                message("message", Value::Text(text))
            );
            number += 1;
        }
        load.join().unwrap();
    });

    for command in ["get", "set"] {
        let calls = network
            .servers
            .iter()
            .zip(&servers)
            .map(|(namespace, redis)| {
                let mut client = namespace
                    .run(|| RedisClient::connect(redis.address()))
                    .unwrap();
                calls(&client.call(&["INFO", "commandstats"]).unwrap(), command)
            });
        let calls: Vec<u64> = calls.collect();
        assert_eq!(calls.iter().sum::<u64>(), REQUESTS, "{command}: {calls:?}");
        assert!(
            calls.iter().all(|&calls| calls > 0),
            "both servers work: {calls:?}"
        );
    }
}

fn run_benchmark(network: &Network, program: &Path, address: SocketAddr) {
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    let requests = REQUESTS.to_string();
    let report = network
        .client
        .program(program)
        .args([
            "-h", &ip, "-p", &port, "-n", &requests, "-c", "50", "-t", "get,set", "--csv",
        ])
        .stdout()
        .unwrap();
    assert!(
        report.contains("\"GET\"") && report.contains("\"SET\""),
        "{report}"
    );
}

fn message(kind: &str, content: Value) -> Value {
    let [kind, channel] = [kind, "news"].map(|text| Value::Text(text.to_owned()));
    Value::Array(vec![kind, channel, content])
}

/// How often `INFO commandstats` says that `command` was called.
fn calls(stats: &Value, command: &str) -> u64 {
    let Value::Text(stats) = stats else {
        panic!("no text: {stats:?}")
    };
    let prefix = format!("cmdstat_{command}:calls=");
    let found = stats
        .lines()
        .find_map(|line| line.strip_prefix(&prefix)?.split(',').next());
    found.map_or(0, |count| count.parse().unwrap())
}
