//! Network namespaces without names.
//!
//! A namespace lives as long as a file descriptor or a process of it does. It has no entry in
//! `/run/netns`, so nothing is left to clean up when the process that made it dies.

mod link;
mod offload;
mod pass;

use std::fs::File;
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::panic::resume_unwind;
use std::thread;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns, unshare};

pub use self::link::{Mac, XdpMode};
pub use self::pass::PassLink;
use crate::process::Program;

/// A network namespace with its loopback interface up.
#[derive(Debug)]
pub struct Namespace {
    label: String,
    file: File,
}

impl Namespace {
    /// A new namespace; `label` is for messages only.
    pub fn new(label: impl Into<String>) -> Result<Self> {
        let label = label.into();
        // unshare moves the thread that calls it and no other: let that be one nobody needs again.
        let file = thread::spawn(|| -> Result<File> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Ok(File::open("/proc/thread-self/ns/net")?)
        })
        .join()
        .map_err(|_| anyhow!("the thread that makes the namespace panicked"))?
        .with_context(|| format!("cannot make network namespace {label} (are you root?)"))?;
        let namespace = Self { label, file };
        // Addresses are usable at once, without waiting for duplicate address detection.
        namespace.sysctl("net/ipv6/conf/all/accept_dad", "0")?;
        namespace.sysctl("net/ipv6/conf/default/accept_dad", "0")?;
        namespace.link_up("lo")?;
        Ok(namespace)
    }

    /// What it was called when it was made.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The namespace's inode number, which identifies it on this machine.
    pub fn inode(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;
        self.file.metadata().map_or(0, |m| m.ino())
    }

    /// Runs `f` inside, on a thread of its own, and hands on what it returns or panics with.
    ///
    /// Sockets made there stay in the namespace wherever they are used later.
    pub fn run<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        let name = thread::current().name().unwrap_or("namespace").to_owned();
        thread::scope(|scope| {
            thread::Builder::new()
                .name(name)
                .spawn_scoped(scope, || {
                    self.enter()
                        .expect("a namespace that is held open can be entered");
                    f()
                })
                .expect("the machine can start one more thread")
                .join()
        })
        .unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Runs `f` inside on a thread that goes on by itself.
    pub fn spawn<R: Send + 'static>(
        &self,
        f: impl FnOnce() -> R + Send + 'static,
    ) -> Result<thread::JoinHandle<R>> {
        let file = self.file.try_clone()?;
        let name = thread::current().name().unwrap_or(&self.label).to_owned();
        Ok(thread::Builder::new().name(name).spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET)
                .expect("a namespace that is held open can be entered");
            f()
        })?)
    }

    /// Runs the future that `f` makes inside, on a runtime of one thread.
    pub fn block_on<R: Send, F: Future<Output = R>>(&self, f: impl FnOnce() -> F + Send) -> R {
        self.run(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("the process has file descriptors left")
                .block_on(f())
        })
    }

    /// A program to be started inside.
    pub fn program(&self, program: impl Into<std::path::PathBuf>) -> Program {
        Program::new(program, Some(self))
    }

    /// Writes one value under `/proc/sys`, which shows each thread its own namespace.
    pub fn sysctl(&self, path: &str, value: &str) -> Result<()> {
        self.run(|| std::fs::write(format!("/proc/sys/{path}"), value))
            .with_context(|| format!("{}: cannot set {path} to {value}", self.label))
    }

    /// Another file descriptor of it.
    pub(crate) fn duplicate(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    fn enter(&self) -> Result<()> {
        setns(&self.file, CloneFlags::CLONE_NEWNET)
            .with_context(|| format!("cannot enter network namespace {}", self.label))
    }
}

impl AsRawFd for Namespace {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}
