//! `lb` itself.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lb_userspace::control::protocol::{Drops, Server, Servers, Verdict};
use serde_json::Value;

use super::{Balance, Check, Service};
use crate::netns::Namespace;
use crate::network::Network;
use crate::process::Process;
use crate::wait;

const START: Duration = Duration::from_secs(20);
const SETTLE: Duration = Duration::from_secs(10);

/// A configuration file and what belongs to it.
#[derive(Clone, Debug)]
pub struct LbConfig {
    /// The text of the file.
    pub text: String,
    /// Where the file goes.
    pub path: PathBuf,
    /// The control socket that the text names.
    pub socket: PathBuf,
    /// Where the program's output goes.
    pub log: PathBuf,
}

impl LbConfig {
    /// A configuration for `services` on the interfaces of `network`, in driver mode.
    pub fn new(network: &Network, services: &[Service]) -> Self {
        Self::with_interfaces(network.dir.path(), network.interfaces(), services)
    }

    /// A configuration for `services` on `interfaces`, all files in `dir`.
    pub fn with_interfaces(dir: &Path, interfaces: &[&str], services: &[Service]) -> Self {
        let socket = dir.join("control.sock");
        Self {
            text: render(interfaces, &socket, services),
            path: dir.join("lb.yaml"),
            log: dir.join("lb.log"),
            socket,
        }
    }
}

/// A running `lb`.
#[derive(Debug)]
pub struct Lb {
    process: Process,
    program: PathBuf,
    socket: PathBuf,
}

impl Lb {
    /// Starts it in the balancer's namespace and waits until it says that it is ready.
    pub fn start(network: &Network, config: &LbConfig) -> Result<Self> {
        Self::start_in(&network.balancer, &find_lb()?, config)
    }

    /// Starts `program` in `namespace` and waits until it says that it is ready.
    pub fn start_in(namespace: &Namespace, program: &Path, config: &LbConfig) -> Result<Self> {
        fs::write(&config.path, &config.text)?;
        let process = namespace
            .program(program)
            .args(["run", "-c"])
            .arg(&config.path)
            .spawn(&config.log)?;
        let mut lb = Self {
            process,
            program: program.to_owned(),
            socket: config.socket.clone(),
        };
        lb.process.wait_ready(START, |process| {
            process.log().lines().any(|line| line.contains("ready"))
        })?;
        Ok(lb)
    }

    /// Runs `lb` with `arguments` in `namespace` to its end.
    pub fn call(namespace: &Namespace, arguments: &[&str]) -> Result<Output> {
        namespace.program(find_lb()?).args(arguments).output()
    }

    /// One document of `lb show --json`.
    pub fn show(&self, what: &str) -> Result<Value> {
        let answer = crate::process::Program::new(&self.program, None)
            .args(["show", what, "--json", "--socket"])
            .arg(&self.socket)
            .stdout()?;
        serde_json::from_str(&answer).with_context(|| format!("lb show {what}: {answer}"))
    }

    /// `lb show servers`.
    pub fn servers(&self) -> Result<Vec<Server>> {
        Ok(serde_json::from_value::<Servers>(self.show("servers")?)?.servers)
    }

    /// One server of [`Self::servers`].
    pub fn server(&self, name: &str) -> Result<Server> {
        let servers = self.servers()?;
        let found = servers.into_iter().find(|server| server.name == name);
        found.with_context(|| format!("lb shows no server {name}"))
    }

    /// What `lb show drops` says of packets that went no further.
    pub fn drops(&self) -> Result<Vec<Verdict>> {
        Ok(serde_json::from_value::<Drops>(self.show("drops")?)?.drops)
    }

    /// How many packets `lb show drops` counts for `reason`, dropped or passed.
    pub fn verdict(&self, reason: &str) -> Result<u64> {
        let shown = self.show("drops")?;
        for list in ["drops", "passes"] {
            for entry in shown[list].as_array().into_iter().flatten() {
                if entry["reason"] == reason {
                    return entry["packets"].as_u64().context("packets is no number");
                }
            }
        }
        bail!("lb show drops has no {reason}: {shown}")
    }

    /// Waits until a server is in the state whose word is `state`.
    pub fn wait_state(&self, name: &str, state: &str, limit: Duration) -> Result<()> {
        let what = format!("server {name} to be {state}");
        wait::until(&what, limit, || {
            let shown = self.show("servers").ok()?;
            let servers = shown["servers"].as_array()?;
            let server = servers.iter().find(|server| server["name"] == name)?;
            (server["state"] == state).then_some(())
        })
    }

    /// Waits until every checked server has been found up and its address resolved.
    pub fn wait_settled(&self, services: &[Service]) -> Result<()> {
        let count = services
            .iter()
            .map(|service| service.backends.len())
            .sum::<usize>();
        let settled = wait::until("every server to be up", SETTLE, || {
            let shown = self.show("servers").ok()?;
            let servers = shown["servers"].as_array()?;
            let ready =
                |server: &&Value| server["state"] == "up" && server["via"]["mac"].is_string();
            (servers.iter().filter(ready).count() == count).then_some(())
        });
        settled.with_context(|| self.account())
    }

    /// Its servers, what it did not forward, and its log.
    pub fn account(&self) -> String {
        let mut account = String::new();
        for what in ["servers", "drops"] {
            let _ = match self.show(what) {
                Ok(shown) => writeln!(account, "{shown:#}"),
                Err(error) => writeln!(account, "{error:#}"),
            };
        }
        account + &self.process.log()
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends it as a service manager would; an error unless it ends well.
    pub fn stop(mut self) -> Result<()> {
        let status: ExitStatus = self.process.stop()?;
        ensure!(
            status.success(),
            "lb ended with {status}\n{}",
            self.process.log()
        );
        Ok(())
    }
}

/// The `lb` to test: `LB_BIN`, or the one built beside this program.
pub fn find_lb() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("LB_BIN") {
        return Ok(path.into());
    }
    let here = std::env::current_exe()?;
    // target/PROFILE/deps/test-1234, target/PROFILE/lb-demo
    let found = here
        .ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join("lb"))
        .find(|lb| lb.is_file());
    found.with_context(|| {
        format!(
            "there is no lb beside {}: run `cargo build` first, or set LB_BIN",
            here.display()
        )
    })
}

fn render(interfaces: &[&str], socket: &Path, services: &[Service]) -> String {
    let mut text = format!(
        "dataplane:\n  interfaces: [{}]\n  xdp_mode: driver\n  flow_capacity: 65536\n\
         control: {{ socket: \"{}\", mode: \"0600\" }}\nlog: {{ level: debug }}\npools:\n",
        interfaces.join(", "),
        socket.display()
    );
    for service in services {
        render_pool(&mut text, service);
    }
    text.push_str("services:\n");
    for service in services {
        let listen: Vec<String> = service.listen.iter().map(|a| format!("\"{a}\"")).collect();
        let balance = match service.balance {
            Balance::RoundRobin => "roundrobin",
            Balance::Maglev => "maglev",
        };
        let _ = writeln!(
            text,
            "  - name: {0}\n    listen: [{1}]\n    protocol: tcp\n    pool: {0}\n    forward: nat\n    \
             balance: {balance}",
            service.name,
            listen.join(", ")
        );
    }
    text
}

fn render_pool(text: &mut String, service: &Service) {
    let _ = writeln!(text, "  - name: {}", service.name);
    let _ = match service.check {
        Check::None => writeln!(text, "    check: {{ type: none }}"),
        Check::Tcp {
            interval,
            timeout,
            rise,
            fall,
        } => writeln!(
            text,
            "    check: {{ type: tcp, interval: {}ms, timeout: {}ms, rise: {rise}, fall: {fall} }}",
            interval.as_millis(),
            timeout.as_millis()
        ),
    };
    text.push_str("    servers:\n");
    for server in &service.backends {
        let super::Backend {
            name,
            address,
            weight,
            ..
        } = server;
        let _ = write!(
            text,
            "      - {{ name: {name}, address: \"{address}\", weight: {weight}"
        );
        if server.backup {
            text.push_str(", backup: true");
        }
        if let Some(port) = server.check_port {
            let _ = write!(text, ", check: {{ port: {port} }}");
        }
        text.push_str(" }\n");
    }
}
