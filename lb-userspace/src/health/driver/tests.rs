use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use super::*;
use crate::model::ServerName;

/// What each port answers, and when each was asked.
#[derive(Clone, Default)]
struct World(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    silent: BTreeSet<u16>,
    refusing: BTreeSet<u16>,
    asked: Vec<(u16, Instant)>,
}

impl World {
    fn connect(
        &self,
    ) -> impl Fn(
        Arc<config::Probe>,
        Instant,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Success, Failure>> + Send>>
    + Clone
    + Send
    + use<> {
        let world = self.clone();
        move |probe, _| {
            let world = world.clone();
            Box::pin(async move {
                let port = probe.target.port();
                let (silent, refusing) = {
                    let mut world = world.0.lock().unwrap();
                    world.asked.push((port, Instant::now()));
                    (world.silent.contains(&port), world.refusing.contains(&port))
                };
                if silent {
                    std::future::pending::<()>().await;
                }
                if refusing {
                    Err(Failure::Refused(Duration::ZERO))
                } else {
                    Ok("connected")
                }
            })
        }
    }

    fn with<R>(&self, change: impl FnOnce(&mut Inner) -> R) -> R {
        change(&mut self.0.lock().unwrap())
    }

    fn asked(&self, port: u16) -> Vec<Instant> {
        self.with(|world| {
            world
                .asked
                .iter()
                .filter(|(p, _)| *p == port)
                .map(|(_, t)| *t)
                .collect()
        })
    }
}

const INTERVAL: Duration = Duration::from_secs(2);

fn key(port: u16) -> ServerKey {
    ServerKey {
        pool: PoolName::new("pg"),
        server: ServerName::new(format!("pg{port}")),
    }
}

fn target(port: u16) -> Target {
    let probe = config::Probe {
        kind: config::Kind::Tcp,
        target: ([192, 0, 2, 1], port).into(),
        interval: INTERVAL,
        fast_interval: INTERVAL,
        down_interval: INTERVAL,
        timeout: Duration::from_millis(500),
        rise: NonZeroU32::new(2).unwrap(),
        fall: NonZeroU32::new(3).unwrap(),
    };
    Target {
        key: key(port),
        check: config::Check::Probe(probe),
    }
}

fn start(world: &World, targets: Vec<Target>) -> (Reports, tokio::task::JoinHandle<()>) {
    let (mut checks, reports) = Checks::new(world.connect());
    checks.set(targets);
    (reports, tokio::spawn(checks.run()))
}

#[tokio::test(start_paused = true)]
async fn every_server_is_probed_at_once_then_in_turn() {
    let world = World::default();
    let began = Instant::now();
    let (mut reports, _task) = start(&world, (1..=4).map(target).collect());
    reports.first_round(Duration::from_secs(5)).await;
    assert!(began.elapsed() <= FIRST_ROUND, "{:?}", began.elapsed());
    assert!((1..=4).all(|port| reports.view.borrow().is_up(&key(port))));

    tokio::time::sleep(3 * INTERVAL).await;
    for port in 1..=4 {
        let asked = world.asked(port);
        assert_eq!(
            asked[1] - began,
            INTERVAL / 4 * u32::from(port),
            "spread over the interval"
        );
        assert!(asked.windows(2).skip(1).all(|w| w[1] - w[0] == INTERVAL));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stuck_probe_delays_no_other_and_fails_in_time() {
    let world = World::default();
    world.with(|world| world.silent.insert(1));
    let (mut reports, _task) = start(&world, vec![target(1), target(2)]);
    reports.first_round(Duration::from_secs(5)).await;
    tokio::time::sleep(5 * INTERVAL).await;
    let gaps = |port| {
        world
            .asked(port)
            .windows(2)
            .skip(1)
            .map(|w| w[1] - w[0])
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(gaps(1), BTreeSet::from([INTERVAL]));
    assert_eq!(gaps(2), BTreeSet::from([INTERVAL]));
    let statuses = reports.statuses.borrow();
    let stuck = statuses[&key(1)].last.as_ref().unwrap();
    assert_eq!(stuck.describe(), "no answer within 500ms");
    assert_eq!(stuck.took, Duration::from_millis(500));
    assert_eq!(statuses[&key(2)].health, ServerHealth::Up);
}

#[tokio::test(start_paused = true)]
async fn a_server_goes_down_after_fall_and_up_after_rise() {
    let world = World::default();
    let (mut reports, _task) = start(&world, vec![target(1)]);
    reports.first_round(Duration::from_secs(5)).await;
    assert!(reports.view.borrow_and_update().is_up(&key(1)));

    world.with(|world| world.refusing.insert(1));
    let before = world.asked(1).len();
    reports.view.changed().await.unwrap();
    assert!(!reports.view.borrow_and_update().is_up(&key(1)));
    assert_eq!(world.asked(1).len() - before, 3);

    world.with(|world| world.refusing.remove(&1));
    reports.view.changed().await.unwrap();
    assert!(reports.view.borrow().is_up(&key(1)));
    assert_eq!(world.asked(1).len() - before, 5);
}

#[tokio::test(start_paused = true)]
async fn a_server_without_a_check_is_up_at_once_and_never_probed() {
    let world = World::default();
    let unchecked = Target {
        key: key(1),
        check: config::Check::None,
    };
    let (mut reports, _task) = start(&world, vec![unchecked]);
    assert!(reports.view.borrow().is_up(&key(1)));
    reports.first_round(Duration::from_secs(5)).await;
    tokio::time::sleep(5 * INTERVAL).await;
    assert_eq!(world.asked(1), []);
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_does_not_hold_up_the_start_beyond_its_limit() {
    let world = World::default();
    world.with(|world| world.silent.insert(1));
    let (mut reports, _task) = start(&world, vec![target(1)]);
    let began = Instant::now();
    reports.first_round(Duration::from_millis(100)).await;
    assert_eq!(began.elapsed(), Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn a_new_set_of_targets_leaves_what_did_not_change_alone() {
    let world = World::default();
    let (mut checks, reports) = Checks::new(world.connect());
    checks.set(vec![target(1), target(2)]);
    let since = checks.servers[&key(1)]
        .probed
        .as_ref()
        .unwrap()
        .0
        .status()
        .since;
    tokio::time::advance(Duration::from_millis(1)).await;
    checks.set(vec![target(1), target(3)]);
    assert_eq!(reports.statuses.borrow()[&key(1)].since, since);
    let watched: Vec<_> = reports.statuses.borrow().keys().cloned().collect();
    assert_eq!(watched, [key(1), key(3)]);
    let task = tokio::spawn(checks.run());
    tokio::time::sleep(3 * INTERVAL).await;
    assert_eq!(world.asked(2), [], "no longer probed");
    assert!(world.asked(3).len() > 1);
    drop(task);
}

#[tokio::test(start_paused = true)]
async fn a_server_in_doubt_is_probed_faster() {
    let world = World::default();
    let mut target = target(1);
    let fast = Duration::from_millis(600);
    let slow = Duration::from_secs(7);
    if let config::Check::Probe(probe) = &mut target.check {
        probe.fast_interval = fast;
        probe.down_interval = slow;
    }
    let (mut reports, _task) = start(&world, vec![target]);
    reports.first_round(Duration::from_secs(5)).await;
    tokio::time::sleep(2 * INTERVAL).await;
    world.with(|world| {
        world.asked.clear();
        world.refusing.insert(1);
    });
    tokio::time::sleep(Duration::from_secs(30)).await;
    let asked = world.asked(1);
    let gaps: Vec<_> = asked
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .take(4)
        .collect();
    assert_eq!(
        gaps,
        [fast, fast, slow, slow],
        "the third failure takes it down"
    );
}
