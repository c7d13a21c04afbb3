//! The command line. Parsed by hand: a parser crate would be most of this program's build time, on
//! the path of everybody's first command.

use std::path::PathBuf;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
Builds, shows, tests and measures lb.

Usage: cargo xtask <COMMAND>

  run                       Build everything and show the balancer at work, in network namespaces
                            of its own. Needs root, no configuration.
  run --iface IF... [--config FILE] [ARG...]
                            Build, then run the balancer on real interfaces: `lb run`, which takes
                            the further arguments.
  test [PART...] [FILTER]   Run the tests whose name contains FILTER. Parts: unit packet e2e (all of
                            these unless named), and vm: the packet tests on Linux 6.1 and 6.12.
  bench [ARG...]            Measure packets, Redis and memory, beside what else is installed.
  lint [CHECK...]           Checks: fmt clippy deny (all unless named).
  setup                     Install what building the XDP programs needs. `run`, `test`, `bench`
                            and `lint` do this by themselves.
  dist                      Build a release archive in target/dist.

Exit status: 0 done, 1 failed, 2 wrong usage.
";

/// What to do.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Command {
    Help,
    Setup,
    Run(RunOptions),
    Test(TestOptions),
    Bench(Vec<String>),
    Lint(Vec<Check>),
    Dist,
}

/// What to run the balancer on.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct RunOptions {
    /// Real interfaces; none: the demonstration.
    pub(crate) interfaces: Vec<String>,
    pub(crate) config: Option<PathBuf>,
    /// For the program that is run.
    pub(crate) arguments: Vec<String>,
}

/// Which tests to run.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct TestOptions {
    pub(crate) parts: Vec<Part>,
    pub(crate) filter: Option<String>,
}

/// A part of the tests, named for what it needs: nothing, BPF, namespaces, a virtual machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    Unit,
    Packet,
    E2e,
    Vm,
}

impl Part {
    /// Not the one that emulates other machines: it takes minutes.
    const BY_DEFAULT: [Self; 3] = [Self::Unit, Self::Packet, Self::E2e];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Packet => "packet",
            Self::E2e => "e2e",
            Self::Vm => "vm",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::BY_DEFAULT
            .into_iter()
            .chain([Self::Vm])
            .find(|part| part.name() == name)
    }
}

/// A check of `lint`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Check {
    Fmt,
    Clippy,
    Deny,
}

impl Check {
    const ALL: [Self; 3] = [Self::Fmt, Self::Clippy, Self::Deny];

    fn parse(name: &str) -> Option<Self> {
        match name {
            "fmt" => Some(Self::Fmt),
            "clippy" => Some(Self::Clippy),
            "deny" => Some(Self::Deny),
            _ => None,
        }
    }
}

/// Reads the arguments after the program's name. An error is one sentence for the user.
pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut arguments = arguments.into_iter();
    let Some(command) = arguments.next() else {
        return Err("a command is missing".to_owned());
    };
    let rest: Vec<String> = arguments.collect();
    let asks_for_help = |argument: &String| argument == "--help" || argument == "-h";
    // `bench` and `run` hand help requests behind `--` to the program they start.
    let ours = rest.iter().take_while(|argument| *argument != "--");
    if asks_for_help(&command) || command == "help" || ours.clone().any(asks_for_help) {
        return Ok(Command::Help);
    }
    match command.as_str() {
        "setup" => nothing_more(&rest, Command::Setup),
        "dist" => nothing_more(&rest, Command::Dist),
        "run" => parse_run(rest).map(Command::Run),
        "test" => parse_test(rest).map(Command::Test),
        "bench" => Ok(Command::Bench(rest)),
        "lint" => parse_lint(&rest).map(Command::Lint),
        other => Err(format!("there is no command `{other}`")),
    }
}

fn nothing_more(rest: &[String], command: Command) -> Result<Command, String> {
    match rest.first() {
        None => Ok(command),
        Some(argument) => Err(format!("`{argument}` is one argument too many")),
    }
}

fn parse_run(rest: Vec<String>) -> Result<RunOptions, String> {
    let mut options = RunOptions::default();
    let mut rest = rest.into_iter();
    while let Some(argument) = rest.next() {
        let (name, joined) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        match name {
            "--iface" | "--config" | "-c" => {
                let value = joined
                    .or_else(|| rest.next())
                    .filter(|value| !value.is_empty() && !value.starts_with("--"))
                    .ok_or_else(|| format!("{name} needs a value"))?;
                if name == "--iface" {
                    options.interfaces.push(value);
                } else {
                    options.config = Some(value.into());
                }
            }
            "--" => options.arguments.extend(rest.by_ref()),
            _ => options.arguments.push(argument),
        }
    }
    if options.interfaces.is_empty() && options.config.is_some() {
        return Err("--config needs --iface: which interface should lb run on?".to_owned());
    }
    Ok(options)
}

fn parse_test(rest: Vec<String>) -> Result<TestOptions, String> {
    let mut options = TestOptions {
        parts: Vec::new(),
        filter: None,
    };
    for argument in rest {
        match Part::parse(&argument) {
            // A part's name behind the filter would be a mistake that runs the wrong tests.
            Some(part) if options.filter.is_none() => options.parts.push(part),
            _ if argument.starts_with('-') => {
                return Err(format!("there is no option `{argument}`"));
            }
            _ if options.filter.is_none() => options.filter = Some(argument),
            _ => return Err(format!("`{argument}`: there is a filter already")),
        }
    }
    if options.parts.is_empty() {
        options.parts = Part::BY_DEFAULT.to_vec();
    }
    Ok(options)
}

fn parse_lint(rest: &[String]) -> Result<Vec<Check>, String> {
    if rest.is_empty() {
        return Ok(Check::ALL.to_vec());
    }
    rest.iter()
        .map(|name| Check::parse(name).ok_or_else(|| format!("there is no check `{name}`")))
        .collect()
}

#[cfg(test)]
mod tests;
