//! The networks that balancers stand in.
//!
//! ```text
//! Routed:    client --- front [balancer] back --- switch === server, server, ...
//! One arm:   client === switch === server, server, ...
//!                          |
//!                      lan [balancer]
//! ```
//!
//! Both carry IPv4 and IPv6. Servers have no route to the client's network in the routed layout:
//! what they answer goes back through the balancer or nowhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Result;

use crate::netns::{Namespace, PassLink};
use crate::process::raise_file_limit;
use crate::tempdir::TempDir;

/// How client, balancer and servers are wired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Client and servers on two interfaces of the balancer.
    Routed,
    /// All on one network; the balancer sends frames out where they came in.
    OneArm,
}

/// IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Name of the one interface of client and servers.
pub const ETH: &str = "eth0";
const BRIDGE: &str = "br0";
/// Last part of the addresses: the balancer's own, that of its services, the client's, the first
/// server's.
const BALANCER: u16 = 1;
const VIP: u16 = 10;
const CLIENT: u16 = 100;
const FIRST_SERVER: u16 = 11;

/// A client, a balancer and servers, each in a namespace of its own.
#[derive(Debug)]
pub struct Network {
    /// Where clients run.
    pub client: Namespace,
    /// Where the balancer runs.
    pub balancer: Namespace,
    /// One for each server.
    pub servers: Vec<Namespace>,
    /// Logs, sockets, databases.
    pub dir: TempDir,
    layout: Layout,
    switch: Namespace,
    _far_ends: Vec<PassLink>,
}

impl Network {
    /// Builds one with `servers` server namespaces.
    pub fn new(layout: Layout, servers: u16) -> Result<Self> {
        // Both ends of thousands of connections may be in this process.
        raise_file_limit()?;
        let client = Namespace::new("client")?;
        let balancer = Namespace::new("balancer")?;
        let switch = Namespace::new("switch")?;
        switch.add_bridge(BRIDGE)?;
        let mut far_ends = Vec::new();

        match layout {
            Layout::Routed => {
                client.add_veth(ETH, &balancer, "front")?;
                far_ends.push(client.attach_pass(ETH)?);
                balancer.add_veth("back", &switch, "balancer")?;
            }
            Layout::OneArm => {
                client.add_veth(ETH, &switch, "client")?;
                switch.set_bridge("client", BRIDGE)?;
                balancer.add_veth("lan", &switch, "balancer")?;
            }
        }
        switch.set_bridge("balancer", BRIDGE)?;
        far_ends.push(switch.attach_pass("balancer")?);

        let mut network = Self {
            client,
            balancer,
            servers: Vec::new(),
            dir: TempDir::new()?,
            layout,
            switch,
            _far_ends: far_ends,
        };
        network.add_addresses()?;
        for _ in 0..servers {
            network.add_server()?;
        }
        Ok(network)
    }

    /// Every namespace of it.
    pub fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        [&self.client, &self.balancer, &self.switch]
            .into_iter()
            .chain(&self.servers)
    }

    /// Cuts server `index` off, as if its machine had lost power; or connects it again.
    pub fn plug_server(&self, index: usize, plugged: bool) -> Result<()> {
        let port = server_port(index);
        match plugged {
            true => self.switch.link_up(&port),
            false => self.switch.link_down(&port),
        }
    }

    /// How it is wired.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The balancer's interfaces.
    pub fn interfaces(&self) -> &'static [&'static str] {
        match self.layout {
            Layout::Routed => &["front", "back"],
            Layout::OneArm => &["lan"],
        }
    }

    /// The balancer's interface towards the client.
    pub fn front(&self) -> &'static str {
        self.interfaces()[0]
    }

    /// The address that services listen on; the balancer's interface has it besides its own.
    pub fn vip(&self, family: Family) -> IpAddr {
        self.address(self.front_net(), family, VIP)
    }

    /// A service's listening address.
    pub fn listen(&self, family: Family, port: u16) -> SocketAddr {
        SocketAddr::new(self.vip(family), port)
    }

    /// The balancer's own address on the client's network.
    pub fn balancer_address(&self, family: Family) -> IpAddr {
        self.address(self.front_net(), family, BALANCER)
    }

    /// The client's address.
    pub fn client_address(&self, family: Family) -> IpAddr {
        self.address(self.front_net(), family, CLIENT)
    }

    /// The address of server `index`.
    pub fn server_address(&self, index: usize, family: Family) -> IpAddr {
        let host = FIRST_SERVER + u16::try_from(index).expect("few servers");
        self.address(self.back_net(), family, host)
    }

    /// The address that server `index` sees connections through the balancer come from.
    pub fn source_address(&self, family: Family) -> IpAddr {
        self.address(self.back_net(), family, BALANCER)
    }

    fn add_addresses(&self) -> Result<()> {
        for family in [Family::V4, Family::V6] {
            let prefix = prefix(family);
            self.client
                .add_address(ETH, self.client_address(family), prefix)?;
            // The own address first: it is the one that the kernel connects from.
            self.balancer
                .add_address(self.front(), self.balancer_address(family), prefix)?;
            if self.layout == Layout::Routed {
                self.balancer
                    .add_address("back", self.source_address(family), prefix)?;
            }
            self.balancer
                .add_address(self.front(), self.vip(family), full(family))?;
        }
        Ok(())
    }

    fn add_server(&mut self) -> Result<()> {
        let index = self.servers.len();
        let server = Namespace::new(format!("server {}", index + 1))?;
        let port = server_port(index);
        server.add_veth(ETH, &self.switch, &port)?;
        self.switch.set_bridge(&port, BRIDGE)?;
        for family in [Family::V4, Family::V6] {
            server.add_address(ETH, self.server_address(index, family), prefix(family))?;
        }
        self.servers.push(server);
        Ok(())
    }

    fn front_net(&self) -> u16 {
        match self.layout {
            Layout::Routed => 1,
            Layout::OneArm => 3,
        }
    }

    fn back_net(&self) -> u16 {
        match self.layout {
            Layout::Routed => 2,
            Layout::OneArm => 3,
        }
    }

    /// 10.NET.0.HOST or fd00:NET::HOST.
    fn address(&self, net: u16, family: Family, host: u16) -> IpAddr {
        match family {
            Family::V4 => Ipv4Addr::new(10, net as u8, 0, host as u8).into(),
            Family::V6 => Ipv6Addr::new(0xfd00, net, 0, 0, 0, 0, 0, host).into(),
        }
    }
}

/// The switch's port to server `index`.
fn server_port(index: usize) -> String {
    format!("server{}", index + 1)
}

fn prefix(family: Family) -> u8 {
    match family {
        Family::V4 => 24,
        Family::V6 => 64,
    }
}

fn full(family: Family) -> u8 {
    match family {
        Family::V4 => 32,
        Family::V6 => 128,
    }
}
