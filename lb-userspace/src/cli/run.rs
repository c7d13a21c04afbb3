//! `lb run`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Failure, check};
use crate::app;
use crate::config::XdpMode;

/// Arguments of `lb run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The configuration
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// An interface to attach to, besides those of `dataplane.interfaces`
    #[arg(long, value_name = "IF")]
    iface: Vec<String>,
    /// How to attach [default: `dataplane.xdp_mode`]
    #[arg(long, value_name = "MODE")]
    xdp_mode: Option<Mode>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Mode {
    /// Driver mode where the interface has it, else generic
    Auto,
    /// Driver mode or an error
    Driver,
    /// Works everywhere, slower
    Generic,
}

impl From<Mode> for XdpMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Auto => Self::Auto,
            Mode::Driver => Self::Driver,
            Mode::Generic => Self::Generic,
        }
    }
}

pub(super) fn run(args: RunArgs) -> Result<(), Failure> {
    let examined = check::examine(&args.config, |config| {
        for name in args.iface {
            if !config.dataplane.interfaces.contains(&name) {
                config.dataplane.interfaces.push(name);
            }
        }
        if let Some(mode) = args.xdp_mode {
            config.dataplane.xdp_mode = mode.into();
        }
    });
    let Some((loaded, _)) = examined else {
        return Err(Failure::of_configuration());
    };
    app::run(loaded.config, args.config).map_err(|error| match error.is_usage() {
        true => Failure::of_usage(error),
        false => Failure::at_run_time(error),
    })
}
