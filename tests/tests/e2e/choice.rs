//! Which server a new connection goes to.

use lb_tests::client::who_answers;
use lb_tests::network::{Family, Layout, Network};

use crate::stage::{SERVICE_PORT, Stage};

#[test]
fn round_robin_gives_each_server_its_turn() {
    weighted(Family::V4, &[1, 1, 1], 31);
}

#[test]
fn round_robin_gives_each_server_its_turn_v6() {
    weighted(Family::V6, &[1, 1, 1], 31);
}

#[test]
fn round_robin_shares_by_weight() {
    weighted(Family::V4, &[5, 2, 1], 80);
}

#[test]
fn weight_zero_gets_nothing() {
    weighted(Family::V4, &[1, 0, 1], 20);
}

#[test]
fn addresses_of_a_service_share_its_turns() {
    let network = Network::new(Layout::Routed, 2).unwrap();
    let second = network.listen(Family::V4, SERVICE_PORT + 1);
    let stage = Stage::on(network, Family::V4, |mut service| {
        service.listen.push(second);
        service
    });
    let addresses = [stage.address, second];
    let servers = stage.network.client.block_on(async || {
        let mut servers = Vec::new();
        for address in addresses.repeat(5) {
            servers.push(who_answers(address).await.unwrap());
        }
        servers
    });
    let (first, second) = (&servers[0], &servers[1]);
    assert_ne!(first, second);
    for pair in servers.chunks(2) {
        assert_eq!(pair, [first.as_str(), second.as_str()], "{servers:?}");
    }
}

/// Each server gets its share of `connections`, exact to one.
fn weighted(family: Family, weights: &[u16], connections: usize) {
    let stage = Stage::with(Layout::Routed, family, weights.len(), |mut service| {
        for (backend, &weight) in service.backends.iter_mut().zip(weights) {
            backend.weight = weight;
        }
        service
    });
    let tally = stage.answers(connections);
    let sum: u16 = weights.iter().sum();
    for (server, &weight) in stage.servers.iter().zip(weights) {
        let got = tally.get(server.name()).copied().unwrap_or(0) as f64;
        let share = connections as f64 * f64::from(weight) / f64::from(sum);
        assert!(
            (got - share).abs() <= 1.0,
            "{} should have {share}: {tally:?}",
            server.name()
        );
        assert!(
            weight > 0 || got == 0.0,
            "weight 0 got something: {tally:?}"
        );
    }
}
