//! A balancer between one network with clients and one with servers, and names for what is there.
//!
//! ```text
//! client 10.0.1.100 --- front [balancer] back --- 10.0.2.11, .12, .13
//!                       10.0.1.10 (service)
//!                                        10.0.2.1 (source of what servers see)
//! ```

mod conn;
mod outcome;
mod tables;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lb_common::addr;
use lb_common::flow::Origin;
use lb_common::limit::Limit;
use lb_common::service::{Member, Mode, Pick, Port, Real, Service, ServiceKey, SnatSource};
use lb_common::time;
use lb_tests::netns::Mac;
pub(crate) use lb_tests::network::Family;
use lb_tests::packet::Packet;
use lb_tests::plane::{Plane, Sizes, ports};
use lb_tests::skip::skip;
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::{Pid, geteuid};

pub(crate) use self::conn::{CLIENT_ISN, Conn, PSH, SERVER_ISN};
pub(crate) use self::outcome::{Counter, Outcome};

/// Our Ethernet addresses.
pub(crate) const FRONT: Mac = Mac([0x02, 0, 0, 0, 0x01, 0x01]);
pub(crate) const BACK: Mac = Mac([0x02, 0, 0, 0, 0x02, 0x01]);
/// The client's, or that of its router.
pub(crate) const CLIENT: Mac = Mac([0x02, 0, 0, 0, 0x01, 0xc1]);
/// Where the service listens.
pub(crate) const SERVICE_PORT: u16 = 5432;
/// Where servers listen.
pub(crate) const SERVER_PORT: u16 = 15432;
/// Its id.
pub(crate) const SERVICE_ID: u16 = 7;
/// Where its active flows are counted; those of servers by their number.
pub(crate) const SERVICE_GAUGE: u16 = 100;
/// Where its ring starts.
pub(crate) const RING: u32 = 100;
/// Number of servers: 1 to 3, in turn.
pub(crate) const SERVERS: u16 = 3;
/// Ports that connections to servers come from, in this order.
pub(crate) const NAT_PORTS: std::ops::RangeInclusive<u16> = 40_000..=40_099;
/// Ticks until an idle flow may go.
pub(crate) const IDLE: u32 = time::ticks(3_600);
/// Largest IP packet of either interface.
pub(crate) const MTU: u32 = 1_500;

/// The loaded program with the network above in its maps.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) family: Family,
    pub(crate) plane: Plane,
    pub(crate) front: u32,
    pub(crate) back: u32,
    /// The service's access list ([`Service::access`]); takes effect with [`World::listen`].
    pub(crate) access: u32,
    /// The service's limit; likewise, and with [`World::set_server`].
    pub(crate) limit: Limit,
    /// [`Service::blind`]; takes effect with [`World::listen`].
    pub(crate) blind: bool,
}

/// Runs a case in a fresh world of each family.
pub(crate) fn world(test: impl Fn(&mut World) + Sync) {
    sized(Sizes::default(), test);
}

/// [`world`] with other table sizes.
pub(crate) fn sized(sizes: Sizes, test: impl Fn(&mut World) + Sync) {
    for family in [Family::V4, Family::V6] {
        world_of(family, sizes, &test);
    }
}

/// [`world`] with one family only.
pub(crate) fn world_of(family: Family, sizes: Sizes, test: impl Fn(&mut World) + Sync) {
    if !geteuid().is_root() {
        if family == Family::V4 {
            skip("needs root");
        }
        return;
    }
    let ports = ports::shared().expect("a namespace with two interfaces");
    ports.namespace.run(|| {
        println!("-- {family:?}");
        // Cursors of source ports are per processor: a case shall see one.
        pin(sched_getcpu().expect("the kernel knows where this runs"));
        let mut world = World::new(family, sizes, ports);
        test(&mut world);
        world.verify();
    });
}

/// Binds the calling thread to a processor.
pub(crate) fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu).expect("a processor's number");
    sched_setaffinity(Pid::from_raw(0), &set).expect("the processor is online");
}

impl World {
    fn new(family: Family, sizes: Sizes, ports: &ports::Ports) -> Self {
        let plane = Plane::load(sizes).expect("the programs load");
        let mut world = Self {
            family,
            plane,
            front: ports.front,
            back: ports.back,
            access: 0,
            limit: Limit::default(),
            blind: false,
        };
        world.set_port(world.front, FRONT, MTU);
        world.set_port(world.back, BACK, MTU);
        world.snat(&[(world.nat_address(), NAT_PORTS)]);
        for server in 1..=SERVERS {
            world.set_server(server);
        }
        world.listen(Pick::Next, &[1, 2, 3]);
        world
    }

    /// Describes one of our interfaces.
    pub(crate) fn set_port(&mut self, ifindex: u32, mac: Mac, mtu: u32) {
        let Origin {
            mac_head, mac_tail, ..
        } = origin(mac, 0);
        let port = Port {
            mac_head,
            mac_tail,
            known: 1,
            mtu,
        };
        self.plane.set_port(ifindex, port).expect("PORTS");
        self.plane.allow_tx(ifindex).expect("TX_PORTS");
    }

    /// Sets what servers see connections come from.
    pub(crate) fn snat(&mut self, sources: &[(IpAddr, std::ops::RangeInclusive<u16>)]) {
        let sources: Vec<_> = sources
            .iter()
            .map(|(address, ports)| SnatSource {
                addr: key_address(*address),
                port_low: *ports.start(),
                port_high: *ports.end(),
            })
            .collect();
        self.plane.set_snat(0, &sources).expect("SNAT");
    }

    /// Writes a server with its member; its next source port is the first of its first source.
    pub(crate) fn set_server(&mut self, server: u16) {
        let real = self.real(server);
        self.plane.set_real(server, real).expect("REALS");
        self.plane
            .set_member(member_of(server), self.member(server))
            .expect("MEMBERS");
        let ports = NAT_PORTS.len() as u32;
        self.plane
            .set_port_cursor(server, ports - 1)
            .expect("PORT_CURSORS");
    }

    /// A member as [`Self::set_server`] writes it, to be changed.
    pub(crate) fn member(&self, server: u16) -> Member {
        Member {
            real: server,
            service: SERVICE_ID,
            idle_timeout: IDLE,
            weight: 1,
            gauge: server,
            service_gauge: SERVICE_GAUGE,
            limited: (self.limit != Limit::default()).into(),
            ..Member::default()
        }
    }

    /// Changes a server's member.
    pub(crate) fn change_member(&mut self, server: u16, change: impl Fn(&mut Member)) {
        let mut member = self.plane.member(member_of(server)).expect("MEMBERS");
        change(&mut member);
        self.plane
            .set_member(member_of(server), member)
            .expect("MEMBERS");
    }

    /// A server as [`Self::set_server`] writes it, to be changed.
    pub(crate) fn real(&self, server: u16) -> Real {
        let mac = server_mac(server).0;
        let mut ethernet = [0; 12];
        ethernet[..6].copy_from_slice(&mac);
        ethernet[6..].copy_from_slice(&BACK.0);
        let word = |at| u32::from_ne_bytes(std::array::from_fn(|i| ethernet[at + i]));
        Real {
            ethernet: [word(0), word(4), word(8)],
            ifindex: self.back,
            mtu: MTU,
            snat_base: 0,
            snat_count: 1,
            port: SERVER_PORT.to_be(),
            family: match self.family {
                Family::V4 => 4,
                Family::V6 => 6,
            },
            addr: key_address(self.server(server).ip()),
            mode: Mode::Nat as u8,
            zero: [0; 11],
            ports: NAT_PORTS.len() as u32,
        }
    }

    /// Sets the service's way of choosing and its ring of servers.
    pub(crate) fn listen(&mut self, pick: Pick, ring: &[u16]) {
        let members: Vec<_> = ring
            .iter()
            .map(|&server| member_of(server).into())
            .collect();
        self.plane.set_ring(RING, &members).expect("RING");
        let service = Service {
            id: SERVICE_ID,
            pick: pick as u8,
            ring_base: RING,
            ring_len: members.len() as u32,
            idle_timeout: IDLE,
            gauge: SERVICE_GAUGE,
            access: self.access,
            limit: self.limit,
            blind: self.blind.into(),
            ..Service::default()
        };
        let key = self.service_key();
        let mark = ServiceKey {
            port: 0,
            protocol: 0,
            ..key
        };
        self.plane.set_service(key, service).expect("SERVICES");
        let service = Service { id: 0, ..service };
        self.plane.set_service(mark, service).expect("SERVICES");
    }

    /// Changes the service.
    pub(crate) fn change_service(&mut self, change: impl Fn(&mut Service)) {
        let key = self.service_key();
        let mut service = self.plane.service(key).expect("SERVICES");
        change(&mut service);
        self.plane.set_service(key, service).expect("SERVICES");
    }

    /// Key of the service.
    pub(crate) fn service_key(&self) -> ServiceKey {
        ServiceKey {
            addr: key_address(self.vip().ip()),
            port: SERVICE_PORT.to_be(),
            protocol: 6,
            zero: 0,
        }
    }

    /// Where clients connect.
    pub(crate) fn vip(&self) -> SocketAddr {
        (self.address(1, 0x10), SERVICE_PORT).into()
    }

    /// The client's end of a connection.
    pub(crate) fn client(&self, port: u16) -> SocketAddr {
        (self.address(1, 0xc1), port).into()
    }

    /// What servers see connections come from.
    pub(crate) fn nat_address(&self) -> IpAddr {
        self.address(2, 1)
    }

    /// The `n`th end that connections to a server come from, counted from 0.
    pub(crate) fn nat(&self, n: u16) -> SocketAddr {
        (self.nat_address(), NAT_PORTS.start() + n).into()
    }

    /// A server's address.
    pub(crate) fn server(&self, server: u16) -> SocketAddr {
        (self.address(2, 0x10 + server), SERVER_PORT).into()
    }

    /// 10.0.NET.HOST or fd00:NET::HOST.
    pub(crate) fn address(&self, net: u16, host: u16) -> IpAddr {
        match self.family {
            Family::V4 => Ipv4Addr::new(10, 0, net as u8, host as u8).into(),
            Family::V6 => Ipv6Addr::new(0xfd00, net, 0, 0, 0, 0, 0, host).into(),
        }
    }

    /// An empty segment of the client's to the service.
    pub(crate) fn from_client(&self, port: u16) -> Packet {
        Packet::new(CLIENT, FRONT, self.client(port), self.vip())
    }
}

/// The member that stands for a server in the service.
pub(crate) fn member_of(server: u16) -> u16 {
    10 + server
}

/// A server's Ethernet address.
pub(crate) fn server_mac(server: u16) -> Mac {
    Mac([0x02, 0, 0, 0, 0x02, 0x10 + server as u8])
}

/// An address as map keys hold it.
pub(crate) fn key_address(address: IpAddr) -> [u32; 4] {
    match address {
        IpAddr::V4(v4) => addr::mapped(u32::from_ne_bytes(v4.octets())),
        IpAddr::V6(v6) => {
            let bytes = v6.octets();
            std::array::from_fn(|i| u32::from_ne_bytes(std::array::from_fn(|j| bytes[i * 4 + j])))
        }
    }
}

/// Where a frame came from, as flows hold it.
pub(crate) fn origin(mac: Mac, ifindex: u32) -> Origin {
    let [a, b, c, d, e, f] = mac.0;
    Origin {
        mac_head: u32::from_ne_bytes([a, b, c, d]),
        mac_tail: u16::from_ne_bytes([e, f]),
        ifindex: ifindex as u16,
    }
}
