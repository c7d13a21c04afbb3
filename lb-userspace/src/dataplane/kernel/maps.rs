//! Writing maps, reading counters.

use std::io;

use aya::Pod;
use aya::maps::xdp::XdpMapError;
use aya::maps::{Array, DevMapHash, HashMap, MapError as AyaError, PerCpuArray};
use lb_common::access::Node;
use lb_common::map;
use lb_common::service::{Counts, Member, Port, Real, Service, ServiceKey, SnatSource, Stats};
use lb_common::verdict::{ServiceDrops, VERDICT_COUNTERS};

use super::{Kernel, ReadError};
use crate::dataplane::ids::Id;
use crate::dataplane::{DataPlane, MapError, MemberId, RealId, ServiceId};

impl Kernel {
    /// A member's packets and bytes since its id was given out, over all processors.
    pub fn stats(&self, id: MemberId) -> Result<Stats, ReadError> {
        let stats: PerCpuArray<_, Stats> = self.map(map::STATS)?;
        let cpus = stats
            .get(&id.number().into(), 0)
            .map_err(|source| ReadError::Map {
                map: map::STATS,
                source,
            })?;
        let mut sum = Stats::default();
        for cpu in cpus.iter() {
            sum.packets_in += cpu.packets_in;
            sum.bytes_in += cpu.bytes_in;
            sum.packets_out += cpu.packets_out;
            sum.bytes_out += cpu.bytes_out;
        }
        Ok(sum)
    }

    /// Packets to a service that were dropped, by number of the reason, over all processors.
    pub fn drops(&self, id: ServiceId) -> Result<ServiceDrops, ReadError> {
        let drops: PerCpuArray<_, ServiceDrops> = self.map(map::SERVICE_DROPS)?;
        let cpus = drops
            .get(&id.number().into(), 0)
            .map_err(|source| ReadError::Map {
                map: map::SERVICE_DROPS,
                source,
            })?;
        let mut sum = ServiceDrops::default();
        for cpu in cpus.iter() {
            for (sum, packets) in sum.packets.iter_mut().zip(cpu.packets) {
                *sum += packets;
            }
        }
        Ok(sum)
    }

    /// Packets by number of the verdict ([`lb_common::verdict`]).
    pub fn verdicts(&self) -> Result<Vec<u64>, ReadError> {
        let verdicts: PerCpuArray<_, u64> = self.map(map::VERDICTS)?;
        let packets = |number| {
            let cpus = verdicts.get(&number, 0).map_err(|source| ReadError::Map {
                map: map::VERDICTS,
                source,
            })?;
            Ok(cpus.iter().sum())
        };
        (0..VERDICT_COUNTERS).map(packets).collect()
    }

    fn map<'a, M>(&'a self, name: &'static str) -> Result<M, ReadError>
    where
        M: TryFrom<&'a aya::maps::Map, Error = AyaError>,
    {
        let map = self.ebpf.map(name).ok_or(ReadError::Missing(name))?;
        map.try_into()
            .map_err(|source| ReadError::Map { map: name, source })
    }

    /// The map called `name`, to write to.
    fn map_mut<'a, M>(&'a mut self, name: &'static str) -> Result<M, MapError>
    where
        M: TryFrom<&'a mut aya::maps::Map, Error = AyaError>,
    {
        let found = self.ebpf.map_mut(name).map(TryInto::try_into);
        found
            .unwrap_or_else(|| {
                Err(AyaError::InvalidName {
                    name: name.to_owned(),
                })
            })
            .map_err(|error| refused(name, "open it", error))
    }

    fn set<V: Pod>(&mut self, name: &'static str, index: u32, value: V) -> Result<(), MapError> {
        let mut array: Array<_, V> = self.map_mut(name)?;
        array.set(index, value, 0).map_err(|error| match error {
            AyaError::OutOfBounds { index, max_entries } => MapError::OutOfBounds {
                map: name,
                index,
                len: max_entries,
            },
            error => refused(name, &format!("write entry {index}"), error),
        })
    }

    /// Sets an entry of a per-processor array to zero on every processor.
    fn clear<V: Pod + Default>(&mut self, name: &'static str, index: u32) -> Result<(), MapError> {
        let mut array: PerCpuArray<_, V> = self.map_mut(name)?;
        let failed = |error| refused(name, &format!("clear entry {index}"), error);
        let cpus = array.get(&index, 0).map_err(failed)?.len();
        let zero = vec![V::default(); cpus]
            .try_into()
            .map_err(|error| failed(AyaError::IoError(error)))?;
        array.set(index, zero, 0).map_err(failed)
    }
}

impl DataPlane for Kernel {
    fn put_port(&mut self, ifindex: u32, port: Port) -> Result<(), MapError> {
        let mut targets: DevMapHash<_> = self.map_mut(map::TX_PORTS)?;
        targets.insert(ifindex, ifindex, None, 0).map_err(|error| {
            let error = match error {
                XdpMapError::MapError(error) => error,
                other => AyaError::IoError(io::Error::other(other.to_string())),
            };
            refused(map::TX_PORTS, &format!("add interface {ifindex}"), error)
        })?;
        self.set(map::PORTS, ifindex, port)
    }

    fn remove_port(&mut self, ifindex: u32) -> Result<(), MapError> {
        self.set(map::PORTS, ifindex, Port::default())?;
        let mut targets: DevMapHash<_> = self.map_mut(map::TX_PORTS)?;
        absent_is_fine(targets.remove(ifindex))
            .map_err(|error| refused(map::TX_PORTS, &format!("remove interface {ifindex}"), error))
    }

    fn write_snat(&mut self, base: u32, sources: &[SnatSource]) -> Result<(), MapError> {
        for (index, &source) in (base..).zip(sources) {
            self.set(map::SNAT, index, source)?;
        }
        Ok(())
    }

    fn put_real(&mut self, id: RealId, real: Real) -> Result<(), MapError> {
        self.set(map::REALS, id.number().into(), real)
    }

    fn real(&self, id: RealId) -> Result<Real, MapError> {
        let failed = |error| refused(map::REALS, &format!("read {id}"), error);
        let map = self.ebpf.map(map::REALS).ok_or_else(|| {
            failed(AyaError::InvalidName {
                name: map::REALS.to_owned(),
            })
        })?;
        let reals: Array<_, Real> = map.try_into().map_err(failed)?;
        reals.get(&id.number().into(), 0).map_err(failed)
    }

    fn remove_real(&mut self, id: RealId) -> Result<(), MapError> {
        self.set(map::REALS, id.number().into(), Real::default())
    }

    fn clear_counters(&mut self, id: MemberId) -> Result<(), MapError> {
        let index = id.number().into();
        if !self.counts.write(index, Counts::default()) {
            return Err(beyond(map::COUNTS, index, self.counts.len()));
        }
        self.clear::<Stats>(map::STATS, index)
    }

    fn clear_service(&mut self, id: ServiceId) -> Result<(), MapError> {
        self.clear::<ServiceDrops>(map::SERVICE_DROPS, id.number().into())?;
        self.sources.forget(id);
        Ok(())
    }

    fn put_member(&mut self, id: MemberId, member: Member) -> Result<(), MapError> {
        self.set(map::MEMBERS, id.number().into(), member)
    }

    fn remove_member(&mut self, id: MemberId) -> Result<(), MapError> {
        self.set(map::MEMBERS, id.number().into(), Member::default())
    }

    fn write_ring(&mut self, base: u32, slots: &[MemberId]) -> Result<(), MapError> {
        for (index, id) in (base..).zip(slots) {
            if !self.ring.write(index, id.number().into()) {
                return Err(beyond(map::RING, index, self.ring.len()));
            }
        }
        Ok(())
    }

    fn write_access(&mut self, base: u32, nodes: &[Node]) -> Result<(), MapError> {
        for (index, &node) in (base..).zip(nodes) {
            if !self.access.write(index, node) {
                return Err(beyond(map::ACCESS, index, self.access.len()));
            }
        }
        Ok(())
    }

    fn put_service(&mut self, key: ServiceKey, service: Service) -> Result<(), MapError> {
        let mut services: HashMap<_, ServiceKey, Service> = self.map_mut(map::SERVICES)?;
        services
            .insert(key, service, 0)
            .map_err(|error| refused(map::SERVICES, "write a listening address", error))
    }

    fn remove_service(&mut self, key: ServiceKey) -> Result<(), MapError> {
        let mut services: HashMap<_, ServiceKey, Service> = self.map_mut(map::SERVICES)?;
        absent_is_fine(services.remove(&key))
            .map_err(|error| refused(map::SERVICES, "remove a listening address", error))
    }

    fn counts(&self, id: MemberId) -> Counts {
        self.counts.read(id.number().into()).unwrap_or_default()
    }

    fn ring_slots(&self) -> u32 {
        self.ring.len()
    }

    fn access_nodes(&self) -> u32 {
        self.access.len()
    }

    fn service_ids(&self) -> u32 {
        self.service_ids
    }
}

/// What is already gone need not be removed.
pub(super) fn absent_is_fine(result: Result<(), AyaError>) -> Result<(), AyaError> {
    match result {
        Err(AyaError::SyscallError(error))
            if error.io_error.raw_os_error() == Some(libc::ENOENT) =>
        {
            Ok(())
        }
        Err(AyaError::KeyNotFound) => Ok(()),
        other => other,
    }
}

fn beyond(map: &'static str, index: u32, len: u32) -> MapError {
    MapError::OutOfBounds { map, index, len }
}

/// The kernel's own words, without the loader's around them.
pub(super) fn refused(map: &'static str, action: &str, error: AyaError) -> MapError {
    let source = match error {
        AyaError::SyscallError(error) => error.io_error,
        AyaError::IoError(error) => error,
        other => io::Error::other(other.to_string()),
    };
    MapError::Kernel {
        map,
        action: action.to_owned(),
        source,
    }
}
