//! The command line.
//!
//! Exit status: 0 done, 1 failed at run time, 2 wrong usage or configuration. Errors go to standard
//! error, one cause a line.

pub mod check;
mod decap;
mod run;
mod show;
mod table;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::log::causes;

/// Layer 4 load balancer for databases and other TCP services
#[derive(Debug, Parser)]
#[command(name = "lb", version, about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Balance, in the foreground
    Run(run::RunArgs),
    /// Say whether a configuration is valid, and what servers will see
    Check(check::CheckArgs),
    /// Ask a running agent
    Show(show::ShowArgs),
    /// On a server behind `forward: ipip` or `gue`: take the tunnels off, in the foreground
    Decap(decap::DecapArgs),
    #[command(hide = true)]
    Server(Anything),
    #[command(hide = true)]
    Flows(Anything),
    #[command(hide = true)]
    Reload(Anything),
    #[command(hide = true)]
    Detach(Anything),
    #[command(hide = true)]
    Doctor(Anything),
}

/// Whatever follows a command that does not exist yet.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
struct Anything {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _rest: Vec<OsString>,
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    // Wrong usage ends the process here, with status 2.
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(args),
        Command::Check(args) => return check::run(&args),
        Command::Show(args) => show::show(&args),
        Command::Decap(args) => decap::decap(args),
        Command::Server(_) => Err(not_supported_yet("server")),
        Command::Flows(_) => Err(not_supported_yet("flows")),
        Command::Reload(_) => Err(not_supported_yet("reload")),
        Command::Detach(_) => Err(not_supported_yet("detach")),
        Command::Doctor(_) => Err(not_supported_yet("doctor")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for (place, line) in failure.said.iter().enumerate() {
                let label = if place == 0 { "error" } else { "cause" };
                eprintln!("{label}: {line}");
            }
            ExitCode::from(failure.status)
        }
    }
}

/// Why a command ends, and with which status.
#[derive(Debug)]
struct Failure {
    status: u8,
    /// One cause a line.
    said: Vec<String>,
}

impl Failure {
    /// The world did not cooperate.
    fn at_run_time(error: impl Into<anyhow::Error>) -> Self {
        Self {
            status: 1,
            said: causes(error.into().as_ref()),
        }
    }

    /// The user asked for something that cannot be.
    fn of_usage(error: impl Into<anyhow::Error>) -> Self {
        Self {
            status: 2,
            said: causes(error.into().as_ref()),
        }
    }

    /// The configuration is refused, and its mistakes have been printed.
    fn of_configuration() -> Self {
        Self {
            status: 2,
            said: Vec::new(),
        }
    }
}

fn not_supported_yet(command: &str) -> Failure {
    Failure::of_usage(anyhow::anyhow!("lb {command}: not supported yet"))
}

#[cfg(test)]
mod tests;
