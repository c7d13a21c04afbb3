//! Interfaces and addresses, over netlink.

use std::fmt;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, bail};
use futures_util::TryStreamExt;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkMessage, LinkXdp, XdpAttached,
};
use rtnetlink::{Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, new_connection};

use super::Namespace;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// How an XDP program is attached to an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver.
    Driver,
    /// In the kernel's generic receive path.
    Generic,
    /// Some other way.
    Other,
}

impl Namespace {
    /// Takes interface `name` up.
    pub fn link_up(&self, name: &str) -> Result<()> {
        self.set(LinkUnspec::new_with_name(name).up())
    }

    /// Takes interface `name` down. IPv6 addresses are lost with it.
    pub fn link_down(&self, name: &str) -> Result<()> {
        self.set(LinkUnspec::new_with_name(name).down())
    }

    /// Makes interface `name` take frames for other stations too.
    pub fn promiscuous(&self, name: &str) -> Result<()> {
        self.set(LinkUnspec::new_with_name(name).promiscuous(true))
    }

    /// Gives interface `name` another Ethernet address.
    pub fn set_mac(&self, name: &str, mac: Mac) -> Result<()> {
        self.set(LinkUnspec::new_with_name(name).address(mac.0.to_vec()))
    }

    /// The Ethernet address of interface `name`.
    pub fn mac(&self, name: &str) -> Result<Mac> {
        self.link(name)?
            .attributes
            .into_iter()
            .find_map(|attribute| match attribute {
                LinkAttribute::Address(bytes) => Some(Mac(bytes.try_into().ok()?)),
                _ => None,
            })
            .with_context(|| format!("{name} has no Ethernet address"))
    }

    /// The index of interface `name`.
    pub fn ifindex(&self, name: &str) -> Result<u32> {
        Ok(self.link(name)?.header.index)
    }

    /// How the XDP program on interface `name` is attached; `None` without one.
    pub fn xdp(&self, name: &str) -> Result<Option<XdpMode>> {
        let attached = self
            .link(name)?
            .attributes
            .into_iter()
            .find_map(|attribute| {
                let LinkAttribute::Xdp(xdp) = attribute else {
                    return None;
                };
                xdp.into_iter().find_map(|part| match part {
                    LinkXdp::Attached(attached) => Some(attached),
                    _ => None,
                })
            });
        Ok(match attached {
            None | Some(XdpAttached::None) => None,
            Some(XdpAttached::Driver) => Some(XdpMode::Driver),
            Some(XdpAttached::SocketBuffer) => Some(XdpMode::Generic),
            Some(_) => Some(XdpMode::Other),
        })
    }

    /// Adds an address to interface `name`.
    pub fn add_address(&self, name: &str, address: IpAddr, prefix: u8) -> Result<()> {
        let index = self.ifindex(name)?;
        self.netlink(async |handle| {
            let mut request = handle.address().add(index, address, prefix);
            if address.is_ipv6() {
                let nodad = AddressAttribute::Flags(AddressFlags::Nodad);
                request.message_mut().attributes.push(nodad);
            }
            request.execute().await
        })
        .with_context(|| format!("{}: cannot add {address}/{prefix} to {name}", self.label))
    }

    /// Makes a pair of virtual Ethernet interfaces, `name` here and `peer_name` in `peer`, both up,
    /// and both with complete checksums on every frame.
    pub fn add_veth(&self, name: &str, peer: &Namespace, peer_name: &str) -> Result<()> {
        let far = LinkMessageBuilder::<LinkUnspec>::new()
            .name(peer_name)
            .setns_by_fd(peer.as_raw_fd())
            .build();
        let pair = LinkMessageBuilder::<LinkVeth>::new_with_info_kind(InfoKind::Veth)
            .name(name)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(far)))
            .build();
        self.netlink(async |handle| handle.link().add(pair).execute().await)
            .with_context(|| {
                format!(
                    "cannot wire {}:{name} to {}:{peer_name}",
                    self.label, peer.label
                )
            })?;
        for (end, name) in [(self, name), (peer, peer_name)] {
            end.disable_checksum_offload(name)?;
            end.link_up(name)?;
        }
        Ok(())
    }

    /// Makes bridge `name`, up.
    pub fn add_bridge(&self, name: &str) -> Result<()> {
        let bridge = LinkBridge::new(name).mcast_snooping(false).up().build();
        self.netlink(async |handle| handle.link().add(bridge).execute().await)
            .with_context(|| format!("{}: cannot make bridge {name}", self.label))
    }

    /// Makes interface `name` a port of bridge `bridge`.
    pub fn set_bridge(&self, name: &str, bridge: &str) -> Result<()> {
        self.set(LinkUnspec::new_with_name(name).controller(self.ifindex(bridge)?))
    }

    fn set(&self, change: LinkMessageBuilder<LinkUnspec>) -> Result<()> {
        let message = change.build();
        self.netlink(async |handle| handle.link().set(message).execute().await)
            .with_context(|| format!("{}: cannot change an interface", self.label))
    }

    fn link(&self, name: &str) -> Result<LinkMessage> {
        let links = self
            .netlink(async |handle| {
                handle
                    .link()
                    .get()
                    .match_name(name)
                    .execute()
                    .try_collect::<Vec<_>>()
                    .await
            })
            .with_context(|| format!("{}: interface {name}", self.label))?;
        match links.into_iter().next() {
            Some(link) => Ok(link),
            None => bail!("{}: no interface {name}", self.label),
        }
    }

    fn netlink<R: Send>(
        &self,
        request: impl AsyncFnOnce(Handle) -> Result<R, rtnetlink::Error> + Send,
    ) -> Result<R> {
        self.block_on(async || {
            let (connection, handle, _) = new_connection()?;
            tokio::spawn(connection);
            Ok(request(handle).await?)
        })
    }
}
