//! PostgreSQL.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use nix::unistd::User;

use crate::netns::Namespace;
use crate::process::{Process, Program};

const START: Duration = Duration::from_secs(20);
/// The server refuses to run as root; Debian's package makes this user.
const USER: &str = "postgres";

/// PostgreSQL's programs.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `initdb`.
    pub initdb: PathBuf,
    /// `postgres`.
    pub postgres: PathBuf,
    /// `psql`.
    pub psql: PathBuf,
    /// `pgbench`.
    pub pgbench: PathBuf,
}

/// A database server with a data directory of its own; user `postgres` may do everything from
/// everywhere.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
}

impl Postgres {
    /// Makes a data directory below `dir` and starts a server on it; it answers when this returns.
    pub fn start(
        namespace: &Namespace,
        programs: &Programs,
        address: SocketAddr,
        dir: &Path,
    ) -> Result<Self> {
        let home = dir.join("postgres");
        fs::create_dir(&home)?;
        let user = User::from_name(USER)?.context("there is no user postgres")?;
        chown(&home, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        let data = home.join("data");
        Program::new(&programs.initdb, None)
            .args([
                "--auth=trust",
                "--username",
                USER,
                "--no-sync",
                "--no-locale",
                "-D",
            ])
            .arg(&data)
            .user(USER)?
            .stdout()?;
        let hba = data.join("pg_hba.conf");
        fs::write(
            &hba,
            "host all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n",
        )?;

        let settings = [
            format!("listen_addresses={}", address.ip()),
            format!("port={}", address.port()),
            "unix_socket_directories=".to_owned(),
            // Durability is not what is under test.
            "fsync=off".to_owned(),
            "max_connections=200".to_owned(),
        ];
        let mut server = namespace.program(&programs.postgres).arg("-D").arg(&data);
        for setting in settings {
            server = server.args(["-c", &setting]);
        }
        let process = server
            .user(USER)?
            // Immediate shutdown: removes its shared memory, does not wait for clients.
            .stop_signal(Signal::SIGQUIT)
            .spawn(&dir.join("postgres.log"))?;
        let mut postgres = Self { process };
        postgres.process.wait_ready(START, |_| {
            query(namespace, &programs.psql, address, "postgres", "SELECT 1").is_ok()
        })?;
        Ok(postgres)
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Runs one query from `namespace` against the server at `address`; columns are divided by `|`.
pub fn query(
    namespace: &Namespace,
    psql: &Path,
    address: SocketAddr,
    database: &str,
    sql: &str,
) -> Result<String> {
    let answer = namespace
        .program(psql)
        .args(["--no-psqlrc", "--tuples-only", "--no-align", "--quiet"])
        .args([
            "-v",
            "ON_ERROR_STOP=1",
            "--command",
            sql,
            "--dbname",
            database,
        ])
        .args(target(address))
        .env("PGCONNECT_TIMEOUT", "10")
        .stdout()?;
    Ok(answer.trim_end().to_owned())
}

/// The arguments that direct PostgreSQL's programs to `address`.
pub fn target(address: SocketAddr) -> [String; 6] {
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    [
        "-h".to_owned(),
        ip,
        "-p".to_owned(),
        port,
        "-U".to_owned(),
        USER.to_owned(),
    ]
}
