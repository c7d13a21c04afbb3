//! What access lists cost: a look-up by itself, beside the kernel's own trie for prefixes with the same
//! contents, and a new flow through the whole balancer.

use anyhow::{Result, ensure};
use lb_common::flow::{FlowKey, ports};
use lb_common::limit::Limit;
use lb_userspace::access::{AccessList, Prefix, trie};

use super::cost::{Cost, cell, opens};
use super::flows::{Family, SERVICE_PORT, vip};
use super::report::{Series, Table, grouped, progress};
use super::world::{Candidate, Flags, World};
use super::{Effort, go_on, stay_on_one_cpu};

/// A packet is taken to have come in here: the loopback interface.
const IFINDEX: u32 = 1;

/// How many prefixes a list has.
const PREFIXES: [u32; 4] = [0, 1, 1_000, 100_000];

/// Clients, each with a flow of its own.
const CLIENTS: u32 = 1 << 16;

/// A limit that everybody keeps.
const LIMIT: Limit = Limit {
    interval: 1_000,
    burst: 1_000_000_000,
    ban: 0,
};

pub(super) fn run(effort: Effort) -> Result<()> {
    stay_on_one_cpu()?;
    let mut world = World::new(IFINDEX, CLIENTS)?;
    println!(
        "Access lists: nanoseconds, less those of a program that does nothing: median (least). {} \
         clients at random\naddresses, each in one of the list's prefixes.",
        grouped(CLIENTS.into())
    );
    let mut table = Table::new(
        ["prefixes".to_owned()]
            .into_iter()
            .chain(PREFIXES.map(|count| grouped(count.into()))),
    );
    family::<u32>(&mut world, effort, &mut table)?;
    family::<[u64; 2]>(&mut world, effort, &mut table)?;
    println!("\n{table}");
    Ok(())
}

fn family<A: Family>(world: &mut World, effort: Effort, table: &mut Table) -> Result<()> {
    let row = |what: &str| vec![format!("{}, {what}", A::NAME)];
    let mut list_row = row("look-up");
    let mut kernel_row = row("look-up, kernel's LPM trie");
    let mut memory_row = row("list's memory, kB");
    let mut flow_row = row("a new flow");
    let mut limited_row = row("a new flow, with new_flows");
    for count in PREFIXES {
        progress(&format!("{}, {} prefixes", A::NAME, grouped(count.into())));
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let prefixes: Vec<Prefix> = (0..count).map(|_| random.prefix::<A>()).collect();
        let keys = random.clients::<A>(&prefixes);
        world.aim(&keys)?;
        let list = AccessList {
            allow: (count > 0).then(|| prefixes.clone()),
            deny: Vec::new(),
        };
        let nodes = trie(&list, A::FAMILY);
        if count == 0 {
            for row in [&mut list_row, &mut kernel_row, &mut memory_row] {
                row.push(String::new());
            }
        } else {
            world.write_list(&nodes)?;
            list_row.push(cell(&look_ups::<A>(world, effort, A::LIST)?));
            world.write_kernel_trie::<A>(&prefixes)?;
            kernel_row.push(cell(&look_ups::<A>(world, effort, A::KERNEL_TRIE)?));
            let bytes = size_of_val(&*nodes);
            memory_row.push(format!("{:.1}", bytes as f64 / 1e3));
        }
        let access = if count == 0 {
            0
        } else {
            world.add_list(&nodes)
        };
        world.serve::<A>(access, Limit::default())?;
        flow_row.push(cell(&opens(world, effort, &keys)?));
        world.serve::<A>(access, LIMIT)?;
        limited_row.push(cell(&opens(world, effort, &keys)?));
        world.serve::<A>(0, Limit::default())?;
    }
    for row in [list_row, kernel_row, memory_row, flow_row, limited_row] {
        table.row(row);
    }
    progress("");
    Ok(())
}

/// Looks every client up. The program sends only frames of clients whom it finds, and the last
/// frame is looked at.
fn look_ups<A: Family>(world: &mut World, effort: Effort, name: &'static str) -> Result<Cost> {
    let packets = effort.packets.next_multiple_of(CLIENTS);
    let mut cost = Cost {
        balancer: Series::default(),
        floor: Series::default(),
    };
    for round in 0..=effort.rounds {
        go_on()?;
        world.under_test(Candidate::Floor)?;
        world.rewind()?;
        let floor = world.run::<A>(Flags::Syn, packets)?;
        world.under_test(Candidate::Other(name))?;
        world.rewind()?;
        let looked_up = world.run::<A>(Flags::Syn, packets)?;
        ensure!(world.not_found()? == 0, "{name} does not find every client");
        if round > 0 {
            cost.push(looked_up, floor);
        }
    }
    Ok(cost)
}

/// Random numbers that are the same in every run (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn bits(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }

    /// A prefix of a length as lists have them.
    fn prefix<A: Family>(&mut self) -> Prefix {
        let bits = self.bits();
        let length = A::LENGTHS[(self.next() >> 61) as usize];
        // Lengths are within the family's.
        Prefix::containing(A::ip(bits), length).expect("a length of the family")
    }

    /// A packet of each client, which is in one of the prefixes.
    fn clients<A: Family>(&mut self, prefixes: &[Prefix]) -> Vec<FlowKey<A>> {
        let client = |number: u32| {
            let mut bits = self.bits();
            let any = self.next() as usize;
            if let Some(prefix) = any.checked_rem(prefixes.len()).map(|i| prefixes[i]) {
                let beyond = u128::MAX.checked_shr(prefix.length().into()).unwrap_or(0);
                bits = prefix.bits() & !beyond | bits & beyond;
            }
            // No two clients are the same, even where they share an address.
            let port = 1_024 + (number % 64_000) as u16;
            FlowKey {
                src: A::from_bits(bits),
                dst: vip(),
                ports: ports(port.to_be(), SERVICE_PORT.to_be()),
            }
        };
        (0..CLIENTS / 8 * 7).map(client).collect()
    }
}
