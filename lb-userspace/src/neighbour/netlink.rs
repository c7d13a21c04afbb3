//! Everything asked of the kernel over rtnetlink, in our own types.
//!
//! The rtnetlink crate changes its interface with most releases; nothing outside this module uses it.

mod local;

use std::io;
use std::net::IpAddr;

use futures_util::stream::{Stream, StreamExt};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{Handle, MulticastGroup};
use tokio::task::AbortHandle;

use super::hops::{Entry, HopKey, Inquiry};

/// The kernel did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No netlink socket to be had.
    #[error("netlink socket: {0}")]
    Socket(#[source] io::Error),
    /// A request was refused.
    #[error("netlink {request}: {source}")]
    Refused {
        /// What was asked.
        request: &'static str,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The connection broke, or the kernel said something that cannot be read.
    #[error("netlink connection lost")]
    Lost,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFacts {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its MAC address, if it is an Ethernet device.
    pub mac: Option<[u8; 6]>,
    /// Largest IP packet, in bytes.
    pub mtu: u32,
}

/// Where packets to an address go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The address is this host's own.
    Local,
    /// Out by an interface.
    Via {
        /// The interface.
        ifindex: u32,
        /// The router, unless the address is on the link.
        gateway: Option<IpAddr>,
        /// The source address that the kernel would choose.
        source: IpAddr,
    },
    /// Nowhere.
    None,
}

/// Something changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Links, addresses or routes: ask for them again.
    Topology,
    /// A neighbour.
    Neighbour(HopKey, Entry),
    /// Events were lost: ask for everything again.
    Lost,
}

/// A connection for requests. It belongs to the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Netlink {
    handle: Handle,
    connection: AbortHandle,
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Netlink {
    /// Opens a connection, served by a task of its own.
    pub fn open() -> Result<Self, Error> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(Error::Socket)?;
        let connection = tokio::spawn(connection).abort_handle();
        Ok(Self { handle, connection })
    }

    /// All interfaces.
    pub async fn links(&self) -> Result<Vec<LinkFacts>, Error> {
        let mut links = Box::pin(self.handle.link().get().execute());
        let mut facts = Vec::new();
        while let Some(link) = links.next().await {
            facts.push(link_facts(&link.map_err(|e| refused("links", e))?));
        }
        Ok(facts)
    }

    /// The kernel's own choice for packets to `destination`.
    pub async fn route(&self, destination: IpAddr) -> Result<Route, Error> {
        let mut request = RouteMessage::default();
        (
            request.header.address_family,
            request.header.destination_prefix_length,
        ) = match destination {
            IpAddr::V4(_) => (AddressFamily::Inet, 32),
            IpAddr::V6(_) => (AddressFamily::Inet6, 128),
        };
        request
            .attributes
            .push(RouteAttribute::Destination(destination.into()));
        let mut routes = Box::pin(self.handle.route().get(request).execute());
        match routes.next().await {
            Some(Ok(route)) => Ok(route_facts(&route)),
            Some(Err(error)) => match refused("route", error) {
                Error::Refused { source, .. } if is_no_route(&source) => Ok(Route::None),
                error => Err(error),
            },
            None => Err(Error::Lost),
        }
    }

    /// All neighbours of both families.
    pub async fn neighbours(&self) -> Result<Vec<(HopKey, Entry)>, Error> {
        let mut neighbours = Box::pin(self.handle.neighbours().get().execute());
        let mut found = Vec::new();
        while let Some(neighbour) = neighbours.next().await {
            let neighbour = neighbour.map_err(|e| refused("neighbours", e))?;
            found.extend(hop_key(&neighbour).map(|key| (key, entry(&neighbour))));
        }
        Ok(found)
    }

    /// Makes the kernel ask for `key`; what comes of it arrives as an event.
    pub async fn inquire(&self, key: HopKey, inquiry: Inquiry) -> Result<(), Error> {
        let mut message = NeighbourMessage::default();
        message.header.ifindex = key.ifindex;
        let address = match key.address {
            IpAddr::V4(address) => {
                message.header.family = AddressFamily::Inet;
                NeighbourAddress::Inet(address)
            }
            IpAddr::V6(address) => {
                message.header.family = AddressFamily::Inet6;
                NeighbourAddress::Inet6(address)
            }
        };
        message
            .attributes
            .push(NeighbourAttribute::Destination(address));
        let flags = match inquiry {
            // Without NLM_F_CREATE: there must be an address to confirm.
            Inquiry::Confirm => {
                message.header.state = NeighbourState::Probe;
                NLM_F_REQUEST | NLM_F_ACK
            }
            Inquiry::Resolve => {
                message.header.flags = NeighbourFlags::Use;
                NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE
            }
        };
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewNeighbour(message));
        request.header.flags = flags;
        let mut answers = self
            .handle
            .clone()
            .request(request)
            .map_err(|_| Error::Lost)?;
        while let Some(answer) = answers.next().await {
            if let NetlinkPayload::Error(error) = answer.payload
                && error.code.is_some()
            {
                return Err(Error::Refused {
                    request: "neighbour",
                    source: error.to_io(),
                });
            }
        }
        Ok(())
    }
}

/// Everything that changes from now on. Ends when the connection breaks.
pub fn events() -> Result<impl Stream<Item = Event> + Unpin + Send, Error> {
    let groups = [
        MulticastGroup::Link,
        MulticastGroup::Neigh,
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv6Route,
        MulticastGroup::Ipv4Ifaddr,
        MulticastGroup::Ipv6Ifaddr,
        MulticastGroup::Ipv4Rule,
        MulticastGroup::Ipv6Rule,
        MulticastGroup::Nexthop,
    ];
    let (connection, handle, messages) =
        rtnetlink::new_multicast_connection(&groups).map_err(Error::Socket)?;
    let connection = tokio::spawn(connection);
    let owned = (handle, AbortOnDrop(connection.abort_handle()));
    Ok(messages.filter_map(move |(message, _)| {
        let _ = &owned;
        std::future::ready(event(message))
    }))
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn event(message: NetlinkMessage<RouteNetlinkMessage>) -> Option<Event> {
    match message.payload {
        NetlinkPayload::Overrun(_) => Some(Event::Lost),
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(message)) => {
            Some(Event::Neighbour(hop_key(&message)?, entry(&message)))
        }
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelNeighbour(message)) => {
            Some(Event::Neighbour(hop_key(&message)?, Entry::Absent))
        }
        NetlinkPayload::InnerMessage(_) => Some(Event::Topology),
        _ => None,
    }
}

fn link_facts(link: &LinkMessage) -> LinkFacts {
    let mut facts = LinkFacts {
        index: link.header.index,
        name: String::new(),
        mac: None,
        mtu: 0,
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => facts.name.clone_from(name),
            LinkAttribute::Address(mac) => facts.mac = <[u8; 6]>::try_from(mac.as_slice()).ok(),
            LinkAttribute::Mtu(mtu) => facts.mtu = *mtu,
            _ => {}
        }
    }
    facts
}

fn route_facts(route: &RouteMessage) -> Route {
    match route.header.kind {
        RouteType::Local => return Route::Local,
        RouteType::Unicast => {}
        _ => return Route::None,
    }
    let (mut ifindex, mut gateway, mut source) = (None, None, None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => ifindex = Some(*index),
            RouteAttribute::Gateway(address) => gateway = ip(address),
            // An IPv4 route by an IPv6 router (RFC 5549).
            RouteAttribute::Via(RouteVia::Inet(address)) => gateway = Some((*address).into()),
            RouteAttribute::Via(RouteVia::Inet6(address)) => gateway = Some((*address).into()),
            RouteAttribute::PrefSource(address) => source = ip(address),
            _ => {}
        }
    }
    match (ifindex, source) {
        (Some(ifindex), Some(source)) => Route::Via {
            ifindex,
            gateway,
            source,
        },
        // An interface without an address of the family: nothing could come from it.
        _ => Route::None,
    }
}

fn hop_key(message: &NeighbourMessage) -> Option<HopKey> {
    let address = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(a)) => Some(IpAddr::V4(*a)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(a)) => Some(IpAddr::V6(*a)),
            _ => None,
        })?;
    Some(HopKey {
        ifindex: message.header.ifindex,
        address,
    })
}

fn entry(message: &NeighbourMessage) -> Entry {
    let mac = message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            NeighbourAttribute::LinkLayerAddress(mac) => <[u8; 6]>::try_from(mac.as_slice()).ok(),
            _ => None,
        });
    match (message.header.state, mac) {
        (NeighbourState::Permanent | NeighbourState::Noarp, Some(mac)) => Entry::Fixed(mac),
        (
            NeighbourState::Reachable
            | NeighbourState::Stale
            | NeighbourState::Delay
            | NeighbourState::Probe,
            Some(mac),
        ) => Entry::Answered(mac),
        (NeighbourState::Failed, _) => Entry::Failed,
        (NeighbourState::Incomplete, _) => Entry::Resolving,
        _ => Entry::Absent,
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

/// What the kernel answers where there is no way: none at all, or a route that says so.
fn is_no_route(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL | libc::ENETDOWN)
    )
}

fn refused(request: &'static str, error: rtnetlink::Error) -> Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => Error::Refused {
            request,
            source: message.to_io(),
        },
        _ => Error::Lost,
    }
}
