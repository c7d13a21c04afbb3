//! `lb check`: is a configuration valid, and what will it do on this host?

mod facts;

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::config::{self, Config, Loaded, Severity, host};

/// Arguments of `lb check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Print the whole configuration with every default filled in
    #[arg(long)]
    show: bool,
}

/// Status for a configuration that is refused.
const REFUSED: u8 = 2;

/// Prints a summary, or the configuration, to standard output; what is wrong to standard error.
pub fn run(args: &CheckArgs) -> ExitCode {
    let Some((loaded, facts)) = examine(&args.config, |_| {}) else {
        return ExitCode::from(REFUSED);
    };
    let text = if args.show {
        config::show(&loaded.config)
    } else {
        summary(&loaded, &facts)
    };
    // A reader that has closed its end wants no more.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Reads a configuration, lets the command line `adjust` it, and holds it against this host. What is
/// wrong goes to standard error; `None`: it is refused.
pub(super) fn examine(
    path: &Path,
    adjust: impl FnOnce(&mut Config),
) -> Option<(Loaded, host::HostFacts)> {
    let mut loaded = match config::load(path) {
        Ok(loaded) => loaded,
        Err(errors) => {
            eprintln!("{errors}");
            return None;
        }
    };
    for warning in &loaded.warnings {
        eprintln!("{warning}");
    }
    adjust(&mut loaded.config);
    let facts = facts::gather(&loaded.config);
    let found = host::check(&loaded, &facts);
    for diagnostic in &found {
        eprintln!("{diagnostic}");
    }
    let errors = found
        .iter()
        .filter(|d| d.severity() == Severity::Error)
        .count();
    if errors > 0 {
        let plural = if errors == 1 { "" } else { "s" };
        eprintln!("{errors} error{plural}");
        return None;
    }
    Some((loaded, facts))
}

fn summary(loaded: &Loaded, facts: &host::HostFacts) -> String {
    let config = &loaded.config;
    let servers: usize = config.pools.iter().map(|pool| pool.servers.len()).sum();
    let mut lines = vec![format!(
        "Valid: {}, {}, {}",
        count(config.services.len(), "service"),
        count(config.pools.len(), "pool"),
        count(servers, "server"),
    )];
    for service in &config.services {
        let listen: Vec<String> = service.listen.iter().map(ToString::to_string).collect();
        lines.push(format!(
            "  service {} on {} to pool {}",
            service.name,
            listen.join(", "),
            service.pool
        ));
    }
    if servers > 0 {
        lines.push("Servers will see".to_owned());
        lines.extend(seen_from(config, facts));
    }
    if config.dataplane.interfaces.is_empty() {
        lines.push("No interface is named: give `lb run --iface IF`".to_owned());
    }
    lines.push(String::new());
    lines.join("\n")
}

fn seen_from(config: &Config, facts: &host::HostFacts) -> Vec<String> {
    let addresses = config
        .pools
        .iter()
        .flat_map(|pool| &pool.servers)
        .map(|s| s.address);
    host::seen_from(config, facts)
        .into_iter()
        .zip(addresses)
        .map(|(seen, address)| {
            let connections = match seen.connections.as_slice() {
                [] => "an address not known yet (no route)".to_owned(),
                all => all
                    .iter()
                    .map(IpAddr::to_string)
                    .collect::<Vec<_>>()
                    .join(", "),
            };
            let checks = match seen.checks {
                Some(source) => format!("checks from {source}"),
                None => "no checks".to_owned(),
            };
            format!(
                "  {} {address}: connections from {connections}; {checks}",
                seen.server
            )
        })
        .collect()
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
