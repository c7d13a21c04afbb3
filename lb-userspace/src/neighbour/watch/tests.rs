use super::*;

const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x11];
const MOVED_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x22];
const ROUTER: &str = "192.0.2.2";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn fixed() -> Route {
    Route::Via {
        ifindex: 2,
        gateway: None,
        source: ip("192.0.2.1"),
    }
}

#[test]
fn a_server_behind_a_router_has_the_routers_mac() {
    let routed = Route::Via {
        ifindex: 2,
        gateway: Some(ip(ROUTER)),
        source: ip("192.0.2.1"),
    };
    let routes = BTreeMap::from([
        (ip("198.51.100.9"), routed),
        (ip("192.0.2.9"), fixed()),
        (ip("203.0.113.1"), Route::None),
        (ip("192.0.2.1"), Route::Local),
    ]);
    let mut hops = NextHops::default();
    let keys = routes
        .iter()
        .filter_map(|(to, route)| next_hop(*to, route))
        .collect();
    hops.follow(&keys);
    let router = HopKey {
        ifindex: 2,
        address: ip(ROUTER),
    };
    let _ = hops.observe(&router, Entry::Answered(SERVER_MAC));

    let network = picture(&BTreeSet::new(), &[], &routes, &hops);
    assert_eq!(network.hops[&ip("198.51.100.9")].mac, Some(SERVER_MAC));
    assert_eq!(
        network.hops[&ip("192.0.2.9")].mac,
        None,
        "its own has not answered"
    );
    assert_eq!(
        network.hops.len(),
        2,
        "no route, and no way to reach oneself"
    );
}

#[test]
fn only_the_interfaces_named_are_links() {
    let link = |index, name: &str, mac| LinkFacts {
        index,
        name: name.to_owned(),
        mac,
        mtu: 1500,
    };
    let links = [
        link(1, "lo", None),
        link(2, "eth0", Some([1; 6])),
        link(3, "eth1", Some([2; 6])),
    ];
    let named = BTreeSet::from(["eth1".to_owned(), "lo".to_owned()]);
    let network = picture(&named, &links, &BTreeMap::new(), &NextHops::default());
    let expected = Link {
        name: "eth1".to_owned(),
        mac: [2; 6],
        mtu: 1500,
    };
    assert_eq!(network.links, BTreeMap::from([(3, expected)]));
}

mod kernel;
