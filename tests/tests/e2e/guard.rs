//! Who may connect, and how often.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lb_tests::balancer::{Backend, Balancer, Lb, LbConfig, Service};
use lb_tests::client::{Connect, Connection};
use lb_tests::network::{ETH, Family, Layout, Network};
use lb_tests::server::Server;

use crate::stage::{SERVICE_PORT, start_servers};

/// Bytes each way: some thousand packets.
const BULK: u64 = 4 << 20;

/// A balancer whose service has further keys, and a client with two addresses.
struct Guarded {
    lb: Lb,
    _servers: Vec<Server>,
    network: Network,
    address: SocketAddr,
    /// The client's addresses.
    good: IpAddr,
    bad: IpAddr,
}

/// An address beside the client's own: for IPv6 in another /64.
fn beside(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => std::net::Ipv4Addr::from_bits(v4.to_bits() + 1).into(),
        IpAddr::V6(v6) => std::net::Ipv6Addr::from_bits(v6.to_bits() ^ 1 << 64).into(),
    }
}

impl Guarded {
    /// `keys` is told the address of the client that is to be kept out.
    fn start(family: Family, keys: impl FnOnce(IpAddr) -> String) -> Self {
        let network = Network::new(Layout::Routed, 2).unwrap();
        let servers = start_servers(&network, family);
        let good = network.client_address(family);
        let bad = beside(good);
        let length = if family == Family::V4 { 32 } else { 128 };
        network.client.add_address(ETH, bad, length).unwrap();
        let address = network.listen(family, SERVICE_PORT);
        let mut service = Service::new("app", [address]);
        for server in &servers {
            service = service.backend(Backend::new(server.name(), server.address()));
        }
        let services = [service];
        let mut config = LbConfig::new(&network, &services);
        let plain = "    balance: roundrobin\n";
        assert!(config.text.contains(plain), "{}", config.text);
        config.text = config
            .text
            .replace(plain, &format!("{plain}    {}\n", keys(bad)));
        let lb = Lb::start(&network, &config).unwrap();
        lb.wait_settled(&services).unwrap();
        Self {
            lb,
            _servers: servers,
            network,
            address,
            good,
            bad,
        }
    }

    /// Connects from one of the client's addresses.
    async fn connect(&self, from: IpAddr, patience: Duration) -> io::Result<Connection> {
        let from = Some(SocketAddr::new(from, 0));
        Connect { from, patience }.to(self.address).await
    }

    /// How often something was counted, for the service and altogether.
    fn dropped(&self, reason: &str) -> u64 {
        let shown = self.lb.show("drops").unwrap();
        let of_service = shown["services"][0]["drops"].as_array().unwrap();
        let of_service = of_service.iter().find(|entry| entry["reason"] == reason);
        let of_service = of_service.map_or(0, |entry| entry["packets"].as_u64().unwrap());
        assert_eq!(self.lb.verdict(reason).unwrap(), of_service, "{shown}");
        of_service
    }
}

#[test]
fn who_is_denied_is_refused_at_once_and_others_are_served() {
    denied(Family::V4);
}

#[test]
fn who_is_denied_is_refused_at_once_and_others_are_served_v6() {
    denied(Family::V6);
}

fn denied(family: Family) {
    if Balancer::skip_rival() {
        return;
    }
    let lb = Guarded::start(family, |bad| format!("deny: [\"{bad}\"]"));
    lb.network.client.block_on(async || {
        let error = lb.connect(lb.bad, Duration::from_secs(10)).await;
        let error = error.expect_err("was served");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{error}");
        let mut connection = lb.connect(lb.good, Duration::from_secs(10)).await.unwrap();
        connection.stream(BULK, BULK, 7).await.unwrap();
    });
    assert!(lb.dropped("access_denied") >= 1);
    lb.lb.stop().unwrap();
}

#[test]
fn who_is_not_allowed_is_refused() {
    if Balancer::skip_rival() {
        return;
    }
    let lb = Guarded::start(Family::V4, |bad| {
        // The longer prefix decides.
        format!("allow: [0.0.0.0/0]\n    deny: [{bad}]")
    });
    lb.network.client.block_on(async || {
        let error = lb.connect(lb.bad, Duration::from_secs(10)).await;
        assert_eq!(
            error.expect_err("was served").kind(),
            io::ErrorKind::ConnectionRefused
        );
        lb.connect(lb.good, Duration::from_secs(10)).await.unwrap();
    });
    lb.lb.stop().unwrap();
}

#[test]
fn who_connects_too_often_is_banned_and_others_are_served() {
    banned(Family::V4);
}

#[test]
fn who_connects_too_often_is_banned_and_others_are_served_v6() {
    banned(Family::V6);
}

fn banned(family: Family) {
    if Balancer::skip_rival() {
        return;
    }
    const BURST: usize = 20;
    let lb = Guarded::start(family, |_| {
        format!("new_flows: {{ per_source: 1/h, burst: {BURST}, ban: 1h }}")
    });
    lb.network.client.block_on(async || {
        let patient = Duration::from_secs(10);
        let mut first = lb.connect(lb.bad, patient).await.unwrap();
        first.start_echo().await.unwrap();
        for _ in 1..BURST {
            lb.connect(lb.bad, patient).await.unwrap().reset().unwrap();
        }
        assert_eq!(lb.dropped("source_limit"), 0);
        // Long enough for a SYN to be sent again.
        let error = lb.connect(lb.bad, Duration::from_millis(2_500)).await;
        let error = error.expect_err("was served");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        assert_eq!(lb.dropped("source_limit"), 1);
        assert!(lb.dropped("source_banned") >= 1);
        // What is open goes on, and others are served.
        first.round_trip(b"still here").await.unwrap();
        let mut other = lb.connect(lb.good, patient).await.unwrap();
        other.stream(BULK, BULK, 7).await.unwrap();
    });
    let shown = lb.lb.show("bans").unwrap();
    let [ban] = &**shown["bans"].as_array().unwrap() else {
        panic!("{shown}")
    };
    let source = match lb.bad {
        IpAddr::V4(v4) => format!("{v4}/32"),
        IpAddr::V6(v6) => {
            let network = v6.to_bits() >> 64 << 64;
            format!("{}/64", std::net::Ipv6Addr::from_bits(network))
        }
    };
    assert_eq!(
        (&ban["service"], &ban["source"]),
        (&"app".into(), &source.into())
    );
    let left = ban["seconds_left"].as_f64().unwrap();
    assert!((3_000.0..=3_600.1).contains(&left), "{left}");
    lb.lb.stop().unwrap();
}
