//! `lb show flows`, where there are a million: from the command's start to its end, its output read
//! through a pipe.

use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lb_common::flow::State;
use lb_userspace::config::{self, prefix};
use lb_userspace::control::protocol::{Bans, Drops, Flow, Info, Servers, Services};
use lb_userspace::control::server::{Inventory, Unavailable};
use lb_userspace::control::{Selection, Socket, serve};
use lb_userspace::dataplane::kernel::{FlowFilter, FlowTables};

use super::flows::Direction;
use super::report::{Table, grouped, progress};
use super::world::World;
use super::{Effort, go_on};
use crate::tempdir::TempDir;

const FLOWS: u32 = 1 << 20;

pub(super) fn run(effort: Effort, lb: &Path) -> Result<()> {
    progress("a million flows");
    let mut world = World::new(1, FLOWS)?;
    let common = world.common::<u32>();
    world
        .flows::<u32>()
        .fill(FLOWS, Direction::ToServer, common)?;
    let tables = FlowTables::new(world.plane.ebpf())?;
    let dir = TempDir::new()?;
    let socket = dir.join("control.sock");
    let control = config::Control {
        socket: socket.clone(),
        mode: 0o600,
        group: None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let _serving = runtime.enter();
    let socket_end = Socket::bind(&control)?;
    runtime.spawn(serve(socket_end, Arc::new(Million(tables))));

    let mut table = Table::new(["lb show flows", "flows listed", "seconds"]);
    let all = (FLOWS * 2).to_string();
    for (what, options, listed) in [
        ("the first 1000", &["--limit", "1000"][..], 1000),
        ("--client, one of all", &["--client", "10.0.100.7"], 1),
        ("--state reset, none of all", &["--state", "reset"], 0),
        (
            "--older-than, none of all",
            &["--older-than", "1000000h"],
            0,
        ),
        ("everything, as a table", &["--limit", &all], FLOWS),
        ("everything, --json", &["--limit", &all, "--json"], FLOWS),
    ] {
        progress(what);
        let mut times = Vec::new();
        for _ in 0..effort.redis_rounds {
            go_on()?;
            let (time, lines) = time(lb, &socket, options)?;
            // The heading, or the brackets around the list; that it was cut is a line too.
            let rest = lines.checked_sub(u64::from(listed));
            ensure!(
                rest.is_some_and(|rest| (1..=2).contains(&rest)),
                "{what}: {lines} lines for {listed} flows"
            );
            times.push(time);
        }
        times.sort();
        let median = times[times.len() / 2];
        table.row([
            what.to_owned(),
            grouped(listed.into()),
            format!("{:.2}", median.as_secs_f64()),
        ]);
    }
    println!("{table}");
    runtime.shutdown_background();
    Ok(())
}

/// How long the command takes, and how many lines it prints.
fn time(lb: &Path, socket: &Path, options: &[&str]) -> Result<(Duration, u64)> {
    let start = Instant::now();
    let mut child = Command::new(lb)
        .args(["show", "flows", "--socket"])
        .arg(socket)
        .args(options)
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", lb.display()))?;
    let mut output = child.stdout.take().context("a pipe was asked for")?;
    let mut buffer = vec![0; 1 << 16];
    let mut lines = 0;
    loop {
        let read = output.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
    }
    let status = child.wait()?;
    ensure!(status.success(), "lb show flows: {status}");
    Ok((start.elapsed(), lines))
}

/// An agent that knows its flows and nothing else.
struct Million(FlowTables);

impl Inventory for Million {
    fn services(&self) -> Result<Services, Unavailable> {
        Ok(Services::default())
    }

    fn servers(&self) -> Result<Servers, Unavailable> {
        Ok(Servers::default())
    }

    fn flows(
        &self,
        select: &Selection,
        visit: &mut dyn FnMut(Flow) -> ControlFlow<()>,
    ) -> Result<(), Unavailable> {
        let filter = FlowFilter {
            client: select.client.as_deref().map(prefix).transpose()?,
            state: select.state.is_some().then_some(State::Reset),
            older_than: select.older_than_ms.map(Duration::from_millis),
            ..FlowFilter::default()
        };
        let names = ["pg/pg1", "postgres"].map(Arc::<str>::from);
        let _ = self.0.visit(&filter, &mut |record| {
            visit(Flow {
                client: record.client,
                vip: record.vip,
                nat_source: record.nat_source,
                server: record.server,
                server_name: Some(names[0].clone()),
                service: Some(names[1].clone()),
                state: record.state.name().into(),
                age_seconds: record.age.as_secs_f64(),
                idle_seconds: record.idle.as_secs_f64(),
                payload: None,
            })
        });
        Ok(())
    }

    fn drops(&self) -> Result<Drops, Unavailable> {
        Ok(Drops::default())
    }

    fn bans(&self) -> Result<Bans, Unavailable> {
        Ok(Bans::default())
    }

    fn info(&self) -> Result<Info, Unavailable> {
        Err("this is a benchmark".into())
    }
}
