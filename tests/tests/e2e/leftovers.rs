//! Nothing is left of a test, however it ends.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use lb_tests::client::Chatter;
use lb_tests::network::{Family, Layout, Network};
use lb_tests::skip::installed;
use lb_tests::tempdir::TempDir;
use lb_tests::{redis::Redis, wait};

use crate::stage::Stage;

/// Makes [`victim`] do its part; tells how it is to end.
const ROLE: &str = "LB_TESTS_VICTIM";
const VANISH: Duration = Duration::from_secs(10);

#[test]
fn nothing_is_left_of_a_test_that_succeeds() {
    let mut victim = Victim::start("succeed");
    let made = victim.made();
    assert!(victim.end().success());
    made.wait_gone(true);
}

#[test]
fn nothing_is_left_of_a_test_that_panics() {
    let mut victim = Victim::start("panic");
    let made = victim.made();
    assert_eq!(
        victim.end().code(),
        Some(101),
        "the test runner reports a failure"
    );
    made.wait_gone(true);
}

#[test]
fn nothing_runs_on_after_the_test_process_is_killed() {
    let mut victim = Victim::start("wait");
    let made = victim.made();
    assert!(!made.processes.is_empty() && !made.namespaces.is_empty());
    victim.child.kill().unwrap();
    victim.end();
    made.wait_gone(false);
    // The directory stays until the next one is made.
    let _sweeps = TempDir::new().unwrap();
    assert!(!made.directory.exists(), "{}", made.directory.display());
}

/// Not a test by itself: what the tests above run in a process of its own.
#[test]
fn victim() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let stage = Stage::new(Layout::Routed, Family::V4, 1);
    let _client = Chatter::start(&stage.network.client, stage.address).unwrap();
    let _redis = start_redis(&stage.network);
    for namespace in stage.network.namespaces() {
        report("namespace", namespace.inode());
    }
    for process in fs::read_dir("/proc/self/task").unwrap() {
        let children = process.unwrap().path().join("children");
        for pid in fs::read_to_string(children)
            .unwrap_or_default()
            .split_whitespace()
        {
            report("process", pid);
        }
    }
    report("directory", stage.network.dir.path().display());
    report("made", "all");
    match role.as_str() {
        "panic" => panic!("as asked"),
        "wait" => std::thread::sleep(VANISH * 10),
        _ => {}
    }
}

fn start_redis(network: &Network) -> Option<Redis> {
    let program = installed("redis-server", "redis-server")?;
    let address = (network.server_address(0, Family::V4), 6379).into();
    let dir = network.dir.join("redis");
    Some(Redis::start(&network.servers[0], &program, address, &dir).unwrap())
}

fn report(kind: &str, value: impl std::fmt::Display) {
    println!("{kind}={value}");
}

/// A test process that is watched from outside.
struct Victim {
    child: Child,
    /// Kept to the end: a test runner that cannot write its report fails.
    says: BufReader<ChildStdout>,
}

/// What the victim has made.
#[derive(Debug, Default)]
struct Made {
    namespaces: BTreeSet<String>,
    processes: BTreeSet<String>,
    directory: PathBuf,
}

impl Victim {
    fn start(role: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "leftovers::victim", "--nocapture"])
            .env(ROLE, role)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        Self { child, says }
    }

    fn made(&mut self) -> Made {
        let mut made = Made::default();
        for line in (&mut self.says).lines() {
            match line.unwrap().split_once('=') {
                Some(("namespace", inode)) => drop(made.namespaces.insert(inode.to_owned())),
                Some(("process", pid)) => drop(made.processes.insert(pid.to_owned())),
                Some(("directory", path)) => made.directory = path.into(),
                Some(("made", _)) => return made,
                _ => {}
            }
        }
        panic!("the victim did not get as far as it should");
    }

    fn end(&mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // Gone already unless the test above it has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Made {
    fn wait_gone(&self, directory_too: bool) {
        wait::until("namespaces and processes to be gone", VANISH, || {
            let alive = self
                .processes
                .iter()
                .any(|pid| Path::new("/proc").join(pid).exists());
            (!alive && self.namespaces.is_disjoint(&namespaces_in_use())).then_some(())
        })
        .unwrap();
        if directory_too {
            assert!(!self.directory.exists(), "{}", self.directory.display());
        }
    }
}

/// Inode numbers of the network namespaces that any process of this machine is in or has open.
fn namespaces_in_use() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let tasks = fs::read_dir(process.path().join("task"))
            .into_iter()
            .flatten()
            .flatten();
        let links = tasks.map(|task| task.path().join("ns/net"));
        let files = fs::read_dir(process.path().join("fd"))
            .into_iter()
            .flatten()
            .flatten();
        for link in links.chain(files.map(|file| file.path())) {
            let target = fs::read_link(link).unwrap_or_default();
            let inode = target
                .to_str()
                .and_then(|t| t.strip_prefix("net:[")?.strip_suffix(']'));
            found.extend(inode.map(str::to_owned));
        }
    }
    found
}
