//! Addresses between the forms that people and that the maps use.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lb_common::addr::{mapped, unmapped};
use lb_common::service::ServiceKey;

use crate::config::Protocol;

/// An address as map keys hold it: in network order, IPv4 as IPv4-mapped.
pub fn words(ip: IpAddr) -> [u32; 4] {
    match ip {
        IpAddr::V4(ip) => mapped(u32::from_ne_bytes(ip.octets())),
        IpAddr::V6(ip) => {
            let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = ip.octets();
            let words = [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]];
            words.map(u32::from_ne_bytes)
        }
    }
}

/// The address that a map key holds.
pub fn ip(words: [u32; 4]) -> IpAddr {
    match unmapped(words) {
        Some(v4) => Ipv4Addr::from(v4.to_ne_bytes()).into(),
        None => {
            let mut octets = [0; 16];
            let (chunks, _) = octets.as_chunks_mut::<4>();
            for (chunk, word) in chunks.iter_mut().zip(words) {
                *chunk = word.to_ne_bytes();
            }
            Ipv6Addr::from(octets).into()
        }
    }
}

/// The key of a listening address.
pub fn service_key(listen: SocketAddr, protocol: Protocol) -> ServiceKey {
    ServiceKey {
        addr: words(listen.ip()),
        port: listen.port().to_be(),
        protocol: protocol.transport().number(),
        zero: 0,
    }
}

/// The key that marks an address as a service's.
pub fn mark_key(address: IpAddr) -> ServiceKey {
    ServiceKey {
        addr: words(address),
        port: 0,
        protocol: 0,
        zero: 0,
    }
}

/// Destination and source MAC address as [`lb_common::service::Real::ethernet`] holds them.
pub fn ethernet(destination: [u8; 6], source: [u8; 6]) -> [u32; 3] {
    let [a, b, c, d, e, f] = destination;
    let [g, h, i, j, k, l] = source;
    [[a, b, c, d], [e, f, g, h], [i, j, k, l]].map(u32::from_ne_bytes)
}
