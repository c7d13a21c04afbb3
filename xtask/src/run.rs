//! Building the balancer and showing it, or running it on a real interface.

use std::process::ExitCode;

use anyhow::Result;

use crate::{USAGE_ERROR, args::RunOptions, host, setup};

const EXAMPLE: &str = "\
--iface needs a configuration. Write one, for example to lb.yaml:

    pools:
      - name: web
        servers:
          - { name: web1, address: \"10.0.0.11:80\" }
          - { name: web2, address: \"10.0.0.12:80\" }

    services:
      - name: web
        listen: \"192.0.2.10:80\"     # an address that clients reach this host by
        pool: web

and type:

    cargo xtask run --iface IF --config lb.yaml

`lb check -c lb.yaml` says what is wrong with a configuration; README.md explains each line.
";

/// Runs the demonstration or, on interfaces, the balancer itself.
pub(crate) fn run(options: &RunOptions) -> Result<ExitCode> {
    if options.interfaces.is_empty() {
        return demonstrate(&options.arguments);
    }
    let Some(config) = &options.config else {
        let interfaces = options.interfaces.join(" --iface ");
        eprint!(
            "{}",
            EXAMPLE.replace("--iface IF", &format!("--iface {interfaces}"))
        );
        return Ok(ExitCode::from(USAGE_ERROR));
    };
    setup::toolchain()?;
    let lb = host::build_release(&["--package=lb-userspace", "--bin=lb"])?.join("lb");
    let mut arguments = vec![
        "run".to_owned(),
        "-c".to_owned(),
        config.display().to_string(),
    ];
    for interface in &options.interfaces {
        arguments.extend(["--iface".to_owned(), interface.clone()]);
    }
    arguments.extend_from_slice(&options.arguments);
    host::exec_as_root(&lb, &arguments)
}

fn demonstrate(further: &[String]) -> Result<ExitCode> {
    setup::toolchain()?;
    let programs = host::build_release(&[
        "--package=lb-userspace",
        "--bin=lb",
        "--package=lb-tests",
        "--bin=lb-demo",
    ])?;
    let mut arguments = vec![programs.join("lb").display().to_string()];
    arguments.extend_from_slice(further);
    host::exec_as_root(&programs.join("lb-demo"), &arguments)
}
