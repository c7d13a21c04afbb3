//! What a next hop's MAC address is, and when to ask for it: no I/O.
//!
//! The kernel keeps its neighbour table fresh for its own traffic only; packets that XDP sends
//! neither use nor confirm an entry. So every next hop is asked for anew at each [`refresh`], also
//! one that the kernel believes in, and a server that has moved is found without its help.
//!
//! A MAC address that no longer answers is kept until two inquiries in a row have failed: the
//! kernel's unicast probes of the address known, then its broadcast for whoever has it now. One
//! round of lost ARP must not cut flows that work. After the second nobody is there, and to go on
//! sending would count packets as forwarded that a switch floods to nobody; without the address
//! they are counted as `no_neighbour`, which says what is wrong.
//!
//! [`refresh`]: NextHops::refresh

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A neighbour on a link: a server, or the router towards it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HopKey {
    /// The link.
    pub ifindex: u32,
    /// The neighbour's address there.
    pub address: IpAddr,
}

/// What the kernel says of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Set by an administrator, or on a link that needs no resolution: never asked for.
    Fixed([u8; 6]),
    /// Has answered at some time.
    Answered([u8; 6]),
    /// Being asked for by broadcast.
    Resolving,
    /// Did not answer.
    Failed,
    /// No entry.
    Absent,
}

/// How to make the kernel ask for a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Inquiry {
    /// Is it still there? Unicast to the address known, which stays in use (`NUD_PROBE`).
    Confirm,
    /// Who has it? Multicast or broadcast (`NTF_USE` on an entry without an address).
    Resolve,
}

/// Inquiries that must fail, one after the other, before a MAC address is given up.
const PATIENCE: u32 = 2;

/// The next hops in use.
#[derive(Clone, Debug, Default)]
pub struct NextHops {
    hops: BTreeMap<HopKey, NextHop>,
}

#[derive(Clone, Debug)]
struct NextHop {
    entry: Entry,
    /// The last good address.
    mac: Option<[u8; 6]>,
    /// Inquiries that have failed since the last answer.
    failures: u32,
    /// An inquiry is under way whose failure has not been counted.
    asked: bool,
}

impl NextHops {
    /// Follows these and no others; what is known of those that stay is kept.
    pub fn follow(&mut self, keys: &BTreeSet<HopKey>) {
        self.hops.retain(|key, _| keys.contains(key));
        for key in keys {
            self.hops.entry(*key).or_insert(NextHop {
                entry: Entry::Absent,
                mac: None,
                failures: 0,
                asked: false,
            });
        }
    }

    /// The MAC address to send to.
    pub fn mac(&self, key: &HopKey) -> Option<[u8; 6]> {
        self.hops.get(key)?.mac
    }

    /// Takes in what the kernel says of `key`. An inquiry that is due because of it is returned.
    #[must_use]
    pub fn observe(&mut self, key: &HopKey, entry: Entry) -> Option<Inquiry> {
        let hop = self.hops.get_mut(key)?;
        let before = std::mem::replace(&mut hop.entry, entry);
        match entry {
            Entry::Fixed(mac) | Entry::Answered(mac) => {
                hop.mac = Some(mac);
                hop.failures = 0;
                None
            }
            Entry::Resolving => None,
            // Never used, collected as unused, flushed, or gone with its link: says nothing of the
            // neighbour.
            Entry::Absent => {
                (before != Entry::Absent || !hop.asked).then(|| hop.ask(Inquiry::Resolve))
            }
            Entry::Failed => {
                // An event and a dump may both report one failure.
                if before != Entry::Failed || hop.asked {
                    hop.asked = false;
                    hop.failures += 1;
                }
                if hop.failures >= PATIENCE {
                    hop.mac = None;
                }
                (hop.mac.is_some()).then(|| hop.ask(Inquiry::Resolve))
            }
        }
    }

    /// Every inquiry that is due because time has passed.
    pub fn refresh(&mut self) -> Vec<(HopKey, Inquiry)> {
        let due = self.hops.iter_mut().filter_map(|(key, hop)| {
            let inquiry = match hop.entry {
                Entry::Fixed(_) => return None,
                Entry::Answered(_) => Inquiry::Confirm,
                Entry::Resolving | Entry::Failed | Entry::Absent => Inquiry::Resolve,
            };
            Some((*key, hop.ask(inquiry)))
        });
        due.collect()
    }

    /// Whether each next hop has answered or failed to.
    pub fn settled(&self) -> bool {
        self.hops
            .values()
            .all(|hop| !matches!(hop.entry, Entry::Resolving | Entry::Absent))
    }
}

impl NextHop {
    fn ask(&mut self, inquiry: Inquiry) -> Inquiry {
        self.asked = true;
        inquiry
    }
}

#[cfg(test)]
mod tests;
