//! Memory, and what the kernel's verifier walked: as the agent itself says.

use std::path::Path;

use anyhow::{Context as _, Result};
use lb_common::map;
use lb_userspace::control::protocol::Info;

use super::report::{Table, grouped};
use super::world::{World, program};
use crate::balancer::{Backend, Check, Lb, LbConfig, Service};
use crate::network::{Family, Layout, Network};

/// Flows that the agent is told to have room for: the default.
const CAPACITY: u32 = 1 << 20;
/// What tests ask for.
const TESTS_CAPACITY: &str = "flow_capacity: 65536";

pub(super) fn run(lb: &Path) -> Result<()> {
    programs()?;
    agent(lb)
}

fn programs() -> Result<()> {
    let mut world = World::new(1, 1024)?;
    let mut table = Table::new(["program", "instructions", "verified", "JITed, bytes"]);
    for name in map::PROGRAMS {
        let info = program(world.plane.ebpf(), name)?.info()?;
        let verified = info.verified_instruction_count();
        let verified = verified.context("this kernel does not count verified instructions")?;
        table.row([
            name.to_owned(),
            grouped((info.size_translated().unwrap_or(0) / 8).into()),
            grouped(verified.into()),
            grouped(info.size_jitted().into()),
        ]);
    }
    println!("{table}");
    Ok(())
}

fn agent(lb: &Path) -> Result<()> {
    let network = Network::new(Layout::OneArm, 1)?;
    let mut service = Service::new(
        "idle",
        [Family::V4, Family::V6].map(|f| network.listen(f, 80)),
    );
    service.check = Check::None;
    for (name, family) in [("v4", Family::V4), ("v6", Family::V6)] {
        let address = (network.server_address(0, family), 80).into();
        service = service.backend(Backend::new(name, address));
    }
    let mut config = LbConfig::new(&network, &[service]);
    let capacity = format!("flow_capacity: {CAPACITY}");
    config.text = config.text.replace(TESTS_CAPACITY, &capacity);
    let lb = Lb::start_in(&network.balancer, lb, &config)?;
    let info: Info = serde_json::from_value(lb.show("info")?)?;

    println!(
        "The agent, with room for {} flows of each family: {:.1} MiB resident, and {:.1} MiB of maps \
         that it shares with the programs.",
        grouped(CAPACITY.into()),
        mebibytes(info.resident_bytes - info.resident_maps_bytes),
        mebibytes(info.resident_maps_bytes),
    );
    for table in &info.flow_tables {
        println!(
            "Flow table, {}: {:.1} MiB, {} bytes for each flow that it has room for.",
            table.family,
            mebibytes(table.bytes),
            table.bytes / u64::from(CAPACITY),
        );
    }
    println!();
    lb.stop()
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
