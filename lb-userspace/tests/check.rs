//! `lb check` as a program: its exit status and its two streams.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{fs, str};

/// A file of its own, removed at the end.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("lb-check-{}-{name}.yaml", std::process::id());
        let file = Self(std::env::temp_dir().join(name));
        fs::write(&file.0, text).unwrap();
        file
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn check(file: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lb"))
        .arg("check")
        .arg("-c")
        .arg(file)
        .args(more)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

const VALID: &str = "services:
- name: s
  listen: \"192.0.2.1:80\"
  servers:
  - { name: a, address: \"10.0.0.1:80\" }
";

#[test]
fn a_valid_configuration_is_summed_up_on_standard_output() {
    let file = TempFile::new("valid", VALID);
    let output = check(&file.0, &[]);
    assert_eq!(output.status.code(), Some(0));
    let summary = text(&output.stdout);
    assert!(
        summary.starts_with("Valid: 1 service, 1 pool, 1 server\n"),
        "{summary}"
    );
    assert!(
        summary.contains("s/a 10.0.0.1:80: connections from "),
        "{summary}"
    );
}

#[test]
fn what_is_shown_is_accepted_again_and_shown_the_same() {
    let file = TempFile::new("show", VALID);
    let shown = check(&file.0, &["--show"]);
    assert_eq!(shown.status.code(), Some(0));
    let again = TempFile::new("shown", text(&shown.stdout));
    let output = check(&again.0, &["--show"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), text(&shown.stdout));
}

#[test]
fn a_refused_configuration_is_explained_on_standard_error() {
    let file = TempFile::new("refused", &VALID.replace("servers", "severs"));
    let output = check(&file.0, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout), "");
    let report = text(&output.stderr);
    assert!(
        report.contains(":4:3: unknown key `severs` in a service"),
        "{report}"
    );
    assert!(report.contains("did you mean `servers`?"), "{report}");
    let missing = check(Path::new("/does/not/exist.yaml"), &[]);
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn a_server_that_is_this_host_is_refused() {
    let addresses = nix::ifaddrs::getifaddrs().unwrap();
    let own = addresses
        .filter_map(|entry| Some(entry.address?.as_sockaddr_in()?.ip()))
        .find(|address| !address.is_loopback());
    // A host without a network has no such server.
    let Some(own) = own else { return };
    let file = TempFile::new("own", &VALID.replace("10.0.0.1", &own.to_string()));
    let output = check(&file.0, &[]);
    assert_eq!(output.status.code(), Some(2));
    let report = text(&output.stderr);
    assert!(
        report.contains("XDP does not see local traffic"),
        "{report}"
    );
}
