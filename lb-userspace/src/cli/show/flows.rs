//! `lb show flows`: printed as they come, a million if need be.

use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;

use super::super::Failure;
use super::super::table::{
    Align::{Left, Right},
    Layout, bytes, seconds,
};
use crate::config::duration;
use crate::config::prefix::prefix;
use crate::control::protocol::{FLOWS_BEGIN, Flow, FlowsEnd};
use crate::control::{self, Request, Selection, Show, What};

/// Rows that the columns are made wide enough for; as many as are listed unless one asks for more.
const MEASURED: usize = control::protocol::DEFAULT_FLOW_LIMIT as usize;

/// Which flows.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which flows")]
pub(super) struct FlowArgs {
    /// Flows of this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Flows to this server
    #[arg(long, value_name = "POOL/SERVER")]
    server: Option<String>,
    /// Flows of clients in this network: 10.1.0.0/16, or one address
    #[arg(long, value_name = "CIDR", value_parser = prefix)]
    client: Option<IpNet>,
    /// Flows in this state: open, half-open, closed, ...
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Flows that began longer ago than this: 250ms, 30s, 5m, 24h
    #[arg(long, value_name = "TIME", value_parser = time)]
    older_than: Option<Duration>,
    /// Most flows to list [default: 1000]
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

fn time(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|why| format!("{why}: 250ms, 30s, 5m or 24h are times"))
}

impl FlowArgs {
    /// One of the options that were given, if any was.
    pub(super) fn given(&self) -> Option<&'static str> {
        let options = [
            ("--service", self.service.is_some()),
            ("--server", self.server.is_some()),
            ("--client", self.client.is_some()),
            ("--state", self.state.is_some()),
            ("--older-than", self.older_than.is_some()),
            ("--limit", self.limit.is_some()),
        ];
        let given = options.into_iter().find(|(_, given)| *given);
        given.map(|(option, _)| option)
    }

    fn selection(&self) -> Selection {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Selection {
            service: self.service.clone(),
            server: self.server.clone(),
            client: self.client.map(|client| client.to_string()),
            state: self.state.clone(),
            older_than_ms: self.older_than.map(millis),
        }
    }
}

pub(super) fn show(args: &FlowArgs, socket: &Path, json: bool) -> Result<(), Failure> {
    let request = Request::Show(Show {
        what: What::Flows,
        limit: args.limit,
        select: args.selection(),
    });
    let mut page = Page::new(io::stdout().lock(), json);
    control::ask_by_line(socket, &request, &mut |line| page.line(line))
        .map_err(Failure::at_run_time)?;
    page.finish().map_err(Failure::at_run_time)
}

/// Why the list is not whole.
#[derive(Debug, thiserror::Error)]
enum Incomplete {
    #[error("the agent's answer breaks off: {0}")]
    BrokenOff(String),
    #[error("the agent's answer is not understood ({0}): are it and this lb of one version?")]
    NotUnderstood(String),
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

/// The answer on its way to the terminal.
struct Page<W: Write> {
    out: BufWriter<W>,
    json: bool,
    /// Rows that wait until the columns' widths are known; `None` once they are.
    waiting: Option<Vec<Flow>>,
    layout: Layout,
    payload: bool,
    last: String,
    failed: Option<Incomplete>,
}

impl<W: Write> Page<W> {
    fn new(out: W, json: bool) -> Self {
        Self {
            out: BufWriter::with_capacity(64 * 1024, out),
            json,
            waiting: Some(Vec::new()),
            layout: Layout::new(&[], &[]),
            payload: false,
            last: String::new(),
            failed: None,
        }
    }

    fn line(&mut self, line: &[u8]) -> ControlFlow<()> {
        match self.take(line) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn take(&mut self, line: &[u8]) -> Result<(), Incomplete> {
        let text = std::str::from_utf8(line)
            .map_err(|error| Incomplete::NotUnderstood(error.to_string()))?;
        let text = text.trim_end();
        if self.json {
            self.out.write_all(line)?;
        } else if text.starts_with('{') && text != FLOWS_BEGIN {
            let flow = serde_json::from_str(text.strip_suffix(',').unwrap_or(text))
                .map_err(|error| Incomplete::NotUnderstood(error.to_string()))?;
            self.row(flow)?;
        }
        self.last.clear();
        self.last.push_str(text);
        Ok(())
    }

    fn row(&mut self, flow: Flow) -> io::Result<()> {
        match &mut self.waiting {
            Some(waiting) if waiting.len() < MEASURED => {
                waiting.push(flow);
                Ok(())
            }
            _ => {
                self.lay_out()?;
                let line = self.layout.line(&cells(&flow, self.payload));
                self.out.write_all(line.as_bytes())
            }
        }
    }

    /// Makes the columns wide enough for the rows that have come, and prints those.
    fn lay_out(&mut self) -> io::Result<()> {
        let Some(waiting) = self.waiting.take() else {
            return Ok(());
        };
        self.payload = waiting.first().is_some_and(|flow| flow.payload.is_some());
        let rows: Vec<_> = waiting
            .iter()
            .map(|flow| cells(flow, self.payload))
            .collect();
        let mut columns = vec![
            ("CLIENT", Left),
            ("VIP", Left),
            ("NAT SOURCE", Left),
            ("SERVER", Left),
            ("NAME", Left),
            ("SERVICE", Left),
            ("STATE", Left),
            ("AGE", Right),
            ("IDLE", Right),
        ];
        if self.payload {
            columns.extend([("BYTES IN", Right), ("BYTES OUT", Right)]);
        }
        self.layout = Layout::new(&columns, &rows);
        self.out.write_all(self.layout.heading().as_bytes())?;
        for row in &rows {
            self.out.write_all(self.layout.line(row).as_bytes())?;
        }
        Ok(())
    }

    /// Prints what is left, if the list is whole.
    fn finish(mut self) -> Result<(), Incomplete> {
        match self.failed.take() {
            // A reader that has seen enough (`head`).
            Some(Incomplete::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Ok(());
            }
            Some(error) => return Err(error),
            None => {}
        }
        let Some(end) = FlowsEnd::read(&self.last) else {
            return Err(Incomplete::BrokenOff(self.last));
        };
        let printed = self.rest(end);
        match printed {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }

    fn rest(&mut self, end: FlowsEnd) -> io::Result<()> {
        if !self.json {
            self.lay_out()?;
            if end.truncated {
                writeln!(self.out, "the first {}; --limit N lists more", end.shown)?;
            }
        }
        self.out.flush()
    }
}

fn cells(flow: &Flow, payload: bool) -> Vec<String> {
    let name = |name: &Option<_>| name.as_deref().unwrap_or("-").to_owned();
    let mut cells = vec![
        flow.client.to_string(),
        flow.vip.to_string(),
        flow.nat_source.to_string(),
        flow.server.to_string(),
        name(&flow.server_name),
        name(&flow.service),
        flow.state.to_string(),
        seconds(flow.age_seconds as u64),
        format!("{:.1}s", flow.idle_seconds),
    ];
    if payload {
        let carried = flow.payload.map_or([0; 2], |payload| {
            [payload.payload_bytes_in, payload.payload_bytes_out]
        });
        cells.extend(carried.map(bytes));
    }
    cells
}

#[cfg(test)]
mod tests;
