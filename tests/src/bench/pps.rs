//! Packets per second through a virtual Ethernet pair.
//!
//! One end makes frames (a live-frames run of an entry program), the other has the program under
//! test, which sends them back where they came from, and the first end counts them. The bare
//! reflector in its place says what the machine and the pair allow. One processor does it all.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aya::programs::XdpMode;

use super::flows::{Direction, Family};
use super::report::{Series, Table, grouped, progress};
use super::world::{Candidate, World, program};
use super::{Effort, FLOWS, go_on, stay_on_one_cpu};
use crate::netns::Namespace;

/// Packets that have not come back by then were lost.
const PATIENCE: Duration = Duration::from_secs(2);

/// Frames that are sent at once, and so are received at once. A driver under load hands over 64
/// (NAPI's weight); with fewer, sending and receiving cost more, and the program less of the whole.
const BATCHES: [u32; 3] = [64, 8, 1];

const SENDER: &str = "sender";
const BALANCER: &str = "balancer";

/// Million packets per second, taken in turn.
#[derive(Default)]
struct Rates {
    reflector: Series,
    balancer: Series,
}

pub(super) fn run(effort: Effort) -> Result<()> {
    let namespace = Namespace::new("bench")?;
    // The stack must not send frames of its own, which would be counted.
    namespace.sysctl("net/ipv6/conf/default/disable_ipv6", "1")?;
    namespace.add_veth(SENDER, &namespace, BALANCER)?;
    let sender = namespace.ifindex(SENDER)?;
    let balancer = namespace.ifindex(BALANCER)?;
    println!("Million packets per second through a virtual interface, one processor: median.");
    let mut table = Table::new(
        ["flows".to_owned()]
            .into_iter()
            .chain(FLOWS.map(|flows| grouped(flows.into()))),
    );
    namespace.run(|| -> Result<()> {
        stay_on_one_cpu()?;
        let largest = FLOWS.into_iter().max().unwrap_or(1);
        let mut world = World::new(balancer, largest)?;
        world.nothing_under_test()?;
        program(&mut world.bench, "bench_sink")?
            .attach_to_if_index(sender, XdpMode::Driver)
            .context("no driver mode on a virtual interface")?;
        let mut pair = Pair {
            world,
            sender,
            balancer,
        };
        for batch in BATCHES {
            family::<u32>(&mut pair, effort, batch, &mut table)?;
            family::<[u64; 2]>(&mut pair, effort, batch, &mut table)?;
        }
        Ok(())
    })?;
    progress("");
    println!("\n{table}");
    Ok(())
}

/// Both ends, and what runs there.
struct Pair {
    world: World,
    sender: u32,
    balancer: u32,
}

fn family<A: Family>(pair: &mut Pair, effort: Effort, batch: u32, table: &mut Table) -> Result<()> {
    let head = format!("{}, {batch} at a time", A::NAME);
    let all = FLOWS
        .iter()
        .map(|&flows| {
            progress(&format!("{head}, {} flows", grouped(flows.into())));
            rates::<A>(pair, effort, flows, batch)
        })
        .collect::<Result<Vec<_>>>()?;
    let mut row = |what: &str, figure: &dyn Fn(&Rates) -> f64| {
        let name = format!("{head}: {what}");
        let figures = all.iter().map(|rates| format!("{:.2}", figure(rates)));
        table.row([name].into_iter().chain(figures));
    };
    row("bare reflector", &|rates| rates.reflector.median());
    row("lb", &|rates| rates.balancer.median());
    row("lb / reflector", &|rates| {
        rates.balancer.over(&rates.reflector).median()
    });
    Ok(())
}

fn rates<A: Family>(pair: &mut Pair, effort: Effort, flows: u32, batch: u32) -> Result<Rates> {
    let entries = pair.world.flows::<A>();
    entries.clear();
    let common = pair.world.common::<A>();
    let keys = entries.fill(flows, Direction::ToServer, common)?;
    pair.world.aim(&keys)?;
    let packets = effort.packets.max(flows);
    let mut rates = Rates::default();
    for round in 0..=effort.rounds {
        go_on()?;
        let reflector = pair.rate::<A>(Candidate::Floor, packets, batch)?;
        let before = pair.world.forwarded()?;
        let balancer = pair.rate::<A>(Candidate::Balancer, packets, batch)?;
        pair.world.expect_forwarded(before, packets.into())?;
        // The first round warms up.
        if round > 0 {
            rates.reflector.push(reflector);
            rates.balancer.push(balancer);
        }
    }
    Ok(rates)
}

impl Pair {
    /// Million packets per second that came back through `candidate`.
    fn rate<A: Family>(&mut self, candidate: Candidate, packets: u32, batch: u32) -> Result<f64> {
        let ifindex = self.balancer;
        let program = self.world.candidate(candidate)?;
        let link = program.attach_to_if_index(ifindex, XdpMode::Driver)?;
        self.world.empty_sink()?;
        self.world.send::<A>(self.sender, packets, batch)?;
        let sent = Instant::now();
        let mut sunk = self.world.sunk()?;
        // The last batches may still be on their way, at the hands of the kernel's own thread.
        while sunk.frames < packets.into() && sent.elapsed() < PATIENCE {
            sleep(Duration::from_millis(1));
            sunk = self.world.sunk()?;
        }
        self.world.candidate(candidate)?.detach(link)?;
        ensure!(
            sunk.frames == u64::from(packets),
            "{} of {packets} packets came back through {candidate:?}",
            sunk.frames
        );
        Ok(sunk.timed as f64 / sunk.time.as_secs_f64() / 1e6)
    }
}
