mod faults;
mod rounds;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use lb_common::limit::Limit;
use lb_common::service::{Mode, Port, SnatSource};

use super::*;
use crate::access::{AccessList, Prefix};
use crate::config::Protocol;
use crate::dataplane::wire;
use crate::desired::{Algorithm, DesiredReal, DesiredRing, DesiredService, Policy, Way};
use crate::model::{Family, PoolName, ServerName};

/// Slots of the ring map: few, so that tests run out of them too.
const RING_SLOTS: u32 = 96;

fn key(server: u8) -> ServerKey {
    ServerKey {
        pool: PoolName::new("pool"),
        server: ServerName::new(format!("s{server}")),
    }
}

fn name(service: u8) -> ServiceHalf {
    ServiceHalf {
        service: ServiceName::new(format!("service{service}")),
        family: Family::V4,
    }
}

fn real(server: u8) -> RealKey {
    RealKey {
        address: SocketAddr::from(([10, 0, 5, server], 5432)),
        mode: Mode::Nat,
    }
}

/// One service of the desired state: which servers it has, and the weights of those that get new
/// flows.
#[derive(Clone, Debug)]
struct Wanted {
    listen: Vec<u16>,
    members: Vec<u8>,
    shares: Vec<(u8, u16)>,
    algorithm: Algorithm,
    idle_timeout: u32,
    /// Which of some access lists; zero: none.
    list: u8,
    policy: Policy,
}

impl Wanted {
    /// Listening on one port, all servers in turn.
    fn round_robin(port: u16, servers: &[u8]) -> Self {
        Self {
            listen: vec![port],
            members: servers.to_vec(),
            shares: servers.iter().map(|&server| (server, 1)).collect(),
            algorithm: Algorithm::RoundRobin,
            idle_timeout: 1000,
            list: 0,
            policy: Policy::default(),
        }
    }
}

/// Access list number `list`; the larger, the longer.
fn access(list: u8) -> Option<Arc<AccessList>> {
    let deny = (0..list).map(|i| Prefix::host(IpAddr::from([10 + i, 0, i, list])));
    let list_of = |deny| AccessList { allow: None, deny };
    (list > 0).then(|| Arc::new(list_of(deny.collect())))
}

/// A desired state of these services, all servers reached by interface 3 from NAT sources that
/// `sources` counts.
fn state(services: &[Wanted], sources: u8) -> DesiredState {
    let port = Port {
        mac_head: 1,
        mac_tail: 2,
        known: 1,
        mtu: 1500,
    };
    let source = |i| SnatSource {
        addr: wire::words(IpAddr::from([10, 0, 5, 200 + i])),
        port_low: 20000,
        port_high: 32767,
    };
    let mut desired = DesiredState {
        ports: [(3, port)].into(),
        ..DesiredState::default()
    };
    for (number, wanted) in (1..).zip(services) {
        for &server in &wanted.members {
            let real = DesiredReal {
                way: Some(Way {
                    ethernet: [u32::from(server), 0, 0],
                    ifindex: 3,
                    mtu: 1500,
                }),
                sources: (0..sources).map(source).collect(),
            };
            desired.reals.insert(self::real(server), real);
        }
        let vip = IpAddr::from([192, 0, 2, 1]);
        desired.marks.insert(vip);
        let listen = wanted.listen.iter();
        let service = DesiredService {
            listen: listen
                .map(|&port| wire::service_key(SocketAddr::new(vip, port), Protocol::Tcp))
                .collect::<BTreeSet<_>>(),
            idle_timeout: wanted.idle_timeout,
            access: access(wanted.list),
            limit: Limit {
                interval: wanted.list.into(),
                ..Limit::default()
            },
            blind: false,
            members: wanted
                .members
                .iter()
                .map(|&s| (key(s), self::real(s)))
                .collect(),
            ring: DesiredRing {
                algorithm: wanted.algorithm,
                shares: wanted
                    .shares
                    .iter()
                    .filter(|(server, _)| wanted.members.contains(server))
                    .map(|&(server, weight)| (key(server), weight))
                    .collect::<BTreeMap<_, _>>(),
                order: wanted
                    .shares
                    .iter()
                    .filter(|(server, _)| wanted.members.contains(server))
                    .map(|&(server, _)| key(server))
                    .collect(),
            },
            maxconn: BTreeMap::new(),
            policy: wanted.policy,
        };
        desired.services.insert(name(number), service);
    }
    desired
}
