//! Sizes, keys, and the way into the kernel.

use std::io;
use std::net::SocketAddr;

use aya::maps::{Map, MapData, ProgramArray};
use aya::programs::Xdp;
use aya::{Ebpf, EbpfLoader};
use lb_common::challenge::When;
use lb_common::event::{self, Kind};
use lb_common::flow::BUCKET_SLOTS;
use lb_common::hash::HashKey;
use lb_common::map;

use super::{FlowTables, Kernel, LoadError, Mapping, Sources};
use crate::config::Config;
use crate::desired::{access_nodes, ring_slots, service_ids, sticks};

/// Entries that a flow takes: one a direction.
const ENTRIES: u64 = 2;

/// The share of the IPv4 table's buckets that the IPv6 table gets where no service listens on an
/// IPv6 address: nobody needs it then.
const IDLE_SHARE: u32 = 16;

/// Buckets of a table for `flows` flows: seven of eight slots are in use when it is full. Fuller
/// than that, new flows would too often find both their buckets taken.
const fn buckets(flows: u32) -> u32 {
    let slots = (flows as u64 * ENTRIES * 8).div_ceil(7);
    slots.div_ceil(BUCKET_SLOTS as u64) as u32
}

impl Kernel {
    /// Loads the programs, with tables of the size that `config` asks for. Packets are not touched
    /// until [`Kernel::attach`].
    pub fn load(config: &Config) -> Result<Self, LoadError> {
        let buckets4 = buckets(config.dataplane.flow_capacity);
        let mut listening = config.services.iter().flat_map(|service| &service.listen);
        let buckets6 = if listening.any(SocketAddr::is_ipv6) {
            buckets4
        } else {
            buckets4.div_ceil(IDLE_SHARE)
        };
        let key = HashKey::new(random()?, random()?);
        let key = [key.add, key.multiply];
        let cookie_key = [random()?, random()?];
        let cpus = aya::util::nr_cpus()
            .map_err(|(_, error)| LoadError::Random(error))
            .map(|cpus| cpus as u32)?;
        let service_ids = service_ids(config);
        let (slots4, slots6) = (buckets4 * BUCKET_SLOTS, buckets6 * BUCKET_SLOTS);
        let logged = config.log.connections;
        let (kinds, buffer) = if logged {
            (Kind::Closed.bit(), event::BUFFER)
        } else {
            (0, page_size())
        };
        let accounts = |slots: u32| if logged { slots } else { 1 };
        let sticks = sticks(config);
        let redispatch = config.services.iter().any(|service| service.redispatch);
        let mut ebpf = EbpfLoader::new()
            .override_global(map::HASH_KEY, &key[..], true)
            .override_global(map::COOKIE_KEY, &cookie_key[..], true)
            .override_global(map::CHALLENGE, &(When::Pressed as u32), true)
            .override_global(map::BUCKETS4, &buckets4, true)
            .override_global(map::BUCKETS6, &buckets6, true)
            .override_global(map::CPUS, &cpus, true)
            .override_global(map::EVENT_KINDS, &kinds, true)
            .override_global(map::ACCOUNTING, &u32::from(logged), true)
            .override_global(map::USE_STICKS, &u32::from(sticks > 0), true)
            .override_global(map::USE_REDISPATCH, &u32::from(redispatch), true)
            .map_max_entries(map::STICKS, sticks.max(1))
            .map_max_entries(map::EVENTS, buffer)
            .map_max_entries(map::STARTS4, slots4)
            .map_max_entries(map::STARTS6, slots6)
            .map_max_entries(map::ACCOUNTS4, accounts(slots4))
            .map_max_entries(map::ACCOUNTS6, accounts(slots6))
            .map_max_entries(map::FLOWS4, buckets4)
            .map_max_entries(map::FLOWS6, buckets6)
            .map_max_entries(map::RING, ring_slots(config))
            .map_max_entries(map::SERVICE_DROPS, service_ids)
            .map_max_entries(map::ACCESS, access_nodes(config))
            .load(crate::OBJECT)?;
        load_programs(&mut ebpf)?;
        Ok(Self {
            flows: FlowTables::new(&ebpf)?,
            counts: Mapping::new(array(&ebpf, map::COUNTS)?, map::COUNTS)?,
            gauges: Mapping::new(array(&ebpf, map::GAUGES)?, map::GAUGES)?,
            ring: Mapping::new(array(&ebpf, map::RING)?, map::RING)?,
            sweep: Mapping::new(array(&ebpf, map::SWEEP)?, map::SWEEP)?,
            access: Mapping::new(array(&ebpf, map::ACCESS)?, map::ACCESS)?,
            sources: Sources::new(Mapping::new(array(&ebpf, map::SOURCES)?, map::SOURCES)?),
            service_ids,
            event_tally: Mapping::new(array(&ebpf, map::EVENT_TALLY)?, map::EVENT_TALLY)?,
            interfaces: Vec::new(),
            expiry_debt: std::time::Duration::ZERO,
            ebpf,
        })
    }
}

/// Hands the programs to the kernel, and tells it which stage is which. The array of stages belongs
/// to whoever holds `ebpf`: the kernel empties it when the last one lets go.
pub fn load_programs(ebpf: &mut Ebpf) -> Result<(), LoadError> {
    for name in map::PROGRAMS {
        program(ebpf, name)?
            .load()
            .map_err(|error| LoadError::of_program(name, error))?;
    }
    for stage in map::Stage::ALL {
        let entry = program(ebpf, stage.program())?
            .fd()
            .and_then(|fd| Ok(fd.try_clone()?))
            .map_err(|error| LoadError::of_program(stage.program(), error))?;
        let stages = ebpf
            .map_mut(map::STAGES)
            .ok_or(LoadError::Missing(map::STAGES))?;
        ProgramArray::try_from(stages)
            .and_then(|mut stages| stages.set(stage as u32, &entry, 0))
            .map_err(|error| LoadError::Loader(Box::new(error.into())))?;
    }
    Ok(())
}

/// The program of this name.
pub(super) fn program<'a>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
) -> Result<&'a mut Xdp, LoadError> {
    let program = ebpf.program_mut(name).ok_or(LoadError::Missing(name))?;
    program.try_into().map_err(|_| LoadError::Missing(name))
}

pub(super) fn array<'a>(ebpf: &'a Ebpf, name: &'static str) -> Result<&'a MapData, LoadError> {
    match ebpf.map(name) {
        Some(Map::Array(data)) => Ok(data),
        _ => Err(LoadError::Missing(name)),
    }
}

/// Bytes of a page: the smallest ring buffer that the kernel makes.
fn page_size() -> u32 {
    // SAFETY: no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u32::try_from(size).unwrap_or(4_096)
}

/// A random number that nobody outside knows.
fn random() -> Result<u64, LoadError> {
    let mut bytes = [0_u8; 8];
    // SAFETY: the buffer is as long as is said.
    let read = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if read != bytes.len() as isize {
        return Err(LoadError::Random(io::Error::last_os_error()));
    }
    Ok(u64::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::buckets;

    #[test]
    fn a_full_table_has_one_slot_in_eight_free() {
        for flows in [1_024, 65_536, 1_048_576, 16_777_216] {
            let slots = f64::from(buckets(flows)) * 8.0;
            let load = f64::from(flows) * 2.0 / slots;
            assert!((0.87..=0.875).contains(&load), "{flows}: {load}");
        }
    }
}
