mod modes;

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use super::*;
use crate::access::Prefix;
use crate::config::{
    Backups, Check, Control, DataPlane, Forward, Kind, Log, LogFormat, LogLevel, Probe, Protocol,
    XdpMode,
};
use crate::health::ServerHealth;
use crate::model::{PoolName, ServerName, ServiceName, Weight};
use crate::neighbour::Link;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

fn server(name: &str, address: &str) -> Server {
    let address: SocketAddr = address.parse().unwrap();
    Server {
        name: ServerName::new(name),
        address,
        weight: Weight::new(100).unwrap(),
        backup: false,
        enabled: true,
        maxconn: None,
        check: Check::Probe(Probe {
            kind: Kind::Tcp,
            target: address,
            interval: Duration::from_secs(1),
            fast_interval: Duration::from_secs(1),
            down_interval: Duration::from_secs(1),
            timeout: Duration::from_millis(500),
            rise: NonZeroU32::MIN,
            fall: NonZeroU32::MIN,
        }),
    }
}

fn nat(address: &str) -> RealKey {
    RealKey {
        address: address.parse().unwrap(),
        mode: Mode::Nat,
    }
}

fn half(service: &str, family: Family) -> ServiceHalf {
    ServiceHalf {
        service: ServiceName::new(service),
        family,
    }
}

fn service(name: &str, pool: &str, listen: &[&str]) -> Service {
    Service {
        name: ServiceName::new(name),
        listen: listen
            .iter()
            .map(|listen| listen.parse().unwrap())
            .collect(),
        protocol: Protocol::Tcp,
        pool: PoolName::new(pool),
        forward: Forward::Nat,
        balance: Balance::RoundRobin,
        stick: None,
        redispatch: false,
        limit: crate::config::Limit {
            max_flows: None,
            on_full: OnFull::Wait,
        },
        idle_timeout: Duration::from_secs(3600),
        access: None,
        new_flows: None,
    }
}

/// Servers a to d at 10.0.5.1 to .4, the last two backups, behind one service.
fn config() -> Config {
    let mut servers: Vec<Server> = ["a", "b", "c", "d"]
        .iter()
        .zip(1..)
        .map(|(name, i)| server(name, &format!("10.0.5.{i}:5432")))
        .collect();
    servers[2].backup = true;
    servers[3].backup = true;
    Config {
        dataplane: DataPlane {
            interfaces: vec!["eth0".into()],
            xdp_mode: XdpMode::Auto,
            flow_capacity: 1024,
            source_ports: 20000..=32767,
            nat_source: NatSource::Auto,
        },
        control: Control {
            socket: "/run/lb/control.sock".into(),
            mode: 0o660,
            group: None,
        },
        log: Log {
            connections: false,
            level: LogLevel::Info,
            format: LogFormat::Text,
        },
        pools: vec![Pool {
            name: PoolName::new("pg"),
            servers,
            backups: Backups::First,
        }],
        services: vec![service("pg-rw", "pg", &["192.0.2.10:5432"])],
    }
}

fn key(server: &str) -> ServerKey {
    ServerKey {
        pool: PoolName::new("pg"),
        server: ServerName::new(server),
    }
}

fn up(servers: &[&str]) -> HealthView {
    let mut health = HealthView::default();
    for server in servers {
        health.servers.insert(key(server), ServerHealth::Up);
    }
    health.servers.insert(key("ghost"), ServerHealth::Down);
    health
}

fn network() -> Network {
    let link = Link {
        name: "eth0".into(),
        mac: MAC,
        mtu: 1500,
    };
    let hop = Hop {
        ifindex: 3,
        source: "10.0.5.254".parse().unwrap(),
        mac: Some(SERVER_MAC),
    };
    Network {
        links: [(3, link)].into(),
        hops: (1..=4)
            .map(|i| (IpAddr::from([10, 0, 5, i]), hop.clone()))
            .collect(),
    }
}

fn new_flows_go_to(config: &Config, health: &HealthView) -> String {
    let state = desired(config, health, &network());
    let ring = &state.services[&half("pg-rw", Family::V4)].ring;
    ring.shares
        .keys()
        .map(|key| key.server.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn servers_that_are_up_get_new_flows() {
    let config = config();
    assert_eq!(new_flows_go_to(&config, &up(&["a", "b", "c", "d"])), "a b");
    assert_eq!(new_flows_go_to(&config, &up(&["b", "c"])), "b");
    assert_eq!(new_flows_go_to(&config, &up(&[])), "");
}

#[test]
fn the_first_backup_takes_over_when_no_other_is_up() {
    let mut config = config();
    assert_eq!(new_flows_go_to(&config, &up(&["c", "d"])), "c");
    assert_eq!(new_flows_go_to(&config, &up(&["d"])), "d");
    config.pools[0].backups = Backups::All;
    assert_eq!(new_flows_go_to(&config, &up(&["c", "d"])), "c d");
    assert_eq!(new_flows_go_to(&config, &up(&["a", "c", "d"])), "a");
}

#[test]
fn what_is_drained_counts_as_gone() {
    let mut config = config();
    config.pools[0].servers[0].enabled = false;
    assert_eq!(new_flows_go_to(&config, &up(&["a", "b", "c"])), "b");
    config.pools[0].servers[1].weight = Weight::new(0).unwrap();
    assert_eq!(new_flows_go_to(&config, &up(&["a", "b", "c"])), "c");
    config.pools[0].servers[2].enabled = false;
    assert_eq!(new_flows_go_to(&config, &up(&["a", "b", "c", "d"])), "d");
}

#[test]
fn a_server_without_a_check_is_up_whatever_the_health_view_says() {
    let mut config = config();
    config.pools[0].servers[0].check = Check::None;
    assert_eq!(new_flows_go_to(&config, &up(&[])), "a");
}

#[test]
fn a_server_that_gets_no_new_flows_keeps_its_place() {
    let config = config();
    let [none, all] =
        [up(&[]), up(&["a", "b", "c", "d"])].map(|health| desired(&config, &health, &network()));
    assert_eq!(none.reals, all.reals);
    let members = |state: &DesiredState| state.services[&half("pg-rw", Family::V4)].members.clone();
    assert_eq!(members(&none), members(&all));
    assert_eq!(members(&none).len(), 4);
}

#[test]
fn weights_and_algorithm_decide_the_ring() {
    let mut config = config();
    config.pools[0].servers[1].weight = Weight::new(7).unwrap();
    config.services[0].balance = Balance::Maglev(Hash::Tuple);
    let state = desired(&config, &up(&["a", "b"]), &network());
    let ring = &state.services[&half("pg-rw", Family::V4)].ring;
    assert_eq!(ring.shares, [(key("a"), 100), (key("b"), 7)].into());
    assert_eq!(ring.algorithm.pick(), Pick::HashTuple);
    // The table's length follows the pool and not what is up, or every failure would move everyone.
    let fewer = desired(&config, &up(&["a"]), &network());
    assert_eq!(
        fewer.services[&half("pg-rw", Family::V4)].ring.algorithm,
        ring.algorithm
    );
}

#[test]
fn a_server_is_reached_by_its_next_hop() {
    let state = desired(&config(), &up(&[]), &network());
    let real = &state.reals[&nat("10.0.5.1:5432")];
    let way = real.way.unwrap();
    let bytes: Vec<u8> = way
        .ethernet
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect();
    assert_eq!(bytes, [SERVER_MAC, MAC].concat());
    assert_eq!((way.ifindex, way.mtu), (3, 1500));
    let port = state.ports[&3];
    assert_eq!(port.mac_head.to_ne_bytes(), MAC[..4]);
    assert_eq!(port.mac_tail.to_ne_bytes(), MAC[4..]);
    assert_eq!((port.known, port.mtu), (1, 1500));
}

#[test]
fn a_next_hop_that_does_not_answer_leaves_the_server_without_a_way() {
    let mut network = network();
    network
        .hops
        .get_mut(&IpAddr::from([10, 0, 5, 1]))
        .unwrap()
        .mac = None;
    network.hops.remove(&IpAddr::from([10, 0, 5, 2]));
    let state = desired(&config(), &up(&[]), &network);
    let real = |i: u8| &state.reals[&nat(&format!("10.0.5.{i}:5432"))];
    assert_eq!(real(1).way, None);
    assert_eq!(real(1).sources.len(), 1);
    assert_eq!(real(2).way, None);
    assert!(real(2).sources.is_empty());
}

#[test]
fn connections_come_from_the_address_towards_the_server() {
    let state = desired(&config(), &up(&[]), &network());
    let sources = &state.reals[&nat("10.0.5.1:5432")].sources;
    let [source] = sources[..] else {
        panic!("{sources:?}")
    };
    assert_eq!(wire::ip(source.addr), IpAddr::from([10, 0, 5, 254]));
    assert_eq!((source.port_low, source.port_high), (20000, 32767));
}

#[test]
fn connections_come_from_the_addresses_of_the_servers_family_that_were_configured() {
    let mut config = config();
    let addresses = ["10.0.5.100", "2001:db8::100", "10.0.5.101"].map(|a| a.parse().unwrap());
    config.dataplane.nat_source = NatSource::Addresses(addresses.to_vec());
    config.pools[0]
        .servers
        .push(server("six", "[2001:db8::1]:5432"));
    let listen = "[2001:db8::10]:5432".parse().unwrap();
    config.services[0].listen.push(listen);
    let state = desired(&config, &up(&[]), &network());
    let sources = |address: &str| -> Vec<IpAddr> {
        let real = &state.reals[&nat(address)];
        real.sources
            .iter()
            .map(|source| wire::ip(source.addr))
            .collect()
    };
    assert_eq!(sources("10.0.5.1:5432"), [addresses[0], addresses[2]]);
    assert_eq!(sources("[2001:db8::1]:5432"), [addresses[1]]);
}

#[test]
fn every_listening_address_is_there_and_its_address_marked() {
    let mut config = config();
    config.services = vec![
        service("one", "pg", &["192.0.2.10:5432", "192.0.2.10:6432"]),
        service("two", "pg", &["[2001:db8::10]:5432"]),
    ];
    let state = desired(&config, &up(&["a"]), &network());
    let one = &state.services[&half("one", Family::V4)];
    let keys: Vec<_> = one
        .listen
        .iter()
        .map(|key| (wire::ip(key.addr), u16::from_be(key.port), key.protocol))
        .collect();
    let v4 = IpAddr::from([192, 0, 2, 10]);
    assert_eq!(keys.len(), 2);
    assert!(keys.contains(&(v4, 5432, 6)) && keys.contains(&(v4, 6432, 6)));
    assert_eq!(state.marks, [v4, "2001:db8::10".parse().unwrap()].into());
    // Both services use the same servers.
    assert_eq!(state.reals.len(), 4);
}

#[test]
fn a_timeout_is_rounded_up_to_ticks_and_fits_the_clock() {
    assert_eq!(ticks(Duration::ZERO), 0);
    assert_eq!(ticks(Duration::from_nanos(1)), 1);
    assert_eq!(ticks(Duration::from_secs(60)), lb_common::time::ticks(60));
    assert_eq!(ticks(Duration::MAX), u32::MAX / 2);
}

#[test]
fn there_is_room_for_every_ring_three_times() {
    let mut config = config();
    assert_eq!(ring_slots(&config), RING_SLOTS);
    config.services[0].balance = Balance::Maglev(Hash::Tuple);
    config.services = vec![config.services[0].clone(); 100];
    assert_eq!(ring_slots(&config), 3 * 100 * maglev::table_len(4));
}

#[test]
fn what_a_service_says_about_new_flows() {
    let mut config = config();
    let alone = |config: &Config, up_servers: &[&str]| {
        let state = desired(config, &up(up_servers), &Network::default());
        let name = config.services[0].name.as_str();
        state.services[&half(name, Family::V4)].clone()
    };
    let plain = alone(&config, &["a", "b"]);
    assert_eq!(plain.policy, Policy::default());
    assert!(plain.maxconn.is_empty());
    config.services[0].redispatch = true;
    config.services[0].limit = crate::config::Limit {
        max_flows: NonZeroU32::new(9),
        on_full: OnFull::Reset,
    };
    config.services[0].stick = Some(crate::config::Stick {
        source: Duration::from_secs(60),
        size: 1_000,
    });
    config.pools[0].servers[1].maxconn = NonZeroU32::new(5);
    let two = alone(&config, &["a", "b"]);
    let expected = Policy {
        max_flows: 9,
        reset_when_full: true,
        stick: lb_common::time::ticks(60),
        redispatches: 1,
    };
    assert_eq!(two.policy, expected);
    let name = config.services[0].name.as_str();
    assert_eq!(two.maxconn.values().copied().collect::<Vec<_>>(), [5]);
    assert_eq!(sticks(&config), 1_000, "{name}");
    // With nobody to go to, the client is told.
    assert_eq!(alone(&config, &["a"]).policy.redispatches, 0);
}

#[test]
fn rings_in_the_order_of_the_configuration() {
    let mut config = config();
    config.pools[0].servers.swap(0, 1);
    for (balance, algorithm) in [
        (Balance::First, Algorithm::First),
        (Balance::LeastConn, Algorithm::LeastFlows),
        (Balance::Random, Algorithm::Random),
    ] {
        config.services[0].balance = balance;
        let state = desired(&config, &up(&["a", "b"]), &Network::default());
        let ring = &state.services.values().next().unwrap().ring;
        let order: Vec<_> = ring.order.iter().map(|key| key.server.as_str()).collect();
        assert_eq!((order, ring.algorithm), (vec!["b", "a"], algorithm));
    }
}

#[test]
fn a_service_on_both_families_has_a_ring_for_each() {
    let mut config = config();
    config.services[0]
        .listen
        .push("[2001:db8::10]:5432".parse().unwrap());
    config.pools[0]
        .servers
        .push(server("e", "[2001:db8:5::1]:5432"));
    let state = desired(
        &config,
        &up(&["a", "b", "c", "d", "e"]),
        &Network::default(),
    );
    let name = config.services[0].name.as_str();
    let servers = |family| -> Vec<String> {
        let half = &state.services[&half(name, family)];
        assert_eq!(half.listen.len(), 1);
        half.ring
            .shares
            .keys()
            .map(|key| key.server.to_string())
            .collect()
    };
    assert_eq!(servers(Family::V4), ["a", "b"]);
    assert_eq!(servers(Family::V6), ["e"]);
}

#[test]
fn an_access_list_is_for_the_families_that_it_restricts() {
    let mut config = config();
    let prefix = Prefix::host(IpAddr::from([10, 6, 6, 6]));
    config.services[0].access = Some(Arc::new(AccessList {
        allow: None,
        deny: vec![prefix],
    }));
    config.services[0].listen = vec![
        "192.0.2.1:80".parse().unwrap(),
        "[2001:db8::1]:80".parse().unwrap(),
    ];
    config.pools[0]
        .servers
        .push(server("v6", "[2001:db8::2]:80"));
    let state = desired(&config, &HealthView::default(), &Network::default());
    let lists: Vec<bool> = state
        .services
        .values()
        .map(|s| s.access.is_some())
        .collect();
    assert_eq!(lists, [true, false]);
}

#[test]
fn limits_are_told_in_nanoseconds() {
    let mut config = config();
    let new_flows = |text: &str| {
        let text = format!(
            "services: [{{ name: s, listen: \"192.0.2.1:80\", servers: [{{ name: a, address: \
             \"10.0.0.1:80\" }}], new_flows: {text} }}]"
        );
        let source = crate::config::Source::new("lb.yaml", &text);
        let config = crate::config::parse(vec![source], &|_| None)
            .unwrap()
            .config;
        config.services[0].new_flows
    };
    let mut limit = |text: &str| {
        config.services[0].new_flows = new_flows(text);
        let state = desired(&config, &HealthView::default(), &Network::default());
        state.services.values().next().unwrap().limit
    };
    let expected = Limit {
        interval: 10_000_000,
        burst: 2_000_000_000,
        ban: 120_000_000_000,
    };
    assert_eq!(
        limit("{ per_source: 100/s, burst: 200, ban: 2m }"),
        expected
    );
    // The largest that can be written down.
    let longest = limit("{ per_source: 1/h, burst: 1000000, ban: 576h }");
    assert_eq!(longest.burst / longest.interval, 1_000_000);
    assert!(u64::MAX - longest.burst > longest.burst);
}
