//! Servers that die and come back.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use lb_tests::balancer::{Check, SLACK};
use lb_tests::client::{Chatter, Connect};
use lb_tests::network::{Family, Layout, Network};
use lb_tests::server::Server;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::stage::Stage;

const CLIENTS: usize = 20;
const CHECK_PORT: u16 = 8001;
/// How long a client waits before it tries again; a SYN is sent again after a second.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Long enough that each client connects many times.
const WHILE: Duration = Duration::from_millis(500);

/// How the server dies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Death {
    /// Its process ends: the machine resets what comes for it.
    Process,
    /// Its machine is gone: nothing comes back at all.
    Machine,
}

#[test]
fn clients_of_a_killed_server_are_served_elsewhere() {
    dies_under_load(Family::V4, Death::Process);
}

#[test]
fn clients_of_a_killed_server_are_served_elsewhere_v6() {
    dies_under_load(Family::V6, Death::Process);
}

#[test]
fn clients_of_a_vanished_server_are_served_elsewhere() {
    dies_under_load(Family::V4, Death::Machine);
}

#[test]
fn clients_of_a_vanished_server_are_served_elsewhere_v6() {
    dies_under_load(Family::V6, Death::Machine);
}

fn dies_under_load(family: Family, death: Death) {
    let mut stage = Stage::new(Layout::Routed, family, 3);
    let address = stage.address;
    let Stage {
        network,
        servers,
        balancer,
        ..
    } = &mut stage;
    let done = AtomicBool::new(false);

    let (attempts, killed, noticed, restarted, back) = scope(|scope| {
        let load = scope.spawn(|| {
            network
                .client
                .block_on(async || keep_busy(address, &done).await)
        });
        sleep(WHILE);
        let killed = Instant::now();
        match death {
            Death::Process => servers[1].stop(),
            Death::Machine => network.plug_server(1, false).unwrap(),
        }
        balancer.wait_noticed("s2", false, Check::QUICK).unwrap();
        let noticed = Instant::now();
        // Every client may be waiting for an answer from the dead.
        sleep(PATIENCE + WHILE);
        let restarted = Instant::now();
        match death {
            Death::Process => servers[1].restart(&network.servers[1]).unwrap(),
            Death::Machine => network.plug_server(1, true).unwrap(),
        }
        balancer.wait_noticed("s2", true, Check::QUICK).unwrap();
        let back = Instant::now();
        sleep(WHILE);
        done.store(true, Ordering::Relaxed);
        (load.join().unwrap(), killed, noticed, restarted, back)
    });

    assert!(noticed - killed <= Check::QUICK.reaction() + SLACK * 2);
    let during = |from: Instant, to: Instant| {
        attempts
            .iter()
            .filter(move |attempt| attempt.started >= from && attempt.started < to)
    };
    let on_s2 = |attempt: &&Attempt| attempt.served_by("s2");
    let end = Instant::now();
    assert!(
        during(attempts[0].started, killed).any(|a| on_s2(&a)),
        "the load reaches the server"
    );
    // The moment that it has been found down, clients no longer notice that it is.
    for attempt in during(noticed, end) {
        let Attempt {
            started,
            took,
            server,
            failure,
        } = attempt;
        if let Some(failure) = failure {
            panic!(
                "{failure} (server {server:?}) after {took:?}, begun {:?} after the kill, which was \
                 noticed after {:?}; the server was back after {:?}\n{}",
                *started - killed,
                noticed - killed,
                back - killed,
                balancer.account()
            );
        }
    }
    assert!(during(noticed, restarted).count() >= CLIENTS);
    assert_eq!(during(noticed, restarted).filter(on_s2).count(), 0);
    assert!(
        during(back, end).any(|a| on_s2(&a)),
        "the server is used when it is back"
    );
}

/// One try to be served.
struct Attempt {
    started: Instant,
    /// How long it took.
    took: Duration,
    /// Who answered, if anyone did.
    server: Option<String>,
    /// Why it was not served from beginning to end.
    failure: Option<String>,
}

impl Attempt {
    fn served_by(&self, server: &str) -> bool {
        self.failure.is_none() && self.server.as_deref() == Some(server)
    }
}

/// Clients that connect, talk a little and connect again, until `done`.
async fn keep_busy(address: SocketAddr, done: &AtomicBool) -> Vec<Attempt> {
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(async move { attempt(address).await });
    }
    let mut attempts = Vec::new();
    while let Some(attempted) = clients.join_next().await {
        attempts.push(attempted.unwrap());
        if !done.load(Ordering::Relaxed) {
            clients.spawn(async move { attempt(address).await });
        }
    }
    attempts.sort_by_key(|attempt| attempt.started);
    attempts
}

async fn attempt(address: SocketAddr) -> Attempt {
    let started = Instant::now();
    let (mut server, mut step) = (None, "connecting");
    let talk = async {
        let mut connection = Connect::default().to(address).await?;
        server = Some(connection.server().to_owned());
        step = "talking";
        connection.start_echo().await?;
        for _ in 0..3 {
            connection.round_trip(b"are you there?").await?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        step = "closing";
        connection.close().await
    };
    let failure = match timeout(PATIENCE, talk).await {
        Ok(ended) => ended.err().map(|error| error.to_string()),
        Err(late) => Some(late.to_string()),
    };
    Attempt {
        started,
        took: started.elapsed(),
        server,
        failure: failure.map(|failure| format!("{step}: {failure}")),
    }
}

/// The server works, but its check fails: what is open goes on, and nothing new arrives.
#[test]
fn server_found_down_keeps_its_connections_and_gets_no_new_ones() {
    let network = Network::new(Layout::Routed, 2).unwrap();
    let start = |(index, namespace)| {
        let address = SocketAddr::new(network.server_address(index, Family::V4), CHECK_PORT);
        Server::start(namespace, "check", address).unwrap()
    };
    let mut checked: Vec<Server> = network.servers.iter().enumerate().map(start).collect();
    let stage = Stage::on(network, Family::V4, |mut service| {
        service
            .backends
            .iter_mut()
            .for_each(|backend| backend.check_port = Some(CHECK_PORT));
        service
    });
    let lasting = loop {
        let chatter = Chatter::start(&stage.network.client, stage.address).unwrap();
        if chatter.server() == "s1" {
            break chatter;
        }
        chatter.finish().unwrap();
    };

    checked[0].stop();
    stage.wait_noticed("s1", false);
    let served = stage.servers[0].served();
    let tally = stage.answers(20);
    assert_eq!(tally.get("s2"), Some(&20), "{tally:?}");
    assert_eq!(stage.servers[0].served(), served);
    lasting.still_talks().unwrap();
    lasting.finish().unwrap();

    checked[0].restart(&stage.network.servers[0]).unwrap();
    stage.wait_noticed("s1", true);
    let tally = stage.answers(20);
    assert_eq!(tally.get("s1"), Some(&10), "{tally:?}");
}
