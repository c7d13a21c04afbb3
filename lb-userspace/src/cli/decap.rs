//! `lb decap`.

use std::io::{self, Write};
use std::net::IpAddr;

use clap::Args;
use ipnet::IpNet;
use lb_common::decap::Fate;

use super::Failure;
use super::run::Mode;
use super::table::{Align, table};
use crate::config::{XdpMode, prefix};
use crate::decap::{self, Options};

/// Arguments of `lb decap`.
#[derive(Debug, Args)]
pub(super) struct DecapArgs {
    /// An interface that the balancer's packets come in by; may be given several times
    #[arg(long, value_name = "IF", required = true)]
    iface: Vec<String>,
    /// How to attach
    #[arg(long, value_name = "MODE", value_enum, default_value_t = Mode::Auto)]
    xdp_mode: Mode,
    /// A balancer's address or network (the outer source); others' tunnels are dropped. May be given
    /// several times [default: anyone]
    #[arg(long, value_name = "CIDR", value_parser = prefix)]
    from: Vec<IpNet>,
    /// An address of this host that tunnelled packets may be for; may be given several times
    /// [default: all of them]
    #[arg(long, value_name = "ADDRESS")]
    vip: Vec<IpAddr>,
}

pub(super) fn decap(args: DecapArgs) -> Result<(), Failure> {
    let mut interfaces = args.iface;
    interfaces.sort();
    interfaces.dedup();
    let options = Options {
        interfaces,
        mode: XdpMode::from(args.xdp_mode),
        from: args.from.into_iter().collect(),
        vips: args.vip.into_iter().collect(),
    };
    decap::run(&options, |fates| {
        // A reader that has closed its end wants no more.
        let _ = io::stdout().write_all(render(fates).as_bytes());
    })
    .map_err(Failure::at_run_time)
}

fn render(fates: &[(Fate, u64)]) -> String {
    let columns = [
        ("PACKETS", Align::Right),
        ("FATE", Align::Left),
        ("WHAT BECAME OF THEM", Align::Left),
    ];
    let row = |(fate, packets): &(Fate, u64)| {
        let (name, text) = (fate.name(), fate.describe());
        vec![packets.to_string(), name.to_owned(), text.to_owned()]
    };
    table(&columns, &fates.iter().map(row).collect::<Vec<_>>())
}
