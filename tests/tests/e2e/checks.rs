//! Health checks that talk, against real servers.

use std::net::SocketAddr;
use std::time::Duration;

use lb_tests::balancer::{Backend, Balancer, Check, Lb, LbConfig, SLACK, Service};
use lb_tests::netns::Namespace;
use lb_tests::network::{Family, Layout, Network};
use lb_tests::redis::{Redis, RedisClient};
use lb_tests::skip::installed;

const PORT: u16 = 6379;
const PASSWORD: &str = "open sesame";

/// Two Redis servers that want [`PASSWORD`], and `lb` with `check` in the place of its plain one.
struct Stage {
    // Dropped in this order.
    lb: Lb,
    servers: Vec<Redis>,
    network: Network,
}

impl Stage {
    /// `None`, and the test reported as skipped, where it cannot run. `first` is done to the servers
    /// before the balancer looks at them.
    fn new(check: &str, first: impl Fn(&Network, &[Redis])) -> Option<Self> {
        let server = installed("redis-server", "redis-server")?;
        if Balancer::skip_rival() {
            return None;
        }
        let network = Network::new(Layout::Routed, 2).unwrap();
        let mut service = Service::new("redis", [network.listen(Family::V4, PORT)]);
        let mut servers = Vec::new();
        for (index, namespace) in network.servers.iter().enumerate() {
            let name = format!("redis{}", index + 1);
            let address = SocketAddr::new(network.server_address(index, Family::V4), PORT);
            let dir = network.dir.join(&name);
            let redis = Redis::start(namespace, &server, address, &dir).unwrap();
            tell(
                namespace,
                &redis,
                &["CONFIG", "SET", "masterauth", PASSWORD],
            );
            tell(
                namespace,
                &redis,
                &["CONFIG", "SET", "requirepass", PASSWORD],
            );
            servers.push(redis);
            service = service.backend(Backend::new(&name, address));
        }
        first(&network, &servers);
        let mut config = LbConfig::new(&network, &[service]);
        config.text = config.text.replace("type: tcp", check);
        assert!(config.text.contains(check), "{}", config.text);
        let lb = Lb::start(&network, &config).unwrap();
        Some(Self {
            lb,
            servers,
            network,
        })
    }

    fn tell(&self, server: usize, command: &[&str]) {
        let namespace = &self.network.servers[server];
        tell_with(namespace, &self.servers[server], PASSWORD, command);
    }

    fn wait(&self, name: &str, state: &str) {
        let limit = Check::QUICK.reaction().max(Check::QUICK.recovery()) + SLACK;
        self.lb.wait_state(name, state, limit).unwrap();
    }

    /// Waits until the last probe of `name` ended so.
    fn wait_last(&self, name: &str, text: &str) {
        let limit = Duration::from_secs(10);
        lb_tests::wait::until(text, limit, || {
            let server = self.lb.server(name).ok()?;
            let check = server.check?;
            (check.last_result.as_deref()?.contains(text)).then_some(())
        })
        .unwrap_or_else(|error| panic!("{error:#}\n{}", self.lb.account()));
    }
}

fn tell(namespace: &Namespace, redis: &Redis, command: &[&str]) {
    let mut client = namespace
        .run(|| RedisClient::connect(redis.address()))
        .unwrap();
    client.call(command).unwrap();
}

fn tell_with(namespace: &Namespace, redis: &Redis, password: &str, command: &[&str]) {
    let mut client = namespace
        .run(|| RedisClient::connect(redis.address()))
        .unwrap();
    client.call(&["AUTH", password]).unwrap();
    client.call(command).unwrap();
}

#[test]
fn redis_check_logs_in_and_says_why_it_could_not() {
    let check = format!("type: redis, password: \"{PASSWORD}\"");
    let Some(stage) = Stage::new(&check, |_, _| {}) else {
        return;
    };
    stage.wait("redis1", "up");
    stage.wait("redis2", "up");
    stage.wait_last("redis1", "answered PONG");

    stage.tell(1, &["CONFIG", "SET", "requirepass", "something else"]);
    stage.wait("redis2", "down");
    stage.wait_last("redis2", "AUTH wanted +OK, got \"-WRONGPASS");
    stage.wait("redis1", "up");
    assert!(!stage.lb.account().contains(PASSWORD));

    let redis = &stage.servers[1];
    let put_back = ["CONFIG", "SET", "requirepass", PASSWORD];
    tell_with(
        &stage.network.servers[1],
        redis,
        "something else",
        &put_back,
    );
    stage.wait("redis2", "up");
}

/// What HAProxy's users write as tcp-check: only the primary is up, and that changes.
#[test]
fn script_check_finds_the_primary() {
    let check = format!(
        "type: script, steps: [{{ send: \"AUTH '{PASSWORD}'\\r\\n\" }}, {{ expect: \"+OK\" }}, \
         {{ send: \"PING\\r\\n\" }}, {{ expect: \"+PONG\" }}, \
         {{ send: \"INFO replication\\r\\n\" }}, {{ expect_regex: \"role:(master|active-replica)\" }}, \
         {{ send: \"QUIT\\r\\n\" }}, {{ expect: \"+OK\" }}]"
    );
    let replica = |network: &Network, servers: &[Redis]| {
        let primary = servers[0].address();
        let (ip, port) = (primary.ip().to_string(), primary.port().to_string());
        tell_with(
            &network.servers[1],
            &servers[1],
            PASSWORD,
            &["REPLICAOF", &ip, &port],
        );
    };
    let Some(stage) = Stage::new(&check, replica) else {
        return;
    };
    stage.wait("redis1", "up");
    stage.wait("redis2", "down");
    stage.wait_last(
        "redis2",
        "step 6 wanted /role:(master|active-replica)/, got",
    );

    stage.tell(1, &["REPLICAOF", "NO", "ONE"]);
    let address = stage.servers[1].address();
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    stage.tell(0, &["REPLICAOF", &ip, &port]);
    stage.wait("redis2", "up");
    stage.wait("redis1", "down");
}
