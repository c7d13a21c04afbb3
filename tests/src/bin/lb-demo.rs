//! Shows the balancer at work in network namespaces of its own.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use lb_tests::balancer::find_lb;
use lb_tests::demo;

/// Shows the balancer at work: a client, the balancer and three servers in network namespaces of
/// their own, one of the servers dying and coming back. Needs root; leaves nothing behind.
#[derive(Parser)]
struct Arguments {
    /// The lb program [default: the one beside this program]
    lb: Option<PathBuf>,
    /// How long to run
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(10..=3600))]
    seconds: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let lb = arguments.lb.map_or_else(find_lb, Ok);
    match lb.and_then(|lb| demo::run(&lb, arguments.seconds)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lb-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
