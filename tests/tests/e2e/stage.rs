//! What most tests start from: a network, servers of ours, and the balancer in front of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use lb_tests::balancer::{Backend, Balancer, Check, Lb, Service};
use lb_tests::client::who_answers;
use lb_tests::network::{Family, Layout, Network};
use lb_tests::server::Server;

/// Where clients connect.
pub(crate) const SERVICE_PORT: u16 = 80;
/// Where servers listen: another port, so that both must be translated.
pub(crate) const SERVER_PORT: u16 = 8000;

/// Running servers behind a running balancer. Fields are dropped in this order.
pub(crate) struct Stage {
    pub(crate) balancer: Balancer,
    pub(crate) servers: Vec<Server>,
    pub(crate) network: Network,
    pub(crate) address: SocketAddr,
}

impl Stage {
    /// Servers `s1`, `s2`, ... in turn.
    pub(crate) fn new(layout: Layout, family: Family, servers: usize) -> Self {
        Self::with(layout, family, servers, |service| service)
    }

    /// The same with changes to the service.
    pub(crate) fn with(
        layout: Layout,
        family: Family,
        servers: usize,
        change: impl FnOnce(Service) -> Service,
    ) -> Self {
        Self::on(
            Network::new(layout, servers as u16).unwrap(),
            family,
            change,
        )
    }

    /// The same on a network that is there already.
    pub(crate) fn on(
        network: Network,
        family: Family,
        change: impl FnOnce(Service) -> Service,
    ) -> Self {
        let servers = start_servers(&network, family);
        let address = network.listen(family, SERVICE_PORT);
        let mut service = Service::new("app", [address]);
        for server in &servers {
            service = service.backend(Backend::new(server.name(), server.address()));
        }
        let balancer = Balancer::start(&network, &[change(service)]).unwrap();
        Self {
            balancer,
            servers,
            network,
            address,
        }
    }

    /// The names of the servers that answered `count` connections, one after the other.
    pub(crate) fn answers(&self, count: usize) -> BTreeMap<String, usize> {
        let address = self.address;
        self.network.client.block_on(async || {
            let mut tally = BTreeMap::new();
            for _ in 0..count {
                *tally
                    .entry(who_answers(address).await.unwrap())
                    .or_default() += 1;
            }
            tally
        })
    }

    /// The balancer, where it is `lb`.
    pub(crate) fn lb(&self) -> &Lb {
        match &self.balancer {
            Balancer::Lb(lb) => lb,
            Balancer::HaProxy(_) => panic!("only for lb"),
        }
    }

    /// Waits until the balancer has found that server `name` is gone, or is back.
    pub(crate) fn wait_noticed(&self, name: &str, up: bool) {
        self.balancer.wait_noticed(name, up, Check::QUICK).unwrap();
    }
}

/// One server of ours in each of the network's server namespaces.
pub(crate) fn start_servers(network: &Network, family: Family) -> Vec<Server> {
    let start = |(index, namespace)| {
        let address = SocketAddr::new(network.server_address(index, family), SERVER_PORT);
        Server::start(namespace, &format!("s{}", index + 1), address).unwrap()
    };
    network.servers.iter().enumerate().map(start).collect()
}
