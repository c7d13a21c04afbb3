//! `lb show`: asks the agent and prints its documents.

mod flows;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::de::DeserializeOwned;

use super::table::{
    Align::{Left, Right},
    bytes, seconds, table,
};
use super::{Failure, not_supported_yet};
use crate::config;
use crate::control::protocol::{
    Bans, Drops, Info, ReasonCount, Server, Servers, Service, Services, Traffic, Verdict,
};
use crate::control::{self, Request, Selection, Show, What};
use crate::health::ServerHealth;
use flows::FlowArgs;

/// Where an agent listens unless its configuration says otherwise.
const SOCKET: &str = "/run/lb/control.sock";

/// Arguments of `lb show`.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// What to show
    what: Topic,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flows: FlowArgs,
    /// The agent's configuration, which names its control socket
    #[arg(short, long, value_name = "FILE", conflicts_with = "socket")]
    config: Option<PathBuf>,
    /// The agent's control socket [default: /run/lb/control.sock]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Topic {
    /// What clients connect to
    Services,
    /// Servers, their health and their share
    Servers,
    /// Connections
    Flows,
    /// Packets not forwarded, by reason
    Drops,
    /// Sources that may not connect for a while
    Bans,
    /// The agent, its interfaces and its memory
    Info,
    #[value(hide = true)]
    Vrrp,
    #[value(hide = true)]
    Sync,
}

pub(super) fn show(args: &ShowArgs) -> Result<(), Failure> {
    let what = match args.what {
        Topic::Services => What::Services,
        Topic::Servers => What::Servers,
        Topic::Flows => What::Flows,
        Topic::Drops => What::Drops,
        Topic::Bans => What::Bans,
        Topic::Info => What::Info,
        Topic::Vrrp => return Err(not_supported_yet("show vrrp")),
        Topic::Sync => return Err(not_supported_yet("show sync")),
    };
    if what == What::Flows {
        return flows::show(&args.flows, &socket(args)?, args.json);
    }
    if let Some(option) = args.flows.given() {
        return Err(Failure::of_usage(anyhow::anyhow!(
            "{option} is for `lb show flows`"
        )));
    }
    let socket = socket(args)?;
    let request = Request::Show(Show {
        what,
        limit: None,
        select: Selection::default(),
    });
    let document = control::ask(&socket, &request).map_err(Failure::at_run_time)?;
    let text = if args.json {
        document
    } else {
        render(what, &document)?.into_bytes()
    };
    print(&text).map_err(Failure::at_run_time)
}

fn socket(args: &ShowArgs) -> Result<PathBuf, Failure> {
    match (&args.socket, &args.config) {
        (Some(socket), _) => Ok(socket.clone()),
        (None, Some(file)) => match config::load(file) {
            Ok(loaded) => Ok(loaded.config.control.socket),
            Err(errors) => {
                eprintln!("{errors}");
                Err(Failure::of_configuration())
            }
        },
        (None, None) => Ok(SOCKET.into()),
    }
}

/// A reader that has seen enough (`head`) is no error.
fn print(text: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn render(what: What, document: &[u8]) -> Result<String, Failure> {
    Ok(match what {
        What::Services => services(&parse::<Services>(document)?),
        What::Servers => servers(&parse::<Servers>(document)?),
        What::Flows => unreachable!("printed as they come"),
        What::Drops => drops(&parse::<Drops>(document)?),
        What::Bans => bans(&parse::<Bans>(document)?),
        What::Info => info(&parse::<Info>(document)?),
    })
}

fn parse<T: DeserializeOwned>(document: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(document).map_err(|error| {
        Failure::at_run_time(anyhow::anyhow!(
            "the agent's answer is not understood ({error}): are it and this lb of one version?"
        ))
    })
}

fn services(document: &Services) -> String {
    let columns = [
        ("SERVICE", Left),
        ("LISTEN", Left),
        ("BALANCE", Left),
        ("POOL", Left),
        ("UP", Right),
        ("OPEN", Right),
        ("ACTIVE", Right),
        ("OPENED", Right),
        ("PACKETS IN", Right),
        ("PACKETS OUT", Right),
        ("BYTES IN", Right),
        ("BYTES OUT", Right),
    ];
    let row = |service: &Service| {
        let listen: Vec<_> = service.listen.iter().map(ToString::to_string).collect();
        let mut row = vec![
            service.name.clone(),
            listen.join(","),
            service.balance.clone(),
            service.pool.clone(),
            format!("{}/{}", service.servers_up, service.servers_total),
            service.flows.open_flows.to_string(),
            of_limit(service.flows.active_flows, service.max_flows),
            service.flows.flows_opened_total.to_string(),
        ];
        row.extend(traffic(&service.traffic));
        row
    };
    table(
        &columns,
        &document.services.iter().map(row).collect::<Vec<_>>(),
    )
}

fn servers(document: &Servers) -> String {
    let columns = [
        ("SERVER", Left),
        ("ADDRESS", Left),
        ("STATE", Left),
        ("SINCE", Right),
        ("WEIGHT", Right),
        ("OPEN", Right),
        ("ACTIVE", Right),
        ("OPENED", Right),
        ("FAILED", Right),
        ("PACKETS IN", Right),
        ("PACKETS OUT", Right),
        ("BYTES IN", Right),
        ("BYTES OUT", Right),
        ("WHY", Left),
    ];
    let row = |server: &Server| {
        let mut state = match server.state {
            ServerHealth::Up => "up".to_owned(),
            ServerHealth::Down => "down".to_owned(),
        };
        if server.backup {
            state.push_str(" backup");
        }
        if !server.enabled {
            state.push_str(" disabled");
        }
        let mut row = vec![
            format!("{}/{}", server.pool, server.name),
            server.address.to_string(),
            state,
            seconds(server.since_seconds),
            server.weight.to_string(),
            server.flows.open_flows.to_string(),
            of_limit(server.flows.active_flows, server.maxconn),
            server.flows.flows_opened_total.to_string(),
            server.flows.connect_failures_total.to_string(),
        ];
        row.extend(traffic(&server.traffic));
        row.push(match &server.via {
            None => format!("{}; no route to it", server.why),
            Some(via) if via.mac.is_none() => {
                format!(
                    "{}; next hop on {} does not answer",
                    server.why, via.interface
                )
            }
            Some(_) => server.why.clone(),
        });
        row
    };
    table(
        &columns,
        &document.servers.iter().map(row).collect::<Vec<_>>(),
    )
}

fn drops(document: &Drops) -> String {
    let list = |kind, verdicts: &[Verdict]| {
        let columns = [(kind, Left), ("PACKETS", Right), ("MEANING", Left)];
        let row = |verdict: &Verdict| {
            let packets = verdict.packets.to_string();
            vec![verdict.reason.clone(), packets, verdict.description.clone()]
        };
        table(&columns, &verdicts.iter().map(row).collect::<Vec<_>>())
    };
    let dropped = list("DROPPED", &document.drops);
    let passed = list("LEFT TO THE KERNEL", &document.passes);
    let rows = document.services.iter().flat_map(|service| {
        let row = |count: &ReasonCount| {
            let packets = count.packets.to_string();
            vec![service.service.clone(), count.reason.clone(), packets]
        };
        service.drops.iter().map(row)
    });
    let rows: Vec<_> = rows.collect();
    let columns = [("SERVICE", Left), ("DROPPED", Left), ("PACKETS", Right)];
    let by_service = match rows.is_empty() {
        true => String::new(),
        false => format!("\n{}", table(&columns, &rows)),
    };
    format!("{dropped}{by_service}\n{passed}")
}

fn bans(document: &Bans) -> String {
    let columns = [("SERVICE", Left), ("SOURCE", Left), ("LEFT", Right)];
    let rows = document.bans.iter().map(|ban| {
        // A ban that is nearly over is shown as one second.
        let left = seconds(ban.seconds_left.ceil() as u64);
        vec![ban.service.clone(), ban.source.clone(), left]
    });
    table(&columns, &rows.collect::<Vec<_>>())
}

fn info(document: &Info) -> String {
    let mut rows = vec![
        (
            "version",
            format!("{} (layouts {})", document.version, document.abi),
        ),
        (
            "process",
            format!("{}, up {}", document.pid, seconds(document.uptime_seconds)),
        ),
        ("kernel", document.kernel.clone()),
        ("configuration", document.config.display().to_string()),
        (
            "memory",
            format!(
                "{}, of which {} are maps",
                bytes(document.resident_bytes),
                bytes(document.resident_maps_bytes)
            ),
        ),
    ];
    for interface in &document.interfaces {
        let mac = interface.mac.as_deref().unwrap_or("no MAC address");
        let mtu = interface
            .mtu
            .map_or_else(|| "?".to_owned(), |mtu| mtu.to_string());
        let text = format!(
            "{}, {} mode, {mac}, MTU {mtu}",
            interface.name, interface.mode
        );
        rows.push(("interface", text));
    }
    for flow_table in &document.flow_tables {
        let share = 100.0 * flow_table.used as f64 / flow_table.slots.max(1) as f64;
        rows.push((
            "flow table",
            format!(
                "{}, {} of {} slots used ({share:.1} %), {}",
                flow_table.family,
                flow_table.used,
                flow_table.slots,
                bytes(flow_table.bytes)
            ),
        ));
    }
    for program in &document.programs {
        let verified = program.verified_instructions.map_or_else(
            || "the kernel does not say how many instructions it verified".to_owned(),
            |count| format!("{count} instructions verified"),
        );
        rows.push(("program", format!("{}, {verified}", program.name)));
    }
    rows.iter()
        .map(|(name, value)| format!("{name:<13}  {value}\n"))
        .collect()
}

/// Active flows, and how many there may be.
fn of_limit(flows: u64, most: Option<u32>) -> String {
    match most {
        Some(most) => format!("{flows}/{most}"),
        None => flows.to_string(),
    }
}

fn traffic(traffic: &Traffic) -> [String; 4] {
    [
        traffic.packets_in.to_string(),
        traffic.packets_out.to_string(),
        bytes(traffic.bytes_in),
        bytes(traffic.bytes_out),
    ]
}

#[cfg(test)]
mod tests;
