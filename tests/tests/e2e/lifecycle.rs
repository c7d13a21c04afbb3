//! Start, stop and death of `lb`.

use std::time::Duration;

use lb_tests::balancer::{Backend, Balancer, Lb, LbConfig, Service};
use lb_tests::netns::XdpMode;
use lb_tests::network::{Family, Layout, Network};
use lb_tests::wait;
use serde_json::Value;

use crate::stage::{SERVICE_PORT, Stage, start_servers};

/// The kernel takes a dead process apart in its own time.
const TEARDOWN: Duration = Duration::from_secs(5);

#[test]
fn sigterm_leaves_no_program_attached() {
    if Balancer::skip_rival() {
        return;
    }
    let Stage {
        balancer, network, ..
    } = Stage::new(Layout::Routed, Family::V4, 1);
    let Balancer::Lb(lb) = balancer else { return };
    assert_eq!(attached(&network), [Some(XdpMode::Driver); 2]);
    lb.stop().unwrap();
    assert_eq!(attached(&network), [None; 2]);
}

#[test]
fn sigkill_leaves_no_program_attached_and_lb_starts_again() {
    if Balancer::skip_rival() {
        return;
    }
    let network = Network::new(Layout::Routed, 1).unwrap();
    let servers = start_servers(&network, Family::V4);
    let service = Service::new("app", [network.listen(Family::V4, SERVICE_PORT)])
        .backend(Backend::new("s1", servers[0].address()));
    let services = [service];
    let config = LbConfig::new(&network, &services);
    let mut lb = Lb::start(&network, &config).unwrap();
    lb.wait_settled(&services).unwrap();
    lb.process().kill().unwrap();
    wait::until("the program to be gone", TEARDOWN, || {
        (attached(&network) == [None; 2]).then_some(())
    })
    .unwrap();

    // The control socket's file is still there.
    assert!(config.socket.exists());
    std::fs::remove_file(&config.log).unwrap();
    let lb = Lb::start(&network, &config).unwrap();
    lb.wait_settled(&services).unwrap();
    lb.stop().unwrap();
    assert!(
        !config.socket.exists(),
        "the control socket goes with an orderly end"
    );
}

/// What scripts rely on in `lb show --json`.
#[test]
fn show_counts_what_happened() {
    if Balancer::skip_rival() {
        return;
    }
    let stage = Stage::new(Layout::Routed, Family::V4, 2);
    assert_eq!(stage.answers(10).values().sum::<usize>(), 10);

    let services = stage.lb().show("services").unwrap();
    let service = &services["services"][0];
    assert_eq!(service["name"], "app");
    assert_eq!(service["servers_up"], 2);
    assert_eq!(service["flows_opened_total"], 10);
    assert_eq!(service["open_flows"], 0, "all were closed in order");
    let servers = stage.lb().show("servers").unwrap();
    for server in servers["servers"].as_array().unwrap() {
        assert_eq!(server["state"], "up", "{server}");
        assert_eq!(server["flows_opened_total"], 5, "{server}");
        assert!(server["packets_in"].as_u64() >= Some(5 * 4), "{server}");
        assert!(server["packets_out"].as_u64() >= Some(5 * 4), "{server}");
    }
    let flows = stage.lb().show("flows").unwrap();
    let flow = &flows["flows"][0];
    let server_name = flow["server_name"].as_str().unwrap();
    assert!(["app/s1", "app/s2"].contains(&server_name), "{flow}");
    assert_eq!(flow["vip"], stage.address.to_string());
    let info = stage.lb().show("info").unwrap();
    let modes = info["interfaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["mode"].clone());
    assert_eq!(modes.collect::<Vec<Value>>(), ["driver", "driver"]);
    assert!(stage.lb().verdict("no_flow").is_ok());
}

fn attached(network: &Network) -> Vec<Option<XdpMode>> {
    network
        .interfaces()
        .iter()
        .map(|name| network.balancer.xdp(name).unwrap())
        .collect()
}
