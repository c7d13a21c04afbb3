//! What `lb` says to those who ask the impossible: one clear sentence and the right exit status.

use std::fs;
use std::process::Output;

use lb_tests::balancer::{Backend, Balancer, Lb, LbConfig, Service, find_lb};
use lb_tests::network::{Family, Layout, Network};

use crate::stage::{SERVER_PORT, SERVICE_PORT};

/// A network and a good configuration in a file.
fn prepared() -> (Network, LbConfig) {
    let network = Network::new(Layout::Routed, 1).unwrap();
    let server = std::net::SocketAddr::new(network.server_address(0, Family::V4), SERVER_PORT);
    let service = Service::new("app", [network.listen(Family::V4, SERVICE_PORT)])
        .backend(Backend::new("s1", server));
    let config = LbConfig::new(&network, &[service]);
    fs::write(&config.path, &config.text).unwrap();
    (network, config)
}

fn lb(network: &Network, arguments: &[&str]) -> (i32, String) {
    said(Lb::call(&network.balancer, arguments).unwrap())
}

fn said(output: Output) -> (i32, String) {
    let text = String::from_utf8(output.stderr).unwrap();
    (output.status.code().expect("lb ends by itself"), text)
}

#[test]
fn check_accepts_a_good_configuration() {
    if Balancer::skip_rival() {
        return;
    }
    let (network, config) = prepared();
    let path = config.path.to_str().unwrap();
    let output = Lb::call(&network.balancer, &["check", "-c", path]).unwrap();
    let summary = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(said(output).0, 0, "{summary}");
    let source = network.source_address(Family::V4).to_string();
    assert!(
        summary.contains(&source),
        "names the address servers see: {summary}"
    );
}

#[test]
fn configuration_errors_exit_with_2_and_say_where() {
    if Balancer::skip_rival() {
        return;
    }
    let (network, config) = prepared();
    let bad = config
        .text
        .replace("weight: 1 ", "wieght: 1 ")
        .replace("forward: nat", "forward: mat");
    assert_ne!(bad, config.text);
    fs::write(&config.path, bad).unwrap();
    let path = config.path.to_str().unwrap();
    for command in [["check", "-c", path], ["run", "-c", path]] {
        let (status, text) = lb(&network, &command);
        assert_eq!(status, 2, "{text}");
        assert!(text.contains(&format!("{path}:")), "{text}");
        assert!(text.contains("wieght") && text.contains("weight"), "{text}");
        assert!(text.contains("mat") && text.contains("nat"), "{text}");
    }
    for name in network.interfaces() {
        assert_eq!(network.balancer.xdp(name).unwrap(), None);
    }
}

#[test]
fn server_that_is_this_host_is_refused() {
    if Balancer::skip_rival() {
        return;
    }
    let (network, config) = prepared();
    let server = network.server_address(0, Family::V4).to_string();
    let own = network.source_address(Family::V4).to_string();
    fs::write(&config.path, config.text.replace(&server, &own)).unwrap();
    let (status, text) = lb(&network, &["check", "-c", config.path.to_str().unwrap()]);
    assert_eq!(status, 2, "{text}");
    assert!(text.contains(&own), "{text}");
}

#[test]
fn missing_file_and_wrong_usage_are_one_clear_error() {
    if Balancer::skip_rival() {
        return;
    }
    let (network, config) = prepared();
    let path = config.path.to_str().unwrap();
    let (status, text) = lb(&network, &["run", "-c", "/nonexistent/lb.yaml"]);
    assert!([1, 2].contains(&status), "{status}: {text}");
    assert!(text.contains("/nonexistent/lb.yaml"), "{text}");
    let (status, text) = lb(&network, &["run", "-c", path, "--xdp-mode", "turbo"]);
    assert_eq!(status, 2, "{text}");
    assert!(text.contains("turbo"), "{text}");
}

#[test]
fn missing_interface_is_one_clear_error() {
    if Balancer::skip_rival() {
        return;
    }
    let (network, config) = prepared();
    let path = config.path.to_str().unwrap();
    let (status, text) = lb(&network, &["run", "-c", path, "--iface", "nosuch0"]);
    assert!([1, 2].contains(&status), "{status}: {text}");
    let said: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("nosuch0"))
        .collect();
    assert_eq!(said.len(), 1, "{text}");
    for name in network.interfaces() {
        assert_eq!(network.balancer.xdp(name).unwrap(), None);
    }
}

#[test]
fn missing_privilege_is_one_clear_error() {
    if Balancer::skip_rival() {
        return;
    }
    let (network, config) = prepared();
    // Root's directories may be closed to others.
    let program = network.dir.join("lb");
    fs::copy(find_lb().unwrap(), &program).unwrap();
    let output = network
        .balancer
        .program(program)
        .user("nobody")
        .unwrap()
        .args(["run", "-c"])
        .arg(&config.path)
        .output()
        .unwrap();
    let (status, text) = said(output);
    assert!([1, 2].contains(&status), "{status}: {text}");
    let lower = text.to_lowercase();
    assert!(
        ["root", "privilege", "cap_", "permi"]
            .iter()
            .any(|word| lower.contains(word)),
        "says what is missing: {text}"
    );
    assert!(!text.contains("panicked"), "{text}");
}
