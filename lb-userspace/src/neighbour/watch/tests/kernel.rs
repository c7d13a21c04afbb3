//! Against the kernel, in network namespaces of the tests' own.

use std::fs;
use std::os::fd::AsRawFd;
use std::sync::mpsc;

use nix::sched::{CloneFlags, unshare};
use rtnetlink::{Handle, LinkUnspec, LinkVeth};

use super::*;

const V4: &str = "192.0.2.9";
const V6: &str = "2001:db8::9";

#[test]
fn next_hops_are_resolved_and_followed_when_they_move() {
    in_namespace(
        "next_hops_are_resolved_and_followed_when_they_move",
        async || {
            let host = Host::start().await;
            let (watch, mut reports) =
                Watch::new(["veth0".to_owned()], [ip(V4), ip(V6), ip("203.0.113.1")]);
            let task = tokio::spawn(watch.run());
            reports.first_round(Duration::from_secs(10)).await;

            let network = reports.network.borrow().clone();
            let (index, link) = network.links.first_key_value().unwrap();
            assert_eq!((link.name.as_str(), link.mtu), ("veth0", 1500));
            let hop = |source| Hop {
                ifindex: *index,
                source: ip(source),
                mac: Some(SERVER_MAC),
            };
            assert_eq!(network.hops[&ip(V4)], hop("192.0.2.1"));
            assert_eq!(network.hops[&ip(V6)], hop("2001:db8::1"));
            assert_eq!(network.hops.len(), 2, "no route to 203.0.113.1");

            host.server.send(MOVED_MAC).unwrap();
            until(&mut reports.network, |network| {
                network.hops[&ip(V4)].mac == Some(MOVED_MAC)
            })
            .await;
            task.abort();
        },
    );
}

#[test]
fn a_route_that_comes_or_goes_is_seen() {
    in_namespace("a_route_that_comes_or_goes_is_seen", async || {
        let host = Host::start().await;
        let far = ip("198.51.100.9");
        let (watch, mut reports) = Watch::new(["veth0".to_owned()], [far]);
        let task = tokio::spawn(watch.run());
        reports.first_round(Duration::from_secs(10)).await;
        assert_eq!(reports.network.borrow().hops.len(), 0);

        let route = rtnetlink::RouteMessageBuilder::<std::net::Ipv4Addr>::new()
            .destination_prefix("198.51.100.0".parse().unwrap(), 24)
            .gateway(V4.parse().unwrap())
            .build();
        host.handle
            .route()
            .add(route.clone())
            .execute()
            .await
            .unwrap();
        let by_router = |network: &Network| {
            network
                .hops
                .get(&far)
                .is_some_and(|hop| hop.mac == Some(SERVER_MAC))
        };
        until(&mut reports.network, by_router).await;

        host.handle.route().del(route).execute().await.unwrap();
        until(&mut reports.network, |network| network.hops.is_empty()).await;
        task.abort();
    });
}

#[test]
fn this_hosts_own_addresses_are_local() {
    in_namespace("this_hosts_own_addresses_are_local", async || {
        let _host = Host::start().await;
        let netlink = Netlink::open().unwrap();
        assert_eq!(netlink.route(ip("192.0.2.1")).await.unwrap(), Route::Local);
        // The kernel makes an IPv6 address's route some moments after the address.
        for _ in 0..500 {
            if netlink.route(ip("2001:db8::1")).await.unwrap() == Route::Local {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(
            netlink.route(ip("2001:db8::1")).await.unwrap(),
            Route::Local
        );
        assert!(matches!(
            netlink.route(ip(V4)).await.unwrap(),
            Route::Via { .. }
        ));
        assert_eq!(netlink.route(ip("203.0.113.1")).await.unwrap(), Route::None);
    });
}

/// Runs `test` on a thread with a network namespace of its own, which goes with the thread.
fn in_namespace(name: &str, test: impl AsyncFnOnce() + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        println!("SKIPPED: {name}: needs root for network namespaces");
        return;
    }
    let thread = std::thread::spawn(|| {
        enter_namespace();
        runtime().block_on(test());
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn enter_namespace() {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    // No waiting for duplicate addresses; and tell neighbours of a new MAC, as a failover does.
    fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0").unwrap();
    fs::write("/proc/sys/net/ipv4/conf/all/arp_notify", "1").unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// The balancer with 192.0.2.1 and 2001:db8::1 on `veth0`, and a server with [`V4`] and [`V6`] in a
/// namespace of its own at the other end.
struct Host {
    handle: Handle,
    /// Gives the server another MAC address.
    server: mpsc::Sender<[u8; 6]>,
}

impl Host {
    async fn start() -> Self {
        let (connection, handle, _) = rtnetlink::new_connection().unwrap();
        tokio::spawn(connection);

        let (namespace_of, namespace) = mpsc::channel();
        let (go, gone) = mpsc::channel();
        let (up, is_up) = mpsc::channel();
        let (server, moves) = mpsc::channel();
        // It ends when `server` is dropped, also by a test that fails.
        std::thread::spawn(move || {
            enter_namespace();
            namespace_of
                .send(fs::File::open("/proc/thread-self/ns/net").unwrap())
                .unwrap();
            if gone.recv().is_err() {
                return;
            }
            runtime().block_on(async {
                let (connection, handle, _) = rtnetlink::new_connection().unwrap();
                tokio::spawn(connection);
                let index = index("veth1").await;
                set_mac(&handle, index, SERVER_MAC).await;
                configure(&handle, index, [ip(V4), ip(V6)]).await;
                up.send(()).unwrap();
                // Blocking does no harm: the kernel answers ARP by itself.
                while let Ok(mac) = moves.recv() {
                    set_mac(&handle, index, mac).await;
                }
            });
        });
        let namespace = namespace.recv().unwrap();
        handle
            .link()
            .add(LinkVeth::new("veth0", "veth1").build())
            .execute()
            .await
            .unwrap();
        let there = LinkUnspec::new_with_name("veth1")
            .setns_by_fd(namespace.as_raw_fd())
            .build();
        handle.link().set(there).execute().await.unwrap();
        go.send(()).unwrap();
        is_up.recv().unwrap();
        let here = [ip("192.0.2.1"), ip("2001:db8::1")];
        configure(&handle, index("veth0").await, here).await;
        Self { handle, server }
    }
}

async fn index(name: &str) -> u32 {
    let links = Netlink::open().unwrap().links().await.unwrap();
    links.iter().find(|link| link.name == name).unwrap().index
}

async fn set_mac(handle: &Handle, index: u32, mac: [u8; 6]) {
    let link = LinkUnspec::new_with_index(index)
        .address(mac.to_vec())
        .build();
    handle.link().set(link).execute().await.unwrap();
}

async fn configure(handle: &Handle, index: u32, addresses: [IpAddr; 2]) {
    for address in addresses {
        let length = if address.is_ipv4() { 24 } else { 64 };
        handle
            .address()
            .add(index, address, length)
            .execute()
            .await
            .unwrap();
    }
    let link = LinkUnspec::new_with_index(index).up().build();
    handle.link().set(link).execute().await.unwrap();
}

async fn until(network: &mut watch::Receiver<Network>, what: impl FnMut(&Network) -> bool) {
    let limit = Duration::from_secs(20);
    let seen = timeout(limit, network.wait_for(what))
        .await
        .map(|seen| seen.is_ok());
    assert_eq!(
        seen,
        Ok(true),
        "the network is still {:?}",
        *network.borrow()
    );
}
