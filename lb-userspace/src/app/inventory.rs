//! What the control socket can ask for.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use lb_common::ABI_VERSION;
use lb_common::verdict::ServiceDrops;
use tokio::sync::watch;

use super::documents::{self, Active, Tally};
use super::{lock, process, selection};
use crate::config::Config;
use crate::control::Selection;
use crate::control::protocol::{
    Bans, ConnectionLog, Drops, Flow, FlowTable, Info, Interface, Payload, Program, Servers,
    Services,
};
use crate::control::server::Unavailable;
use crate::dataplane::DataPlane;
use crate::dataplane::kernel::{Attached, Kernel, ProgramInfo, TableInfo};
use crate::health;
use crate::neighbour::{Mac, Network};
use crate::reconcile::Reconciler;

/// Reads the same maps that the agent's loop writes. The lock is held for as long as counters take
/// to read, and never while the flow table is walked.
pub(super) struct Inventory {
    pub(super) config: Arc<Config>,
    pub(super) file: PathBuf,
    pub(super) started: Instant,
    pub(super) reconciler: Arc<Mutex<Reconciler<Kernel>>>,
    pub(super) health: health::Reports,
    pub(super) network: watch::Receiver<Network>,
}

impl Inventory {
    fn tallies(&self) -> Result<Vec<Tally>, Unavailable> {
        let reconciler = lock(&self.reconciler);
        let plane = reconciler.plane();
        let tallies = reconciler.members().map(|(id, key)| {
            Ok(Tally {
                service: key.service.service.clone(),
                server: key.server.clone(),
                counts: plane.counts(id),
                stats: plane.stats(id)?,
            })
        });
        tallies.collect()
    }

    fn active(&self) -> Active {
        let reconciler = lock(&self.reconciler);
        let gauges = reconciler.gauges();
        gauges
            .map(|(id, of)| (of.clone(), reconciler.plane().gauge(id)))
            .collect()
    }
}

impl crate::control::Inventory for Inventory {
    fn services(&self) -> Result<Services, Unavailable> {
        let tallies = self.tallies()?;
        Ok(documents::services(
            &self.config,
            &self.health.statuses.borrow(),
            &tallies,
            &self.active(),
        ))
    }

    fn servers(&self) -> Result<Servers, Unavailable> {
        let tallies = self.tallies()?;
        let statuses = self.health.statuses.borrow();
        let network = self.network.borrow();
        Ok(documents::servers(
            &self.config,
            &statuses,
            &network,
            &tallies,
            &self.active(),
            Instant::now(),
        ))
    }

    fn flows(
        &self,
        select: &Selection,
        visit: &mut dyn FnMut(Flow) -> ControlFlow<()>,
    ) -> Result<(), Unavailable> {
        let (tables, members) = {
            let reconciler = lock(&self.reconciler);
            let members = reconciler.members().map(|(id, key)| (id, key.clone()));
            (
                reconciler.plane().flows().clone(),
                members.collect::<HashMap<_, _>>(),
            )
        };
        let filter = selection::filter(&self.config, select, &members)?;
        let names: HashMap<_, _> = members
            .iter()
            .map(|(id, key)| (*id, selection::names(key)))
            .collect();
        let _ = tables.visit(&filter, &mut |record| {
            let member = record.member.and_then(|id| names.get(&id));
            visit(Flow {
                client: record.client,
                vip: record.vip,
                nat_source: record.nat_source,
                server: record.server,
                server_name: member.map(|(server, _)| server.clone()),
                service: member.map(|(_, service)| service.clone()),
                state: record.state.name().into(),
                age_seconds: record.age.as_secs_f64(),
                idle_seconds: record.idle.as_secs_f64(),
                payload: record.traffic.map(|[forward, reply]| Payload {
                    packets_in: forward.packets,
                    payload_bytes_in: forward.bytes,
                    packets_out: reply.packets,
                    payload_bytes_out: reply.bytes,
                }),
            })
        });
        Ok(())
    }

    fn drops(&self) -> Result<Drops, Unavailable> {
        let reconciler = lock(&self.reconciler);
        let plane = reconciler.plane();
        let packets = plane.verdicts()?;
        let mut services = BTreeMap::<_, ServiceDrops>::new();
        for (id, half) in reconciler.services() {
            let half_drops = plane.drops(id)?.packets;
            let drops = services.entry(half.service.clone()).or_default();
            for (sum, packets) in drops.packets.iter_mut().zip(half_drops) {
                *sum += packets;
            }
        }
        Ok(documents::drops(&self.config, &services, |number| {
            packets.get(number as usize).copied().unwrap_or(0)
        }))
    }

    fn bans(&self) -> Result<Bans, Unavailable> {
        let (sources, services) = {
            let reconciler = lock(&self.reconciler);
            let services = reconciler.services().map(|(id, half)| (id, half.clone()));
            (
                reconciler.plane().sources().clone(),
                services.collect::<HashMap<_, _>>(),
            )
        };
        Ok(documents::bans(&self.config, &services, &sources.bans()))
    }

    fn info(&self) -> Result<Info, Unavailable> {
        let reconciler = lock(&self.reconciler);
        let plane = reconciler.plane();
        let network = self.network.borrow();
        let memory = process::memory();
        let interface = |attached: &Attached| {
            let link = network.links.get(&attached.index);
            Interface {
                name: attached.name.clone(),
                index: attached.index,
                mode: attached.mode.to_string(),
                mac: link.map(|link| Mac(link.mac).to_string()),
                mtu: link.map(|link| link.mtu),
            }
        };
        let tables = ["ipv4", "ipv6"].into_iter().zip(plane.tables());
        let table = |(family, table): (&str, TableInfo)| FlowTable {
            family: family.to_owned(),
            slots: table.slots,
            used: table.used,
            bytes: table.bytes,
        };
        let program = |program: ProgramInfo| Program {
            name: program.name.to_owned(),
            verified_instructions: program.verified_instructions,
        };
        Ok(Info {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            abi: ABI_VERSION,
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            kernel: process::kernel(),
            config: self.file.clone(),
            resident_bytes: memory.resident,
            resident_maps_bytes: memory.maps,
            interfaces: plane.interfaces().iter().map(interface).collect(),
            flow_tables: tables.map(table).collect(),
            programs: plane.programs().into_iter().map(program).collect(),
            connection_log: self.config.log.connections.then(|| {
                let tally = plane.event_tally();
                ConnectionLog {
                    told: tally.written,
                    lost: tally.lost,
                }
            }),
        })
    }
}
