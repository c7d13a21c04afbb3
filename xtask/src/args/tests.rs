use super::*;

fn parsed(line: &str) -> Result<Command, String> {
    parse(line.split_whitespace().map(str::to_owned))
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().copied().map(str::to_owned).collect()
}

#[test]
fn run_alone_is_the_demonstration() {
    assert_eq!(parsed("run"), Ok(Command::Run(RunOptions::default())));
}

#[test]
fn run_takes_interfaces_and_a_configuration() {
    let expected = RunOptions {
        interfaces: strings(&["eth0", "eth1"]),
        config: Some("lb.yaml".into()),
        arguments: strings(&["--xdp-mode", "generic"]),
    };
    assert_eq!(
        parsed("run --iface eth0 --iface=eth1 --config lb.yaml --xdp-mode generic"),
        Ok(Command::Run(expected))
    );
}

#[test]
fn run_refuses_what_would_run_something_else() {
    assert!(parsed("run --iface").is_err());
    assert!(parsed("run --iface --config lb.yaml").is_err());
    assert!(parsed("run --config lb.yaml").is_err());
}

#[test]
fn test_runs_all_but_vm_by_default() {
    let Ok(Command::Test(options)) = parsed("test") else {
        panic!("not parsed");
    };
    assert_eq!(options.parts, [Part::Unit, Part::Packet, Part::E2e]);
    assert_eq!(options.filter, None);
}

#[test]
fn test_takes_parts_and_a_filter() {
    let options = |line: &str| match parsed(line) {
        Ok(Command::Test(options)) => (options.parts, options.filter),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        options("test packet e2e redis"),
        (vec![Part::Packet, Part::E2e], Some("redis".to_owned()))
    );
    assert_eq!(options("test maglev").1, Some("maglev".to_owned()));
    assert!(parsed("test redis postgres").is_err());
    assert!(parsed("test redis e2e").is_err());
    assert!(parsed("test --all").is_err());
}

#[test]
fn lint_takes_checks() {
    assert_eq!(parsed("lint"), Ok(Command::Lint(Check::ALL.to_vec())));
    assert_eq!(parsed("lint fmt"), Ok(Command::Lint(vec![Check::Fmt])));
    assert!(parsed("lint typos").is_err());
}

#[test]
fn help_is_found_anywhere_but_behind_dashes() {
    for line in ["--help", "-h", "help", "test --help", "run -h"] {
        assert_eq!(parsed(line), Ok(Command::Help), "{line}");
    }
    assert_eq!(
        parsed("bench -- --help"),
        Ok(Command::Bench(strings(&["--", "--help"])))
    );
}

#[test]
fn unknown_words_are_refused() {
    assert!(parsed("").is_err());
    assert!(parsed("tset").is_err());
    assert!(parsed("setup now").is_err());
}
