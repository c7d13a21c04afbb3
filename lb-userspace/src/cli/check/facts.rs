//! What `lb check` asks the host: no privilege needed, nothing sent.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::SockaddrStorage;
use nix::unistd::Group;

use crate::config::Config;
use crate::config::host::{HostFacts, Interface, Route, destinations};

/// The facts as of now; what the host does not tell is absent.
pub(super) fn gather(config: &Config) -> HostFacts {
    let interfaces = interfaces();
    let routes = destinations(config)
        .into_iter()
        .filter_map(|to| Some((to, route(to, &interfaces)?)))
        .collect::<BTreeMap<_, _>>();
    let group = config.control.group.as_deref();
    HostFacts {
        interfaces,
        routes,
        local_ports: local_ports(),
        group_exists: group.and_then(|name| Some(Group::from_name(name).ok()?.is_some())),
    }
}

fn interfaces() -> Vec<Interface> {
    let mut found: Vec<Interface> = Vec::new();
    for entry in getifaddrs().into_iter().flatten() {
        let name = entry.interface_name;
        let index = match found.iter().position(|interface| interface.name == name) {
            Some(index) => index,
            None => {
                let index = if_nametoindex(name.as_str()).unwrap_or_default();
                found.push(Interface {
                    index,
                    name,
                    addresses: Vec::new(),
                });
                found.len() - 1
            }
        };
        if let Some(address) = entry.address.as_ref().and_then(ip) {
            let mask = entry.netmask.as_ref().and_then(ip);
            let prefix = mask.map_or(0, |mask| match mask {
                IpAddr::V4(mask) => mask.to_bits().count_ones(),
                IpAddr::V6(mask) => mask.to_bits().count_ones(),
            });
            let prefix = u8::try_from(prefix).unwrap_or(128);
            found[index].addresses.push((address, prefix));
        }
    }
    found
}

fn ip(storage: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = storage
        .as_sockaddr_in()
        .map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| {
        storage
            .as_sockaddr_in6()
            .map(|address| IpAddr::V6(address.ip()))
    })
}

/// Asks the kernel for a route by connecting a UDP socket, which sends nothing.
fn route(to: IpAddr, interfaces: &[Interface]) -> Option<Route> {
    // Any port does.
    const DISCARD: u16 = 9;
    let any: IpAddr = match to {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(SocketAddr::new(to, DISCARD)).ok()?;
    let source = socket.local_addr().ok()?.ip();
    let has = |i: &&Interface| i.addresses.iter().any(|(address, _)| *address == source);
    let interface = interfaces.iter().find(has)?.index;
    Some(Route { interface, source })
}

fn local_ports() -> Option<RangeInclusive<u16>> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut numbers = text.split_whitespace().map(str::parse);
    Some(numbers.next()?.ok()?..=numbers.next()?.ok()?)
}
