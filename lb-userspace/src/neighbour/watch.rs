//! The task that keeps [`Network`] right.
//!
//! It subscribes to the kernel's events first and reads the whole picture then, so nothing that
//! changes in between is missed. A change of links, addresses, rules or routes makes it read the
//! picture again, a neighbour's event touches that neighbour only, and every [`REFRESH`] it does
//! both and asks for every next hop anew. When netlink fails, the last picture stands and the task
//! starts over; dropping the future ends it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use futures_util::stream::StreamExt;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::hops::{Entry, HopKey, Inquiry, NextHops};
use super::netlink::{self, Error, Event, LinkFacts, Netlink, Route};
use super::{Hop, Link, Network};

/// How often every next hop is asked for. With the three seconds that the kernel's probes take, it
/// bounds how long packets go to a server's old MAC address when it moves and does not say so.
pub const REFRESH: Duration = Duration::from_secs(10);

/// Changes of routes come in bursts; they are taken in together.
const SETTLE: Duration = Duration::from_millis(50);

/// Before netlink is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What to watch.
#[derive(Debug)]
pub struct Watch {
    interfaces: BTreeSet<String>,
    destinations: BTreeSet<IpAddr>,
    links: Vec<LinkFacts>,
    routes: BTreeMap<IpAddr, Route>,
    hops: NextHops,
    read_once: bool,
    network: watch::Sender<Network>,
    settled: watch::Sender<bool>,
}

/// What [`Watch`] publishes.
#[derive(Clone, Debug)]
pub struct Reports {
    /// Changes with the network, and only then.
    pub network: watch::Receiver<Network>,
    settled: watch::Receiver<bool>,
}

impl Reports {
    /// Waits until every next hop has answered or failed to, but not longer than `limit`.
    pub async fn first_round(&mut self, limit: Duration) {
        // Past the limit the agent goes on with what is known.
        let _ = timeout(limit, self.settled.wait_for(|settled| *settled)).await;
    }
}

impl Watch {
    /// The ways to `destinations`, and the interfaces named.
    pub fn new(
        interfaces: impl IntoIterator<Item = String>,
        destinations: impl IntoIterator<Item = IpAddr>,
    ) -> (Self, Reports) {
        let (network, network_reports) = watch::channel(Network::default());
        let (settled, settled_reports) = watch::channel(false);
        let watch = Self {
            interfaces: interfaces.into_iter().collect(),
            destinations: destinations.into_iter().collect(),
            links: Vec::new(),
            routes: BTreeMap::new(),
            hops: NextHops::default(),
            read_once: false,
            network,
            settled,
        };
        (
            watch,
            Reports {
                network: network_reports,
                settled: settled_reports,
            },
        )
    }

    /// Watches until the future is dropped.
    pub async fn run(mut self) {
        loop {
            if let Err(error) = self.session().await {
                tracing::warn!("{error}; the routes and next hops known so far stay in use");
            }
            sleep(RETRY).await;
        }
    }

    async fn session(&mut self) -> Result<(), Error> {
        let mut events = netlink::events()?;
        let netlink = Netlink::open()?;
        let mut refresh = interval(REFRESH);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut read_again_at: Option<Instant> = None;
        loop {
            tokio::select! {
                // The first tick is immediate.
                _ = refresh.tick() => {
                    self.read(&netlink).await?;
                    for (key, inquiry) in self.hops.refresh() {
                        inquire(&netlink, key, inquiry).await?;
                    }
                }
                () = sleep_until(read_again_at.unwrap_or_else(Instant::now)), if read_again_at.is_some() => {
                    read_again_at = None;
                    self.read(&netlink).await?;
                }
                event = events.next() => match event.ok_or(Error::Lost)? {
                    Event::Neighbour(key, entry) => {
                        if let Some(inquiry) = self.hops.observe(&key, entry) {
                            inquire(&netlink, key, inquiry).await?;
                        }
                    }
                    Event::Topology | Event::Lost => {
                        read_again_at.get_or_insert_with(|| Instant::now() + SETTLE);
                    }
                }
            }
            self.publish();
        }
    }

    /// Reads links, routes and neighbours.
    async fn read(&mut self, netlink: &Netlink) -> Result<(), Error> {
        self.links = netlink.links().await?;
        for destination in &self.destinations {
            let route = netlink.route(*destination).await?;
            self.routes.insert(*destination, route);
        }
        let wanted = self
            .routes
            .iter()
            .filter_map(|(to, route)| next_hop(*to, route))
            .collect();
        self.hops.follow(&wanted);
        let table: BTreeMap<_, _> = netlink.neighbours().await?.into_iter().collect();
        for key in wanted {
            let entry = table.get(&key).copied().unwrap_or(Entry::Absent);
            if let Some(inquiry) = self.hops.observe(&key, entry) {
                inquire(netlink, key, inquiry).await?;
            }
        }
        self.read_once = true;
        Ok(())
    }

    fn publish(&self) {
        let new = picture(&self.interfaces, &self.links, &self.routes, &self.hops);
        self.network.send_if_modified(|network| {
            let changed = *network != new;
            *network = new;
            changed
        });
        let settled = self.read_once && self.hops.settled();
        self.settled
            .send_if_modified(|known| std::mem::replace(known, settled) != settled);
    }
}

/// An interface or a neighbour may be gone by now: whatever replaced it arrives as an event.
async fn inquire(netlink: &Netlink, key: HopKey, inquiry: Inquiry) -> Result<(), Error> {
    match netlink.inquire(key, inquiry).await {
        Err(Error::Refused { source, .. }) => {
            tracing::debug!(
                "asking for {} on interface {}: {source}",
                key.address,
                key.ifindex
            );
            Ok(())
        }
        other => other,
    }
}

fn next_hop(destination: IpAddr, route: &Route) -> Option<HopKey> {
    match route {
        Route::Via {
            ifindex, gateway, ..
        } => Some(HopKey {
            ifindex: *ifindex,
            address: gateway.unwrap_or(destination),
        }),
        Route::Local | Route::None => None,
    }
}

/// Puts together what is known.
fn picture(
    interfaces: &BTreeSet<String>,
    links: &[LinkFacts],
    routes: &BTreeMap<IpAddr, Route>,
    hops: &NextHops,
) -> Network {
    let links = links
        .iter()
        .filter(|link| interfaces.contains(&link.name))
        .filter_map(|link| {
            let mac = link.mac?;
            Some((
                link.index,
                Link {
                    name: link.name.clone(),
                    mac,
                    mtu: link.mtu,
                },
            ))
        });
    let hops = routes.iter().filter_map(|(destination, route)| {
        let key = next_hop(*destination, route)?;
        let Route::Via {
            ifindex, source, ..
        } = route
        else {
            return None;
        };
        let hop = Hop {
            ifindex: *ifindex,
            source: *source,
            mac: hops.mac(&key),
        };
        Some((*destination, hop))
    });
    Network {
        links: links.collect(),
        hops: hops.collect(),
    }
}

#[cfg(test)]
mod tests;
