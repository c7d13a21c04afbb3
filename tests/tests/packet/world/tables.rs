//! The flow table as cases look at it, whatever the family.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lb_common::addr::{self, Address};
use lb_common::flow::{Bucket, Origin, Slot, State, Word, split_ports};
use lb_common::load::Load;
use lb_common::service::Counts;
use lb_tests::plane::{Mapped, Plane};

use super::{Conn, Family, SERVERS, SERVICE_GAUGE, World, member_of};

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) index: u32,
    pub(crate) word: Word,
    pub(crate) src: SocketAddr,
    pub(crate) dst: SocketAddr,
    pub(crate) new_src: SocketAddr,
    pub(crate) new_dst: SocketAddr,
    pub(crate) twin: u32,
    pub(crate) member: u16,
    pub(crate) real: u16,
    pub(crate) origin: Origin,
    pub(crate) seen: u32,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
}

/// An address as a test reads it.
trait Readable: Address {
    fn ip(self) -> IpAddr;
}

impl Readable for u32 {
    fn ip(self) -> IpAddr {
        Ipv4Addr::from(self.to_ne_bytes()).into()
    }
}

impl Readable for [u64; 2] {
    fn ip(self) -> IpAddr {
        let mut bytes = [0; 16];
        for (chunk, word) in bytes.chunks_mut(4).zip(addr::narrow(self)) {
            chunk.copy_from_slice(&word.to_ne_bytes());
        }
        Ipv6Addr::from(bytes).into()
    }
}

impl Flow {
    fn new<A: Readable>(index: u32, slot: &Slot<A>) -> Self {
        let ends = |src: A, dst: A, ports| {
            let (from, to) = split_ports(ports);
            (
                SocketAddr::new(src.ip(), u16::from_be(from)),
                SocketAddr::new(dst.ip(), u16::from_be(to)),
            )
        };
        let (src, dst) = ends(slot.src, slot.dst, slot.ports);
        let (new_src, new_dst) = ends(slot.new_src, slot.new_dst, slot.new_ports);
        Self {
            index,
            word: Word(slot.word),
            src,
            dst,
            new_src,
            new_dst,
            twin: slot.twin,
            member: slot.member,
            real: slot.real,
            origin: Origin::unpack(slot.origin),
            seen: slot.seen,
            seq: slot.seq,
            ack: slot.ack,
        }
    }

    pub(crate) fn state(&self) -> State {
        self.word.state()
    }
}

impl World {
    /// All entries in use.
    pub(crate) fn entries(&self) -> Vec<Flow> {
        fn read<A: Readable>(table: &Mapped<Bucket<A>>) -> Vec<Flow> {
            let used = table.used();
            used.iter()
                .map(|(index, slot)| Flow::new(*index, slot))
                .collect()
        }
        match self.family {
            Family::V4 => read(self.plane.flows4()),
            Family::V6 => read(self.plane.flows6()),
        }
    }

    /// The live forward entry of a client's end, if there is one.
    pub(crate) fn find(&self, client: SocketAddr) -> Option<Flow> {
        self.entries()
            .into_iter()
            .find(|flow| flow.state().is_forward() && flow.src == client)
    }

    /// The forward entry of a connection.
    #[track_caller]
    pub(crate) fn flow(&self, conn: &Conn) -> Flow {
        self.find(conn.client).expect("the flow is in the table")
    }

    /// The reply entry of a connection.
    #[track_caller]
    pub(crate) fn reply(&self, conn: &Conn) -> Flow {
        let twin = self.flow(conn).twin;
        let entries = self.entries();
        *entries
            .iter()
            .find(|flow| flow.index == twin)
            .expect("flows have a reply entry")
    }

    /// The state of a connection's flow; `Free` if there is none.
    pub(crate) fn state(&self, conn: &Conn) -> State {
        self.find(conn.client)
            .map_or(State::Free, |flow| flow.state())
    }

    /// Makes both directions of a flow as old as if nothing had come for so many ticks.
    pub(crate) fn age(&self, conn: &Conn, ticks: u32) {
        let flow = self.flow(conn);
        for index in [flow.index, flow.twin] {
            self.set_seen(index, Plane::now().wrapping_sub(ticks));
        }
    }

    /// Sets when an entry's last packet came.
    pub(crate) fn set_seen(&self, index: u32, tick: u32) {
        match self.family {
            Family::V4 => {
                let table = self.plane.flows4();
                let slot = table.slot(index);
                table.set_slot(index, &Slot { seen: tick, ..slot });
            }
            Family::V6 => {
                let table = self.plane.flows6();
                let slot = table.slot(index);
                table.set_slot(index, &Slot { seen: tick, ..slot });
            }
        }
    }

    /// A server's flows: all, open ones, and how many there ever were.
    pub(crate) fn counts(&self, server: u16) -> (u64, u64, u64) {
        let Counts {
            flows,
            open,
            opened_total,
            ..
        } = self.plane.counts(member_of(server));
        (flows, open, opened_total)
    }

    /// What must hold of the table whenever nobody is at work on it: no key twice, each forward
    /// entry with its reply entry, no other reply entries, nothing claimed, counts exact.
    #[track_caller]
    pub(crate) fn verify(&self) {
        let entries = self.entries();
        let by_index: HashMap<u32, &Flow> = entries.iter().map(|flow| (flow.index, flow)).collect();
        let mut keys = HashSet::new();
        for flow in &entries {
            assert!(flow.state().is_live(), "left claimed: {flow:?}");
            assert!(keys.insert((flow.src, flow.dst)), "twice: {flow:?}");
            let twin = by_index
                .get(&flow.twin)
                .unwrap_or_else(|| panic!("no twin: {flow:?}"));
            assert_eq!(twin.twin, flow.index, "{flow:?} and {twin:?}");
            assert_ne!(
                twin.state().is_forward(),
                flow.state().is_forward(),
                "{flow:?}"
            );
            assert_eq!(
                (twin.src, twin.dst),
                (flow.new_dst, flow.new_src),
                "{flow:?}"
            );
            assert_eq!(
                (twin.new_src, twin.new_dst),
                (flow.dst, flow.src),
                "{flow:?}"
            );
            assert_eq!(
                (twin.member, twin.real),
                (flow.member, flow.real),
                "{flow:?}"
            );
            assert_eq!(twin.origin, flow.origin, "{flow:?}");
        }
        let loads = |holds: &dyn Fn(&Flow) -> bool| {
            let held = entries.iter().filter(|flow| flow.state().is_forward());
            let held: Vec<_> = held.filter(|flow| holds(flow)).collect();
            let of = |is: fn(State) -> bool| held.iter().filter(|flow| is(flow.state())).count();
            Load {
                open: of(State::is_open) as u64,
                unproved: of(State::is_unproved) as u64,
            }
        };
        let table = u32::from(self.family == Family::V6);
        assert_eq!(self.plane.table_load(table), loads(&|_| true), "the table");
        for server in 1..=SERVERS {
            let of_server = |flow: &Flow| flow.real == server;
            assert_eq!(
                self.plane.real_load(server),
                loads(&of_server),
                "ports towards server {server}"
            );
        }
        let mut total = 0;
        for server in 1..=SERVERS {
            let flows = || {
                let flows = entries
                    .iter()
                    .filter(|flow| flow.member == member_of(server));
                flows.filter(|flow| flow.state().is_forward())
            };
            let (held, open, _) = self.counts(server);
            assert_eq!(held, flows().count() as u64, "flows of server {server}");
            let really = flows().filter(|flow| flow.state().is_open()).count() as u64;
            assert_eq!(open, really, "open flows of server {server}");
            let active = flows().filter(|flow| flow.state().is_active()).count() as u64;
            let gauge = self.plane.gauge(server);
            assert_eq!(gauge, active, "active flows of server {server}");
            total += active;
        }
        let gauge = self.plane.gauge(SERVICE_GAUGE);
        assert_eq!(gauge, total, "active flows of the service");
    }
}
