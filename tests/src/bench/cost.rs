//! Nanoseconds per packet, by BPF_PROG_TEST_RUN.

use std::time::Duration;

use anyhow::Result;
use lb_common::flow::FlowKey;

use super::flows::{Direction, Family, new_keys};
use super::report::{Series, Table, grouped, progress};
use super::world::{Candidate, Flags, World};
use super::{Effort, FLOWS, go_on, stay_on_one_cpu};

/// A packet is taken to have come in here: the loopback interface.
const IFINDEX: u32 = 1;

/// What was measured of one kind of packet.
pub(super) struct Cost {
    pub(super) balancer: Series,
    pub(super) floor: Series,
}

pub(super) fn run(effort: Effort) -> Result<()> {
    stay_on_one_cpu()?;
    let largest = FLOWS.into_iter().max().unwrap_or(1);
    let mut world = World::new(IFINDEX, largest)?;
    println!("Nanoseconds per packet, less those of a program that does nothing: median (least).");
    let mut table = Table::new(
        ["flows".to_owned()]
            .into_iter()
            .chain(FLOWS.map(|flows| grouped(flows.into()))),
    );
    let mut floors = Series::default();
    family::<u32>(&mut world, effort, &mut table, &mut floors)?;
    family::<[u64; 2]>(&mut world, effort, &mut table, &mut floors)?;
    println!("\n{table}");
    println!(
        "The floor, which is already subtracted (kernel's loop, making the frame, a tail call): \
         {:.0} ({:.0}) ns.\n",
        floors.median(),
        floors.min()
    );
    Ok(())
}

fn family<A: Family>(
    world: &mut World,
    effort: Effort,
    table: &mut Table,
    floors: &mut Series,
) -> Result<()> {
    for direction in Direction::BOTH {
        let mut row = vec![format!("{}, {}", A::NAME, direction.name())];
        for flows in FLOWS {
            progress(&format!("{}, {} flows", row[0], grouped(flows.into())));
            let entries = world.flows::<A>();
            entries.clear();
            let keys = entries.fill(flows, direction, world.common::<A>())?;
            world.aim(&keys)?;
            let cost = acks::<A>(world, effort, flows)?;
            row.push(cell(&cost));
            floors.extend(&cost.floor);
        }
        table.row(row);
    }
    let mut row = vec![format!("{}, a new flow", A::NAME)];
    for flows in FLOWS {
        if flows < 1 << 16 {
            row.push(String::new());
            continue;
        }
        progress(&format!("{}, {}", row[0], grouped(flows.into())));
        // Not all of the table's capacity: the last flows of a full one would be refused.
        row.push(cell(&opens(world, effort, &new_keys::<A>(flows / 8 * 7))?));
    }
    table.row(row);
    progress("");
    Ok(())
}

/// Packets of open flows. Every round goes through all flows.
fn acks<A: Family>(world: &mut World, effort: Effort, flows: u32) -> Result<Cost> {
    let packets = effort.packets.max(flows);
    let mut cost = Cost {
        balancer: Series::default(),
        floor: Series::default(),
    };
    for round in 0..=effort.rounds {
        go_on()?;
        world.under_test(Candidate::Floor)?;
        let floor = world.run::<A>(Flags::Ack, packets)?;
        world.under_test(Candidate::Balancer)?;
        let before = world.forwarded()?;
        let balancer = world.run::<A>(Flags::Ack, packets)?;
        world.expect_forwarded(before, packets.into())?;
        // The first round warms up.
        if round > 0 {
            cost.push(balancer, floor);
        }
    }
    Ok(cost)
}

/// SYNs of clients that have no flow: a server is chosen, a source port found, both entries made.
pub(super) fn opens<A: Family>(
    world: &mut World,
    effort: Effort,
    keys: &[FlowKey<A>],
) -> Result<Cost> {
    let flows = keys.len() as u32;
    world.aim(keys)?;
    let mut cost = Cost {
        balancer: Series::default(),
        floor: Series::default(),
    };
    for round in 0..=effort.rounds / 2 {
        go_on()?;
        world.flows::<A>().clear();
        world.under_test(Candidate::Floor)?;
        world.rewind()?;
        let floor = world.run::<A>(Flags::Syn, flows)?;
        world.under_test(Candidate::Balancer)?;
        world.rewind()?;
        let before = world.forwarded()?;
        let balancer = world.run::<A>(Flags::Syn, flows)?;
        world.expect_forwarded(before, flows.into())?;
        if round > 0 {
            cost.push(balancer, floor);
        }
    }
    Ok(cost)
}

impl Cost {
    pub(super) fn push(&mut self, balancer: Duration, floor: Duration) {
        self.balancer.push(balancer.as_nanos() as f64);
        self.floor.push(floor.as_nanos() as f64);
    }
}

pub(super) fn cell(cost: &Cost) -> String {
    let net = cost.balancer.minus(&cost.floor);
    format!("{:.0} ({:.0})", net.median(), net.min())
}
