//! The program that takes packets out of tunnels on a server, and its maps.
//!
//! As with the balancer's program, nothing is pinned: it is gone when this process is.

use std::collections::BTreeSet;
use std::net::IpAddr;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{MapData, MapError as AyaError, PerCpuArray};
use aya::{Ebpf, EbpfLoader};
use ipnet::IpNet;
use lb_common::decap::{self, Fate, PrefixKey};

use super::load::program;
use super::maps::{absent_is_fine, refused};
use super::{AttachError, Attached, LoadError, ReadError, attach};
use crate::config::XdpMode;
use crate::dataplane::{MapError, wire};

/// The program, loaded; attached to interfaces with [`Decap::attach`].
#[derive(Debug)]
pub struct Decap {
    ebpf: Ebpf,
    interfaces: Vec<Attached>,
    here: Prefixes,
    inside: Prefixes,
}

/// One of the program's sets of networks, and what it holds.
#[derive(Debug)]
struct Prefixes {
    map: &'static str,
    held: BTreeSet<IpNet>,
}

impl Decap {
    /// Loads the program. Tunnels are taken from `from` only; from anywhere if that is empty.
    pub fn load(from: &BTreeSet<IpNet>) -> Result<Self, LoadError> {
        let anywhere = u32::from(from.is_empty());
        let mut ebpf = EbpfLoader::new()
            .override_global(decap::FROM_ANYWHERE, &anywhere, true)
            .load(crate::DECAP_OBJECT)?;
        program(&mut ebpf, decap::PROGRAM)?
            .load()
            .map_err(|error| LoadError::of_program(decap::PROGRAM, error))?;
        let mut allowed = Prefixes::new(decap::FROM);
        allowed.set(&mut ebpf, from).map_err(LoadError::Fill)?;
        Ok(Self {
            ebpf,
            interfaces: Vec::new(),
            here: Prefixes::new(decap::HERE),
            inside: Prefixes::new(decap::INSIDE),
        })
    }

    /// Attaches the program to the interface called `name`, if it is not there already.
    pub fn attach(&mut self, name: &str, mode: XdpMode) -> Result<Option<Attached>, AttachError> {
        let index = nix::net::if_::if_nametoindex(name)
            .map_err(|_| AttachError::NoInterface(name.to_owned()))?;
        if self.interfaces.iter().any(|known| known.index == index) {
            return Ok(None);
        }
        let attached = attach(program(&mut self.ebpf, decap::PROGRAM)?, name, mode)?;
        // One of this name is gone: the kernel has detached what was there.
        self.interfaces.retain(|known| known.name != name);
        self.interfaces.push(attached.clone());
        Ok(Some(attached))
    }

    /// Sets which addresses are this host's, where tunnels may end.
    pub fn set_here(&mut self, networks: &BTreeSet<IpNet>) -> Result<(), MapError> {
        self.here.set(&mut self.ebpf, networks)
    }

    /// Sets which addresses tunnelled packets may be for.
    pub fn set_inside(&mut self, networks: &BTreeSet<IpNet>) -> Result<(), MapError> {
        self.inside.set(&mut self.ebpf, networks)
    }

    /// Packets by what became of them, in the order of [`Fate::ALL`].
    pub fn fates(&self) -> Result<Vec<(Fate, u64)>, ReadError> {
        let failed = |source| ReadError::Map {
            map: decap::FATES,
            source,
        };
        let map = self
            .ebpf
            .map(decap::FATES)
            .ok_or(ReadError::Missing(decap::FATES))?;
        let fates: PerCpuArray<_, u64> = map.try_into().map_err(failed)?;
        let packets = |&fate| {
            let cpus = fates.get(&(fate as u32), 0).map_err(failed)?;
            Ok((fate, cpus.iter().sum()))
        };
        Fate::ALL.iter().map(packets).collect()
    }
}

impl Prefixes {
    const fn new(map: &'static str) -> Self {
        Self {
            map,
            held: BTreeSet::new(),
        }
    }

    /// Makes the map hold `networks`. What stays is not touched; what is new comes in before
    /// anything goes.
    fn set(&mut self, ebpf: &mut Ebpf, networks: &BTreeSet<IpNet>) -> Result<(), MapError> {
        let found = ebpf.map_mut(self.map).map(TryInto::try_into);
        let missing = || AyaError::InvalidName {
            name: self.map.to_owned(),
        };
        let mut trie: LpmTrie<&mut MapData, PrefixKey, u32> = found
            .unwrap_or_else(|| Err(missing()))
            .map_err(|error| refused(self.map, "open it", error))?;
        for network in networks.difference(&self.held) {
            trie.insert(&key(network), 1, 0)
                .map_err(|error| refused(self.map, &format!("add {network}"), error))?;
        }
        for network in self.held.difference(networks) {
            absent_is_fine(trie.remove(&key(network)))
                .map_err(|error| refused(self.map, &format!("remove {network}"), error))?;
        }
        self.held.clone_from(networks);
        Ok(())
    }
}

fn key(network: &IpNet) -> Key<PrefixKey> {
    let mapped = match network.addr() {
        IpAddr::V4(_) => 96,
        IpAddr::V6(_) => 0,
    };
    Key::new(
        mapped + u32::from(network.prefix_len()),
        wire::words(network.addr()),
    )
}
