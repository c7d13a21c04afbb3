//! What authors of configurations rely on.

mod accepted;
mod checks;
mod choosing;
mod environment;
mod files;
mod guard;
mod host;
mod mistakes;
mod random;
mod secrets;
mod shown;
mod unsupported;
mod values;

use super::{Diagnostic, Loaded, Source, parse};

/// A configuration of one file, `lb.yaml`, without environment.
fn read(text: &str) -> Result<Loaded, String> {
    read_with(text, &[])
}

fn read_with(text: &str, environment: &[(&str, &str)]) -> Result<Loaded, String> {
    let lookup = |name: &str| {
        let found = environment.iter().find(|(n, _)| *n == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let sources = vec![Source::new("lb.yaml", text)];
    parse(sources, &lookup).map_err(|errors| errors.to_string())
}

/// The whole report on a configuration that is refused.
fn refused(text: &str) -> String {
    match read(text) {
        Ok(loaded) => panic!("accepted: {:#?}", loaded.config),
        Err(report) => report,
    }
}

/// The messages of the errors in a configuration that is refused.
fn errors(text: &str) -> Vec<String> {
    let result = parse(vec![Source::new("lb.yaml", text)], &|_| None);
    messages(result.expect_err("accepted").errors())
}

/// The messages of the warnings about a configuration that is accepted.
fn warnings(text: &str) -> Vec<String> {
    messages(&read(text).expect("refused").warnings)
}

fn messages(diagnostics: &[Diagnostic]) -> Vec<String> {
    diagnostics.iter().map(|d| d.message().to_owned()).collect()
}

/// A valid pool `p` and service `s`, for what has nothing to do with them.
const REST: &str = "
pools:
  - name: p
    servers:
      - { name: a, address: \"10.0.0.1:80\" }
services:
  - name: s
    listen: \"192.0.2.1:80\"
    pool: p
";

/// A configuration whose only server has these keys too.
fn with_server(keys: &str) -> String {
    format!(
        "services:\n- name: s\n  listen: \"192.0.2.1:80\"\n  servers:\n  - name: a\n    {keys}\n"
    )
}

/// A configuration whose only service has these keys too.
fn with_service(keys: &str) -> String {
    format!("{REST}    {keys}\n")
}
