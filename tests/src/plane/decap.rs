//! The program of `lb decap`, loaded but attached to nothing.

use std::net::IpAddr;

use anyhow::{Context, Result};
use aya::maps::PerCpuArray;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::programs::Xdp;
use aya::{Ebpf, EbpfLoader};
use lb_common::decap::{self, Fate, PrefixKey};
use lb_userspace::dataplane::wire;

use super::run::{Ran, run};

/// The loaded program with its maps.
#[derive(Debug)]
pub struct DecapPlane {
    ebpf: Ebpf,
}

impl DecapPlane {
    /// Loads it on a host with the addresses `here`, of which `inside` may be in tunnels that come
    /// from `from`; from anywhere without.
    pub fn load(here: &[IpAddr], inside: &[IpAddr], from: Option<IpAddr>) -> Result<Self> {
        let anywhere = u32::from(from.is_none());
        let mut ebpf = EbpfLoader::new()
            .override_global(decap::FROM_ANYWHERE, &anywhere, true)
            .load(lb_userspace::DECAP_OBJECT)
            .context("cannot load the BPF object")?;
        let program: &mut Xdp = ebpf
            .program_mut(decap::PROGRAM)
            .context("the object has no such program")?
            .try_into()?;
        program.load()?;
        let mut plane = Self { ebpf };
        plane.fill(decap::HERE, here)?;
        plane.fill(decap::INSIDE, inside)?;
        plane.fill(decap::FROM, from.as_slice())?;
        Ok(plane)
    }

    /// Runs it on a frame that came in by `ifindex`, an interface of the calling thread's network
    /// namespace.
    pub fn run(&self, ifindex: u32, frame: &[u8]) -> Result<Ran> {
        let program = self
            .ebpf
            .program(decap::PROGRAM)
            .context("the object has no such program")?;
        run(program.try_into()?, ifindex, frame)
    }

    /// Packets by what became of them, where there were any.
    pub fn fates(&self) -> Result<Vec<(Fate, u64)>> {
        let map = self.ebpf.map(decap::FATES).context("no map FATES")?;
        let fates: PerCpuArray<_, u64> = map.try_into()?;
        let mut found = Vec::new();
        for &fate in Fate::ALL {
            let packets: u64 = fates.get(&(fate as u32), 0)?.iter().sum();
            if packets > 0 {
                found.push((fate, packets));
            }
        }
        Ok(found)
    }

    /// Instructions that the verifier walked, if the kernel tells.
    pub fn verified_instructions(&self) -> Option<u32> {
        let program = self.ebpf.program(decap::PROGRAM)?;
        program.info().ok()?.verified_instruction_count()
    }

    fn fill(&mut self, map: &str, addresses: &[IpAddr]) -> Result<()> {
        let map = self.ebpf.map_mut(map).context("no such map")?;
        let mut trie: LpmTrie<_, PrefixKey, u32> = map.try_into()?;
        for &address in addresses {
            trie.insert(&Key::new(128, wire::words(address)), 1, 0)?;
        }
        Ok(())
    }
}
