//! How a service forwards, and what that makes of its servers.

use super::*;
use crate::config::Forward;

fn forwarding(name: &str, listen: &[&str], forward: Forward) -> Service {
    Service {
        forward,
        ..service(name, "pg", listen)
    }
}

fn real(address: &str, mode: Mode) -> RealKey {
    RealKey {
        address: address.parse().unwrap(),
        mode,
    }
}

#[test]
fn a_server_that_is_forwarded_to_in_two_modes_is_two() {
    let mut config = config();
    config.services = vec![
        forwarding("one", &["192.0.2.10:5432"], Forward::Nat),
        forwarding("two", &["192.0.2.10:6432"], Forward::Dnat),
        forwarding("three", &["192.0.2.10:7432"], Forward::Dnat),
    ];
    let state = desired(&config, &up(&["a"]), &network());
    assert_eq!(state.reals.len(), 8);
    let member = |name: &str| state.services[&half(name, Family::V4)].members[&key("a")];
    assert_eq!(member("one"), real("10.0.5.1:5432", Mode::Nat));
    assert_eq!(member("two"), real("10.0.5.1:5432", Mode::Dnat));
    assert_eq!(member("three"), member("two"));
    let way = |name| state.reals[&member(name)].way;
    assert!(way("one").is_some());
    assert_eq!(way("one"), way("two"));
}

#[test]
fn a_server_that_sees_the_clients_has_no_source_addresses() {
    for (forward, sources) in [
        (Forward::Nat, 1),
        (Forward::Dnat, 0),
        (Forward::Dsr, 0),
        // Where the tunnel begins.
        (Forward::Ipip, 1),
        (Forward::Gue, 1),
    ] {
        let mut config = config();
        config.services[0].forward = forward;
        let state = desired(&config, &up(&["a"]), &network());
        let real = &state.reals[&real("10.0.5.1:5432", forward.mode())];
        assert_eq!(real.sources.len(), sources, "{forward:?}");
    }
}

#[test]
fn only_a_tunnel_reaches_servers_of_the_other_family() {
    for (forward, expected) in [
        (Forward::Nat, [vec!["a", "b"], vec!["e"]]),
        (Forward::Dnat, [vec!["a", "b"], vec!["e"]]),
        (Forward::Dsr, [vec!["a", "b"], vec!["e"]]),
        (Forward::Ipip, [vec!["a", "b", "e"], vec!["a", "b", "e"]]),
        (Forward::Gue, [vec!["a", "b", "e"], vec!["a", "b", "e"]]),
    ] {
        let mut config = config();
        config.services = vec![forwarding(
            "both",
            &["192.0.2.10:5432", "[2001:db8::10]:5432"],
            forward,
        )];
        let six = server("e", "[2001:db8:5::1]:5432");
        config.pools[0].servers.push(six);
        let health = up(&["a", "b", "c", "d", "e"]);
        let state = desired(&config, &health, &Network::default());
        let servers = [Family::V4, Family::V6].map(|family| {
            let half = &state.services[&half("both", family)];
            let shares = half.ring.shares.keys();
            assert!(shares.clone().all(|key| half.members.contains_key(key)));
            shares.map(|key| key.server.to_string()).collect::<Vec<_>>()
        });
        assert_eq!(servers, expected, "{forward:?}");
    }
}
