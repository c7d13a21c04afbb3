//! Programs that die with us.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, User, getppid, setgroups, setresgid, setresuid};

use crate::netns::Namespace;
use crate::wait;

/// How long a program gets to end after its stop signal, before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How long a program that is waited for may run.
pub const RUN_LIMIT: Duration = Duration::from_secs(60);
/// How much of a log a failed test prints.
const LOG_TAIL: usize = 8_000;

/// A program about to be started.
#[derive(Debug)]
pub struct Program {
    command: Command,
    name: String,
    namespace: Option<io::Result<File>>,
    user: Option<(Uid, Gid)>,
    stop_signal: Signal,
}

impl Program {
    /// A program to be started in `namespace`, or in the caller's own.
    pub fn new(program: impl Into<PathBuf>, namespace: Option<&Namespace>) -> Self {
        let program = program.into();
        let name = program
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Self {
            command: Command::new(program),
            name,
            namespace: namespace.map(Namespace::duplicate),
            user: None,
            stop_signal: Signal::SIGTERM,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Runs it as `user`, with that user's own group alone.
    pub fn user(mut self, user: &str) -> Result<Self> {
        let user = User::from_name(user)?.with_context(|| format!("there is no user {user}"))?;
        self.user = Some((user.uid, user.gid));
        Ok(self)
    }

    /// The signal that makes it end and clean up after itself; SIGTERM unless said.
    #[must_use]
    pub fn stop_signal(mut self, signal: Signal) -> Self {
        self.stop_signal = signal;
        self
    }

    /// Starts it; what it prints goes to `log`.
    pub fn spawn(mut self, log: &Path) -> Result<Process> {
        let output = File::options().create(true).append(true).open(log)?;
        self.command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        self.prepare()?;
        let (name, stop_signal) = (self.name.clone(), self.stop_signal);
        let child = self.start()?;
        Ok(Process {
            name,
            child,
            log: log.to_owned(),
            stop_signal,
        })
    }

    /// Runs it to its end and returns what it printed, whatever its exit status. One that takes
    /// longer than [`RUN_LIMIT`] is killed, which is an error.
    pub fn output(mut self) -> Result<Output> {
        self.command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        self.prepare()?;
        let name = self.name.clone();
        let child = self.start()?;
        let pid = Pid::from_raw(child.id() as i32);
        let (reply, answer) = mpsc::channel();
        let reader = thread::spawn(move || reply.send(child.wait_with_output()));
        let result = match answer.recv_timeout(RUN_LIMIT) {
            Ok(output) => output.with_context(|| format!("{name}: no output")),
            Err(_) => {
                // The reader still waits for it, so the pid is its own.
                kill(pid, Signal::SIGKILL)?;
                Err(anyhow!("{name} did not end within {RUN_LIMIT:?}"))
            }
        };
        // It has sent its answer, or will once the program is dead; nobody listens then.
        let _ = reader.join();
        result
    }

    /// Runs it to its end and returns its standard output; an error with its standard error unless
    /// it succeeds.
    pub fn stdout(self) -> Result<String> {
        let name = self.name.clone();
        let output = self.output()?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            bail!("{name}: {}\n{stdout}{stderr}", output.status);
        }
        Ok(stdout)
    }

    /// What happens in the child between fork and exec.
    fn prepare(&mut self) -> Result<()> {
        let namespace = self.namespace.take().transpose()?;
        let (user, signal) = (self.user, self.stop_signal);
        let parent = nix::unistd::getpid();
        let in_child = move || -> io::Result<()> {
            if let Some(file) = &namespace {
                setns(file, CloneFlags::CLONE_NEWNET)?;
            }
            if let Some((uid, gid)) = user {
                setgroups(&[gid])?;
                setresgid(gid, gid, gid)?;
                setresuid(uid, uid, uid)?;
            }
            // After the change of user, which clears it.
            prctl::set_pdeathsig(signal_at_parents_death(signal))?;
            if getppid() != parent {
                return Err(io::Error::other("the parent died first"));
            }
            Ok(())
        };
        // SAFETY: the closure makes system calls only; it takes no lock and allocates no memory.
        unsafe { self.command.pre_exec(in_child) };
        // Ctrl-C is for us; we end them in order.
        self.command.process_group(0);
        Ok(())
    }

    fn start(self) -> Result<Child> {
        let name = self.name;
        spawn_on_lasting_thread(self.command).with_context(|| format!("cannot start {name}"))
    }
}

/// Lets this process, and programs that it starts, have as many files open as the system allows.
pub fn raise_file_limit() -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, most, most)?)
}

/// A program that needs a signal of its own to clean up gets it then, too; others are killed.
fn signal_at_parents_death(stop_signal: Signal) -> Signal {
    if stop_signal == Signal::SIGTERM {
        Signal::SIGKILL
    } else {
        stop_signal
    }
}

/// The kernel sends the signal when the *thread* that forked ends (prctl(2)), so one thread that
/// lasts as long as the process forks for all.
fn spawn_on_lasting_thread(command: Command) -> Result<Child> {
    type Job = (Command, Sender<io::Result<Child>>);
    static SPAWNER: OnceLock<Sender<Job>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, jobs) = mpsc::channel::<Job>();
        thread::spawn(move || {
            for (mut command, reply) in jobs {
                // Whoever asked waits for the answer.
                let _ = reply.send(command.spawn());
            }
        });
        sender
    });
    let (reply, answer) = mpsc::channel();
    spawner
        .send((command, reply))
        .map_err(|_| anyhow!("the thread that starts programs died"))?;
    Ok(answer.recv()??)
}

/// A running program. Dropped, it is stopped, and its log is printed if the test has failed.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    stop_signal: Signal,
}

impl Process {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has printed.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its exit status if it has ended.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        // A child that was not waited for keeps its pid, so this cannot hit another process.
        Ok(kill(Pid::from_raw(self.child.id() as i32), signal)?)
    }

    /// Waits until `ready` says so; an error at once if the program ends first.
    pub fn wait_ready(
        &mut self,
        limit: Duration,
        mut ready: impl FnMut(&Self) -> bool,
    ) -> Result<()> {
        let what = format!("{} to be ready", self.name);
        let ended = wait::until(&what, limit, || match self.child.try_wait() {
            Ok(Some(status)) => Some(Some(status)),
            _ if ready(self) => Some(None),
            _ => None,
        });
        match ended {
            Ok(None) => Ok(()),
            Ok(Some(status)) => bail!("{} ended: {status}\n{}", self.name, self.log()),
            Err(error) => Err(error.context(self.log())),
        }
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("{} to end", self.name);
        wait::until(&what, limit, || self.child.try_wait().ok().flatten())
    }

    /// Asks it to end and waits until it has; one that does not is killed, which is an error.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        self.signal(self.stop_signal)?;
        match self.wait(GRACE) {
            Ok(status) => Ok(status),
            Err(error) => {
                self.kill()?;
                Err(error)
            }
        }
    }

    /// Kills it, without a chance to clean up.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.child.kill()?;
        Ok(self.child.wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has had its chance: an error here means that it is gone or was killed.
        let _ = self.stop();
        if thread::panicking() {
            let log = self.log();
            let tail = log.len().saturating_sub(LOG_TAIL);
            let tail = (tail..log.len())
                .find(|&i| log.is_char_boundary(i))
                .unwrap_or(tail);
            eprintln!("--- log of {} ---\n{}", self.name, &log[tail..]);
        }
    }
}
