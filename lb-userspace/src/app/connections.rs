//! `log.connections`: one line for each connection that has ended.
//!
//! A thread of its own reads what the data path tells and writes the lines: whoever reads the log
//! slowly delays neither checks nor packets. While it waits the ring buffer fills; what does not fit
//! is lost, counted, and said.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use lb_common::addr;
use lb_common::event::{Event, Kind, Reason};
use lb_common::flow::split_ports;

use super::lock;
use crate::dataplane::MemberId;
use crate::dataplane::ids::Id;
use crate::dataplane::kernel::{Events, Kernel};
use crate::log::CONNECTION;
use crate::reconcile::Reconciler;

/// How long a line may wait for others.
const PAUSE: Duration = Duration::from_millis(100);

/// The thread; it ends when this is dropped, after it has written what there was to write.
#[derive(Debug)]
pub(super) struct ConnectionLog {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ConnectionLog {
    pub(super) fn start(
        events: Events,
        reconciler: Arc<Mutex<Reconciler<Kernel>>>,
    ) -> io::Result<Self> {
        let ended = Arc::new(AtomicBool::new(false));
        let seen = ended.clone();
        let thread = std::thread::Builder::new()
            .name("connections".to_owned())
            .spawn(move || follow(events, &reconciler, &seen))?;
        Ok(Self {
            ended,
            thread: Some(thread),
        })
    }
}

impl Drop for ConnectionLog {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // If it has panicked, that has been said.
            let _ = thread.join();
        }
    }
}

fn follow(mut events: Events, reconciler: &Mutex<Reconciler<Kernel>>, ended: &AtomicBool) {
    let mut lost = 0;
    loop {
        // Read first: what is told before it is set is still written.
        let last = ended.load(Ordering::Relaxed);
        let mut names = None;
        for event in &mut events {
            let names = names.get_or_insert_with(|| names_of(reconciler));
            if let Some(closed) = Closed::new(&event) {
                closed.write(names);
            }
        }
        let now = events.tally().lost;
        if now > lost {
            tracing::warn!(
                "{} connections that have ended are missing in the log: it is written too slowly",
                now - lost
            );
            lost = now;
        }
        if last {
            return;
        }
        events.wait(PAUSE);
    }
}

/// Server (`POOL/SERVER`) and service of each member.
type Names = HashMap<MemberId, (String, String)>;

fn names_of(reconciler: &Mutex<Reconciler<Kernel>>) -> Names {
    let reconciler = lock(reconciler);
    let names = reconciler.members().map(|(id, key)| {
        let server = key.server.to_string();
        (id, (server, key.service.service.to_string()))
    });
    names.collect()
}

/// A connection that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Closed {
    client: SocketAddr,
    vip: SocketAddr,
    nat_source: SocketAddr,
    server: SocketAddr,
    member: Option<MemberId>,
    reason: Reason,
    lasted: Duration,
    bytes: [u64; 2],
    packets: [u64; 2],
}

impl Closed {
    /// What the event says, if it says that.
    fn new(event: &Event) -> Option<Self> {
        if event.kind != Kind::Closed as u8 {
            return None;
        }
        let (client, vip) = split_ports(event.ports);
        let (nat_source, server) = split_ports(event.new_ports);
        Some(Self {
            client: end(event.client, client),
            vip: end(event.vip, vip),
            nat_source: end(event.nat_source, nat_source),
            server: end(event.server, server),
            member: MemberId::new(event.member),
            reason: Reason::from_u8(event.reason)?,
            lasted: Duration::from_nanos(event.at.saturating_sub(event.started)),
            bytes: event.traffic.map(|traffic| traffic.bytes),
            packets: event.traffic.map(|traffic| traffic.packets),
        })
    }

    fn write(&self, names: &Names) {
        let known = self.member.and_then(|id| names.get(&id));
        let (server_name, service) =
            known.map_or(("-", "-"), |(server, service)| (server, service));
        let millis = u64::try_from(self.lasted.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            target: CONNECTION,
            client = %self.client,
            vip = %self.vip,
            nat_source = %self.nat_source,
            server = %self.server,
            server_name,
            service,
            bytes_in = self.bytes[0],
            bytes_out = self.bytes[1],
            packets_in = self.packets[0],
            packets_out = self.packets[1],
            duration_ms = millis,
            reason = self.reason.name(),
            "connection closed"
        );
    }
}

/// An address as records hold it, and a port in network order.
fn end(address: [u32; 4], port: u16) -> SocketAddr {
    let ip: IpAddr = match addr::unmapped(address) {
        Some(v4) => Ipv4Addr::from(v4.to_ne_bytes()).into(),
        None => {
            let mut bytes = [0; 16];
            for (chunk, word) in bytes.chunks_exact_mut(4).zip(address) {
                chunk.copy_from_slice(&word.to_ne_bytes());
            }
            Ipv6Addr::from(bytes).into()
        }
    };
    SocketAddr::new(ip, u16::from_be(port))
}

#[cfg(test)]
mod tests;
