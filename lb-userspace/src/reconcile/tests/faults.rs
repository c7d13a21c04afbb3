//! Rounds in which operations fail.

use std::cell::Cell;
use std::rc::Rc;

use proptest::prelude::*;

use super::witness::Witness;
use super::*;
use crate::config::Hash;
use crate::dataplane::fake::Fake;
use crate::dataplane::faulty::{Fate, Faulty};

/// What the maps say, without ids and places: what a packet meets.
fn meaning(fake: &Fake) -> String {
    let mut lines = Vec::new();
    for (key, service) in &fake.services {
        let mut servers: Vec<_> = fake
            .ring_of(service)
            .unwrap()
            .iter()
            .map(|member| {
                let real = fake.reals[&fake.members[member].real];
                let sources: Vec<_> = (real.snat_base..real.snat_base + real.snat_count)
                    .map(|index| wire::ip(fake.snat[&index].addr))
                    .collect();
                let timeout = fake.members[member].idle_timeout;
                format!(
                    "{} by {} from {sources:?} {timeout}",
                    wire::ip(real.addr),
                    real.ifindex
                )
            })
            .collect();
        servers.sort();
        // Which of the addresses that the lists are about it admits.
        let admits = |host: u8| {
            let node = |index| fake.access.get(&(service.access - 1 + index));
            let address = u32::from_be_bytes([10 + host / 8, 0, host / 8, host % 8]);
            service.access == 0
                || lb_common::access::admits(u64::from(address) << 32, 0, node).expect("a node")
        };
        let admitted: Vec<u8> = (0..64).filter(|host| admits(*host)).collect();
        lines.push(format!(
            "{key:?} pick {} {} {servers:?} {admitted:?} {:?}",
            service.pick, service.idle_timeout, service.limit
        ));
    }
    lines.push(format!("{:?}", fake.ports));
    lines.join("\n")
}

/// What the maps say when nothing fails.
fn expected(desired: &DesiredState) -> String {
    let mut reconciler = Reconciler::new(Fake::new(RING_SLOTS));
    let report = reconciler.reconcile(desired, Instant::now());
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    meaning(reconciler.plane())
}

type Planned<F> = Reconciler<Faulty<Witness, F>>;

/// Rounds until one has nothing to retry.
fn converge<F: FnMut(&'static str) -> Fate>(reconciler: &mut Planned<F>, desired: &DesiredState) {
    reconciler.plane_mut().plane.expect(desired);
    for _ in 0..10_000 {
        let now = reconciler.plane().plane.now;
        let report = reconciler.reconcile(desired, now);
        if report.failed.is_empty() {
            return;
        }
        let at = report.retry_at.expect("a round that failed is done again");
        assert!(at > now);
        reconciler.plane_mut().plane.now = at;
    }
    panic!("does not converge");
}

fn witness() -> Witness {
    Witness::new(Fake::new(RING_SLOTS), Instant::now())
}

/// States that follow each other: servers and services come, go and change.
fn story() -> Vec<DesiredState> {
    let mut two = [
        Wanted::round_robin(80, &[1, 2, 3]),
        Wanted::round_robin(81, &[3, 4]),
    ];
    let mut states = vec![state(&two, 1)];
    two[0].shares.remove(1);
    states.push(state(&two, 1));
    two[0].members.push(5);
    two[0].shares.push((5, 3));
    two[1].algorithm = Algorithm::Maglev {
        len: 16,
        hash: Hash::Tuple,
    };
    states.push(state(&two, 3));
    two[0].list = 3;
    two[1].list = 1;
    states.push(state(&two, 3));
    two[0].list = 5;
    two[1].list = 5;
    states.push(state(&two, 3));
    two[0].list = 0;
    two[0].listen = vec![81, 82];
    two[1].listen = vec![80];
    two[1].idle_timeout = 7;
    states.push(state(&two, 2));
    states.push(state(&two[1..], 2));
    states.push(DesiredState::default());
    states.push(state(&two, 1));
    states
}

/// Runs the story, one operation failing, and gives the number of operations.
fn run_story(fails: Option<(usize, Fate)>) -> usize {
    let count = Rc::new(Cell::new(0));
    let counter = Rc::clone(&count);
    let fate = move |_: &'static str| {
        counter.set(counter.get() + 1);
        match fails {
            Some((number, fate)) if number == counter.get() => fate,
            _ => Fate::Succeeds,
        }
    };
    let mut reconciler = Reconciler::new(Faulty {
        plane: witness(),
        fate,
    });
    for desired in story() {
        converge(&mut reconciler, &desired);
        assert_eq!(meaning(&reconciler.plane().plane.fake), expected(&desired));
    }
    count.get()
}

#[test]
fn any_one_operation_may_fail() {
    let operations = run_story(None);
    assert!(operations > 50, "{operations}");
    for number in 1..=operations {
        run_story(Some((number, Fate::FailsBefore)));
        run_story(Some((number, Fate::FailsAfter)));
    }
}

#[test]
fn what_does_not_depend_on_the_failure_is_done_in_the_same_round() {
    let mut service = Wanted::round_robin(80, &[1, 2]);
    let failing = Rc::new(Cell::new(""));
    let fails = Rc::clone(&failing);
    let fate = move |operation: &'static str| {
        if operation == fails.get() {
            Fate::FailsBefore
        } else {
            Fate::Succeeds
        }
    };
    let mut reconciler = Reconciler::new(Faulty {
        plane: witness(),
        fate,
    });
    converge(&mut reconciler, &state(&[service.clone()], 1));
    // Server 1 goes down while server 3, which is new, cannot be written.
    service.members.push(3);
    service.shares = vec![(2, 1), (3, 1)];
    for operation in [
        "put_real",
        "put_member",
        "clear_counters",
        "write_snat",
        "put_port",
    ] {
        failing.set(operation);
        let desired = state(&[service.clone()], 1);
        reconciler.plane_mut().plane.expect(&desired);
        let now = reconciler.plane().plane.now;
        let _ = reconciler.reconcile(&desired, now);
        let fake = &reconciler.plane().plane.fake;
        let entry = fake
            .services
            .values()
            .find(|service| service.id == 1)
            .unwrap();
        let ring = fake.ring_of(entry).unwrap();
        assert!(
            ring.contains(&2) && !ring.contains(&1),
            "{operation}: {fake}"
        );
    }
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let algorithm = prop_oneof![
        Just(Algorithm::RoundRobin),
        Just(Algorithm::LeastFlows),
        Just(Algorithm::First),
        Just(Algorithm::Random),
        Just(Algorithm::Maglev {
            len: 13,
            hash: Hash::Tuple
        })
    ];
    (
        proptest::collection::btree_set(1..=6_u8, 1..5),
        proptest::collection::vec((1..=6_u8, 1..=2_u16), 0..5),
        algorithm,
        1..3_u32,
        0..6_u8,
    )
        .prop_map(|(members, shares, algorithm, idle_timeout, list)| Wanted {
            listen: Vec::new(),
            members: members.into_iter().collect(),
            shares,
            algorithm,
            idle_timeout,
            list,
            policy: Policy {
                redispatches: idle_timeout as u16,
                max_flows: idle_timeout,
                ..Policy::default()
            },
        })
}

/// Up to three services that share six ports and six servers.
fn states() -> impl Strategy<Value = DesiredState> {
    let owners = proptest::array::uniform6(0..4_usize);
    (proptest::collection::vec(wanted(), 0..3), owners, 0..3_u8).prop_map(
        |(mut services, owners, sources)| {
            for (port, owner) in (80..).zip(owners) {
                if let Some(service) = services.get_mut(owner) {
                    service.listen.push(port);
                }
            }
            state(&services, sources)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn rounds_that_fail_at_random_end_where_they_should(
        stages in proptest::collection::vec(
            (states(), 0..3_usize, proptest::collection::vec(any::<bool>(), 6)),
            1..8,
        ),
        seed in any::<u64>(),
    ) {
        let mut random = seed | 1;
        let rate = Rc::new(Cell::new(0));
        let fails = Rc::clone(&rate);
        let fate = move |_: &'static str| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            match random >> 33 {
                number if number % 100 >= fails.get() => Fate::Succeeds,
                number if number % 2 == 0 => Fate::FailsBefore,
                _ => Fate::FailsAfter,
            }
        };
        let mut reconciler = Reconciler::new(Faulty { plane: witness(), fate });
        for (desired, rounds, with_flows) in stages {
            reconciler.plane_mut().plane.expect(&desired);
            rate.set(30);
            for _ in 0..rounds {
                let now = reconciler.plane().plane.now;
                let report = reconciler.reconcile(&desired, now);
                reconciler.plane_mut().plane.now = report.retry_at.unwrap_or(now);
            }
            // Some members that packets meet get flows, which hold ids for as long as they last.
            let members: Vec<_> = reconciler.members().map(|(id, key)| (id, key.real)).collect();
            let plane = &mut reconciler.plane_mut().plane;
            let met: BTreeSet<u16> = plane
                .fake
                .services
                .values()
                .flat_map(|service| plane.fake.ring_of(service).unwrap())
                .chain(plane.with_flows.keys().copied())
                .collect();
            plane.with_flows.clear();
            plane.fake.counts.clear();
            for ((id, real), _) in members.iter().zip(with_flows).filter(|(_, has)| *has) {
                let id = crate::dataplane::ids::Id::number(*id);
                if met.contains(&id) {
                    plane.with_flows.insert(id, *real);
                    plane.fake.counts.insert(id, lb_common::service::Counts { flows: 1, ..Default::default() });
                }
            }
        }
        // The last state is reached although operations go on failing now and then.
        rate.set(5);
        let desired = state(&[Wanted::round_robin(80, &[1, 2, 3])], 2);
        converge(&mut reconciler, &desired);
        prop_assert_eq!(meaning(&reconciler.plane().plane.fake), expected(&desired));
        // And then there is nothing left to do.
        rate.set(0);
        let now = reconciler.plane().plane.now;
        let mut report = reconciler.reconcile(&desired, now);
        reconciler.plane_mut().plane.with_flows.clear();
        reconciler.plane_mut().plane.fake.counts.clear();
        while let Some(at) = report.retry_at {
            reconciler.plane_mut().plane.now = at;
            report = reconciler.reconcile(&desired, at);
            prop_assert!(report.failed.is_empty());
        }
        let fake = &reconciler.plane().plane.fake;
        prop_assert_eq!((fake.members.len(), fake.reals.len(), fake.services.len()), (3, 3, 2));
    }
}
