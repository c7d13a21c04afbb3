//! The address that servers see connections come from.

use std::net::{IpAddr, Ipv4Addr};

use lb_tests::balancer::{Backend, Balancer, Lb, LbConfig, Service};
use lb_tests::client::Connection;
use lb_tests::network::{Family, Layout, Network};

use crate::stage::{SERVICE_PORT, Stage, start_servers};

#[test]
fn servers_see_the_address_of_the_interface_towards_them() {
    from_interface(Family::V4);
}

#[test]
fn servers_see_the_address_of_the_interface_towards_them_v6() {
    from_interface(Family::V6);
}

fn from_interface(family: Family) {
    let stage = Stage::new(Layout::Routed, family, 1);
    let address = stage.address;
    let seen = stage.network.client.block_on(async || {
        Connection::open(address)
            .await
            .unwrap()
            .whence()
            .await
            .unwrap()
    });
    assert_eq!(seen.ip(), stage.network.source_address(family));
}

#[test]
fn servers_see_the_configured_address() {
    if Balancer::skip_rival() {
        return;
    }
    let network = Network::new(Layout::Routed, 1).unwrap();
    let servers = start_servers(&network, Family::V4);
    let source = IpAddr::from(Ipv4Addr::new(10, 2, 0, 9));
    network.balancer.add_address("back", source, 32).unwrap();
    let address = network.listen(Family::V4, SERVICE_PORT);
    let backend = Backend::new("s1", servers[0].address());
    let services = [Service::new("app", [address]).backend(backend)];
    let mut config = LbConfig::new(&network, &services);
    let plain = "  xdp_mode: driver\n";
    let with_source = format!("{plain}  nat_source: [\"{source}\"]\n");
    config.text = config.text.replace(plain, &with_source);
    let lb = Lb::start(&network, &config).unwrap();
    lb.wait_settled(&services).unwrap();
    let seen = network.client.block_on(async || {
        Connection::open(address)
            .await
            .unwrap()
            .whence()
            .await
            .unwrap()
    });
    assert_eq!(seen.ip(), source);
    lb.stop().unwrap();
}
