//! Steps of set-up: one line each, with the time and the last message while they last.

use std::{
    collections::VecDeque,
    io::{self, BufRead, BufReader, IsTerminal as _, Read, Write as _},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// How often a terminal sees the time go on.
const TICK: Duration = Duration::from_millis(200);
/// How often a log hears that a step still goes on.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// How much of a failed command's output is shown.
const SHOWN_LINES: usize = 20;

/// Says something that is done at once.
pub(crate) fn say(message: &str) {
    eprintln!("[setup] {message}");
}

/// Runs a command as a step, and stops it when it takes longer than `limit`.
///
/// The command's output is shown only when it fails; its standard input is closed, so that it
/// cannot wait for answers.
pub(crate) fn run(what: &str, command: &mut Command, limit: Duration) -> Result<()> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let (sender, lines) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        forward_lines(stdout, sender.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        forward_lines(stderr, sender);
    }

    let start = Instant::now();
    let mut progress = Progress::start(what, start);
    let outcome = follow(&mut child, &lines, start + limit, &mut progress)?;
    if matches!(outcome, Outcome::OutOfTime) {
        child.kill().context("cannot stop the command")?;
    }
    let status = child.wait().context("cannot wait for the command")?;
    match outcome {
        Outcome::Ended if status.success() => {
            progress.finish();
            Ok(())
        }
        Outcome::Ended => {
            let output = progress.fail();
            bail!("{what} failed ({status})\n{}", output.join("\n"))
        }
        Outcome::OutOfTime => {
            progress.fail();
            bail!("{what}: stopped after {} s", limit.as_secs())
        }
    }
}

enum Outcome {
    Ended,
    OutOfTime,
}

/// Shows what the command says until it ends or the time is up.
fn follow(
    child: &mut Child,
    lines: &Receiver<String>,
    deadline: Instant,
    progress: &mut Progress<'_>,
) -> Result<Outcome> {
    loop {
        match lines.recv_timeout(TICK) {
            Ok(line) => progress.hear(line),
            // A server that a package's installation started keeps the output open for ever.
            Err(RecvTimeoutError::Timeout) => {
                if child
                    .try_wait()
                    .context("cannot wait for the command")?
                    .is_some()
                {
                    return Ok(Outcome::Ended);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(Outcome::Ended),
        }
        let now = Instant::now();
        if now >= deadline {
            return Ok(Outcome::OutOfTime);
        }
        progress.tick(now);
    }
}

fn forward_lines(stream: impl Read + Send + 'static, sender: Sender<String>) {
    // Ends with the stream, or when nobody listens any more.
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if !line.trim().is_empty() && sender.send(line).is_err() {
                return;
            }
        }
    });
}

/// What is shown of a step: on a terminal one line that changes, elsewhere one line at the start
/// and one now and then.
struct Progress<'a> {
    what: &'a str,
    start: Instant,
    shown: Instant,
    terminal: bool,
    last_lines: VecDeque<String>,
}

impl<'a> Progress<'a> {
    fn start(what: &'a str, now: Instant) -> Self {
        let terminal = io::stderr().is_terminal();
        if terminal {
            eprint!("[setup] {what}");
        } else {
            say(what);
        }
        Self {
            what,
            start: now,
            shown: now,
            terminal,
            last_lines: VecDeque::new(),
        }
    }

    fn hear(&mut self, line: String) {
        if self.last_lines.len() == SHOWN_LINES {
            self.last_lines.pop_front();
        }
        self.last_lines.push_back(line);
    }

    fn tick(&mut self, now: Instant) {
        let pause = if self.terminal { TICK } else { HEARTBEAT };
        if now - self.shown < pause {
            return;
        }
        self.shown = now;
        let seconds = (now - self.start).as_secs();
        let last = self.last_lines.back().map_or("", |line| line.trim());
        if self.terminal {
            let text: String = format!("[setup] {}: {seconds} s  {last}", self.what)
                .chars()
                .filter(|c| !c.is_control())
                .take(100)
                .collect();
            // Back to the line's start, and clear what a longer message left.
            eprint!("\r{text}\x1b[K");
            // Progress that is not shown is no reason to stop.
            let _ = io::stderr().flush();
        } else {
            say(&format!("  after {seconds} s: {last}"));
        }
    }

    fn finish(&self) {
        if self.terminal {
            let seconds = self.start.elapsed().as_secs();
            eprintln!("\r[setup] {}: {seconds} s\x1b[K", self.what);
        }
    }

    fn fail(self) -> Vec<String> {
        if self.terminal {
            eprintln!();
        }
        self.last_lines.into()
    }
}

#[cfg(test)]
mod tests;
