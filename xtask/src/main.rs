//! `cargo xtask`: set-up, build, demonstration, tests, benchmarks and lint. People and CI call the
//! same commands.

mod args;
mod bench;
mod dist;
mod host;
mod lint;
mod run;
mod setup;
mod step;
mod test;
mod vm;

use std::{env, process::ExitCode};

use args::Command;

/// Wrong usage, as opposed to work that failed.
const USAGE_ERROR: u8 = 2;

fn main() -> ExitCode {
    let command = match args::parse(env::args().skip(1)) {
        Ok(command) => command,
        Err(message) => {
            eprintln!("error: {message}\n\nTry `cargo xtask --help`.");
            return ExitCode::from(USAGE_ERROR);
        }
    };
    let result = match command {
        Command::Help => {
            print!("{}", args::HELP);
            Ok(ExitCode::SUCCESS)
        }
        Command::Setup => setup::toolchain().map(|_| ExitCode::SUCCESS),
        Command::Run(options) => run::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Lint(checks) => lint::run(&checks),
        Command::Dist => dist::run(),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
