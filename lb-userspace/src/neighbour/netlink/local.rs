//! Which addresses are this host's own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::stream::StreamExt;
use ipnet::IpNet;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage, RouteType};

use super::{Error, Netlink, ip, refused};

impl Netlink {
    /// Everything that the kernel takes for addressed to itself, of both families: its interfaces'
    /// addresses, and networks that a route of type `local` gives to it.
    pub async fn local(&self) -> Result<Vec<IpNet>, Error> {
        let mut found = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut request = RouteMessage::default();
            request.header.address_family = family;
            let mut routes = Box::pin(self.handle.route().get(request).execute());
            while let Some(route) = routes.next().await {
                found.extend(local(&route.map_err(|error| refused("routes", error))?));
            }
        }
        Ok(found)
    }
}

/// The network of a route that leads here.
fn local(route: &RouteMessage) -> Option<IpNet> {
    if route.header.kind != RouteType::Local {
        return None;
    }
    let destination = route
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            RouteAttribute::Destination(address) => ip(address),
            _ => None,
        });
    // A route for everything names no destination.
    let address = destination.unwrap_or(match route.header.address_family {
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    });
    IpNet::new(address, route.header.destination_prefix_length).ok()
}
