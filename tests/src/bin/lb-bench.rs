//! `cargo xtask bench`.

use std::process::ExitCode;

use lb_tests::bench::{Effort, Part, end_on_signals, run};

const HELP: &str = "\
Measures the balancer on this machine. Needs root.

Usage: cargo xtask bench [PART...] [--quick]

  cost      Nanoseconds per packet, at 1 to a million flows.
  pps       Packets per second through a virtual interface, beside a program that only turns them
            around.
  prefixes  Access lists of one to 100,000 prefixes, beside the kernel's own trie.
  redis     redis-benchmark straight to a server, through lb, and through HAProxy if it is installed.
  memory    Verified instructions of the programs, memory of the agent, bytes per flow.
  listing   `lb show flows`, filtered and whole, where there are a million.
  --quick   Fewer rounds: figures to work with, not to publish.

All parts unless named.
";

/// What the command line asks for.
struct Options {
    parts: Vec<Part>,
    effort: Effort,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    // xtask built it and knows where it lies.
    let Some(lb) = arguments.next() else {
        eprintln!("The first argument is the balancer's program.\n\n{HELP}");
        return ExitCode::from(2);
    };
    let arguments: Vec<String> = arguments.collect();
    if arguments.iter().any(|argument| argument == "--help") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let options = match parse(&arguments) {
        Ok(options) => options,
        Err(what) => {
            eprintln!("{what}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = end_on_signals() {
        eprintln!("{error:#}");
        return ExitCode::FAILURE;
    }
    for part in options.parts {
        if let Err(error) = run(part, options.effort, lb.as_ref()) {
            eprintln!("{}: {error:#}", part.name());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Reads the arguments. An error is one sentence for the user.
fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options {
        parts: Vec::new(),
        effort: Effort::FULL,
    };
    for argument in arguments {
        match Part::ALL.into_iter().find(|part| part.name() == argument) {
            Some(part) => options.parts.push(part),
            None if argument == "--quick" => options.effort = Effort::QUICK,
            None if argument == "all" => options.parts.extend(Part::ALL),
            None => return Err(format!("there is no part or option `{argument}`")),
        }
    }
    if options.parts.is_empty() {
        options.parts.extend(Part::ALL);
    }
    Ok(options)
}
