//! HAProxy.

use std::fmt::Write;
use std::fs;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Balance, Check, Service};
use crate::network::Network;
use crate::process::Process;
use crate::skip;

const START: Duration = Duration::from_secs(10);
/// Answers as soon as HAProxy runs, without a connection to any server.
const READY: &str = "127.0.0.1:9";

/// A running HAProxy in the balancer's namespace.
#[derive(Debug)]
pub struct HaProxy {
    process: Process,
}

impl HaProxy {
    /// Starts it with its defaults for TCP, a thread for each processor.
    pub fn start(network: &Network, services: &[Service]) -> Result<Self> {
        let program = skip::find("haproxy").context("haproxy is not installed")?;
        let config = network.dir.join("haproxy.cfg");
        fs::write(&config, render(services)?)?;
        let process = network
            .balancer
            .program(program)
            .args(["-db", "-f"])
            .arg(&config)
            .spawn(&network.dir.join("haproxy.log"))?;
        let mut haproxy = Self { process };
        haproxy.process.wait_ready(START, |_| {
            network.balancer.run(|| TcpStream::connect(READY)).is_ok()
        })?;
        Ok(haproxy)
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn render(services: &[Service]) -> Result<String> {
    let mut text = format!(
        "global\n  maxconn 4000\n\
         defaults\n  mode tcp\n  timeout connect 2s\n  timeout client 1h\n  timeout server 1h\n\
         listen ready\n  bind {READY}\n"
    );
    for service in services {
        let name = &service.name;
        writeln!(text, "listen {name}")?;
        for address in &service.listen {
            writeln!(text, "  bind {address}")?;
        }
        text.push_str(match service.balance {
            Balance::RoundRobin => "  balance roundrobin\n",
            // All clients of a test have one address.
            Balance::Maglev => "  balance hash src_port\n  hash-type consistent\n",
        });
        for server in &service.backends {
            let super::Backend {
                name,
                address,
                weight,
                ..
            } = server;
            write!(text, "  server {name} {address} weight {weight}")?;
            if let Check::Tcp {
                interval,
                rise,
                fall,
                ..
            } = service.check
            {
                // HAProxy's own time limit of a check is the interval.
                let interval = interval.as_millis();
                write!(text, " check inter {interval}ms rise {rise} fall {fall}")?;
            }
            if let Some(port) = server.check_port {
                write!(text, " port {port}")?;
            }
            if server.backup {
                write!(text, " backup")?;
            }
            text.push('\n');
        }
    }
    Ok(text)
}
