//! Rounds without faults.

use lb_common::service::{Counts, Member};

use super::*;
use crate::dataplane::fake::Fake;
use crate::dataplane::ids::Id;
use crate::ring::slices::GRACE;

fn reconciler() -> Reconciler<Fake> {
    Reconciler::new(Fake::new(RING_SLOTS))
}

fn done(report: &Report) -> usize {
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    report.changed
}

#[test]
fn empty_maps_are_filled() {
    let mut reconciler = reconciler();
    let report = reconciler.reconcile(
        &state(&[Wanted::round_robin(80, &[1, 2])], 2),
        Instant::now(),
    );
    assert_eq!(done(&report), 10);
    assert_eq!(report.retry_at, None);
    let expected = "\
port 3 mtu 1500
snat 0 10.0.5.200 20000-32767
snat 1 10.0.5.201 20000-32767
real 1 10.0.5.1 port 5432 by 3 snat 0+2
real 2 10.0.5.2 port 5432 by 3 snat 0+2
member 1 real 1 service 1
member 2 real 2 service 1
listen 192.0.2.1 port 0 service 0 ring 0+0 []
listen 192.0.2.1 port 80 service 1 ring 0+2 [2, 1]
";
    assert_eq!(reconciler.plane().to_string(), expected);
}

#[test]
fn what_is_as_it_should_be_is_not_touched() {
    let mut reconciler = reconciler();
    let now = Instant::now();
    let wanted = state(&[Wanted::round_robin(80, &[1, 2])], 1);
    done(&reconciler.reconcile(&wanted, now));
    assert_eq!(done(&reconciler.reconcile(&wanted, now)), 0);
}

#[test]
fn a_server_that_goes_down_leaves_the_ring_and_nothing_else_changes() {
    let mut reconciler = reconciler();
    let now = Instant::now();
    let mut service = Wanted::round_robin(80, &[1, 2, 3]);
    done(&reconciler.reconcile(&state(&[service.clone()], 1), now));
    let before = reconciler.plane().clone();
    service.shares.remove(0);
    let report = reconciler.reconcile(&state(&[service], 1), now);
    // Its member, the ring, and the listening address that is switched to it.
    assert_eq!(done(&report), 3);
    let after = reconciler.plane();
    assert_eq!(after.reals, before.reals);
    for (id, member) in &before.members {
        let weight = if *id == 1 { 0 } else { member.weight };
        assert_eq!(after.members[id], Member { weight, ..*member });
    }
    let entry = after
        .services
        .values()
        .find(|service| service.id == 1)
        .unwrap();
    let ring: BTreeSet<u16> = after.ring_of(entry).unwrap().into_iter().collect();
    assert_eq!(ring, [2, 3].into());
    // The old ring rests.
    assert_eq!(report.retry_at, Some(now + GRACE));
}

#[test]
fn without_servers_a_service_has_an_empty_ring() {
    let mut reconciler = reconciler();
    let mut service = Wanted::round_robin(80, &[1]);
    service.shares.clear();
    done(&reconciler.reconcile(&state(&[service], 1), Instant::now()));
    let entry = reconciler
        .plane()
        .services
        .values()
        .find(|service| service.id == 1)
        .unwrap();
    assert_eq!(entry.ring_len, 0);
}

#[test]
fn a_member_with_flows_keeps_its_id_until_they_are_gone() {
    let mut reconciler = reconciler();
    let mut now = Instant::now();
    let both = state(&[Wanted::round_robin(80, &[1, 2])], 1);
    let one = state(&[Wanted::round_robin(80, &[2])], 1);
    done(&reconciler.reconcile(&both, now));
    let flows = Counts {
        flows: 1,
        ..Counts::default()
    };
    reconciler.plane_mut().counts.insert(1, flows);
    let report = reconciler.reconcile(&one, now);
    assert_eq!(report.retry_at, Some(now + GRACE));
    now += GRACE;
    let report = reconciler.reconcile(&one, now);
    assert!(reconciler.plane().members.contains_key(&1));
    assert!(reconciler.plane().reals.contains_key(&1));
    assert_eq!(report.retry_at, Some(now + RETIRED_INTERVAL));
    assert_eq!(reconciler.members().count(), 2);

    // It comes back: the same ids.
    done(&reconciler.reconcile(&both, now));
    assert_eq!(reconciler.plane().members.len(), 2);

    done(&reconciler.reconcile(&one, now));
    reconciler.plane_mut().counts.clear();
    now += GRACE;
    assert_eq!(done(&reconciler.reconcile(&one, now)), 2);
    assert_eq!(reconciler.plane().members.keys().collect::<Vec<_>>(), [&2]);
    assert_eq!(reconciler.plane().reals.keys().collect::<Vec<_>>(), [&2]);
}

#[test]
fn a_member_is_not_removed_while_its_old_ring_may_be_read() {
    let mut reconciler = reconciler();
    let now = Instant::now();
    done(&reconciler.reconcile(&state(&[Wanted::round_robin(80, &[1, 2])], 1), now));
    let one = state(&[Wanted::round_robin(80, &[2])], 1);
    done(&reconciler.reconcile(&one, now));
    done(&reconciler.reconcile(&one, now + GRACE / 2));
    assert!(reconciler.plane().members.contains_key(&1));
    done(&reconciler.reconcile(&one, now + GRACE));
    assert!(!reconciler.plane().members.contains_key(&1));
}

#[test]
fn a_server_with_a_new_address_is_another_member() {
    let mut reconciler = reconciler();
    let now = Instant::now();
    let before = state(&[Wanted::round_robin(80, &[1])], 1);
    done(&reconciler.reconcile(&before, now));
    let mut after = before;
    let real = after.reals.remove(&self::real(1)).unwrap();
    after.reals.insert(self::real(9), real);
    after
        .services
        .get_mut(&name(1))
        .unwrap()
        .members
        .insert(key(1), self::real(9));
    done(&reconciler.reconcile(&after, now));
    let addresses: Vec<_> = reconciler
        .members()
        .map(|(id, m)| (id.number(), m.real))
        .collect();
    assert_eq!(addresses, [(1, self::real(1)), (2, self::real(9))]);
    let entry = reconciler
        .plane()
        .services
        .values()
        .find(|service| service.id == 1)
        .unwrap();
    assert_eq!(reconciler.plane().ring_of(entry).unwrap(), [2]);
}

#[test]
fn a_listening_address_can_pass_to_another_service() {
    let mut reconciler = reconciler();
    let now = Instant::now();
    let both = [Wanted::round_robin(80, &[1]), Wanted::round_robin(81, &[2])];
    done(&reconciler.reconcile(&state(&both, 1), now));
    let swapped = [Wanted::round_robin(81, &[1]), Wanted::round_robin(80, &[2])];
    done(&reconciler.reconcile(&state(&swapped, 1), now));
    let by_port = |port: u16| {
        let entries = reconciler.plane().services.iter();
        let mut of_port = entries.filter(|(key, _)| key.port == port.to_be());
        of_port.next().unwrap().1.id
    };
    assert_eq!((by_port(80), by_port(81)), (2, 1));
}

#[test]
fn nothing_is_left_of_a_service_that_is_removed() {
    let mut reconciler = reconciler();
    let mut now = Instant::now();
    done(&reconciler.reconcile(&state(&[Wanted::round_robin(80, &[1, 2])], 3), now));
    let mut last = reconciler.reconcile(&DesiredState::default(), now);
    while let Some(at) = last.retry_at {
        now = at;
        last = reconciler.reconcile(&DesiredState::default(), now);
        done(&last);
    }
    let Fake {
        ports,
        reals,
        members,
        services,
        ..
    } = reconciler.plane();
    assert!(ports.is_empty() && reals.is_empty() && members.is_empty() && services.is_empty());
    assert_eq!(reconciler.books.rings.available(), RING_SLOTS);
    assert_eq!(reconciler.books.snat.available(), lb_common::map::SNAT_MAX);
    assert_eq!(reconciler.services().count(), 0);
}

#[test]
fn a_ring_without_room_is_reported_and_built_when_there_is_some() {
    let mut reconciler = Reconciler::new(Fake::new(3));
    let now = Instant::now();
    let mut service = Wanted::round_robin(80, &[1, 2]);
    done(&reconciler.reconcile(&state(&[service.clone()], 1), now));
    service.shares = vec![(1, 1), (2, 2)];
    let wanted = state(&[service.clone()], 1);
    let report = reconciler.reconcile(&wanted, now);
    assert!(matches!(
        report.failed[..],
        [ReconcileError::NoRoom { map: "RING", .. }]
    ));
    assert_eq!(report.retry_at, Some(now + RETRY_FIRST));
    // A server less needs less room, and that is what matters.
    service.shares = vec![(2, 1)];
    done(&reconciler.reconcile(&state(&[service], 1), now));
    let entry = reconciler
        .plane()
        .services
        .values()
        .find(|service| service.id == 1)
        .unwrap();
    assert_eq!(reconciler.plane().ring_of(entry).unwrap(), [2]);
    // The first ring's slots have rested.
    let wanted = state(&[Wanted::round_robin(80, &[1, 2])], 1);
    done(&reconciler.reconcile(&wanted, now + GRACE));
}

#[test]
fn counters_of_an_id_start_at_zero_whoever_had_it_before() {
    let mut reconciler = reconciler();
    let counted = Counts {
        opened_total: 7,
        ..Counts::default()
    };
    reconciler.plane_mut().counts.insert(1, counted);
    done(&reconciler.reconcile(&state(&[Wanted::round_robin(80, &[1])], 1), Instant::now()));
    assert!(reconciler.plane().counts.is_empty());
}

#[test]
fn pauses_grow_to_a_limit() {
    assert_eq!(backoff(1), RETRY_FIRST);
    assert_eq!(backoff(2), RETRY_FIRST * 2);
    assert_eq!(backoff(u32::MAX), RETRY_MOST);
}

#[test]
fn a_new_service_does_not_inherit_the_drops_of_one_that_had_its_id() {
    let now = Instant::now();
    // Two ids: the third service gets the first one's.
    let mut reconciler = Reconciler::new(Fake {
        service_ids: 3,
        ..Fake::new(RING_SLOTS)
    });
    let [first, second, third] = [80, 81, 82].map(|port| Wanted::round_robin(port, &[1]));
    done(&reconciler.reconcile(&state(&[first, second], 1), now));
    reconciler.plane_mut().drops = [(1, 5), (2, 6)].into();
    // Services are named by their place: the first stays, the second goes.
    let kept = Wanted::round_robin(80, &[1]);
    let without = state(std::slice::from_ref(&kept), 1);
    for rounds in 0..4 {
        done(&reconciler.reconcile(&without, now + GRACE * 2 * rounds));
    }
    assert_eq!(reconciler.services().count(), 1);
    assert_eq!(reconciler.plane().drops, [(1, 5), (2, 6)].into());
    done(&reconciler.reconcile(&state(&[kept, third], 1), now + GRACE * 8));
    assert_eq!(reconciler.plane().drops, [(1, 5)].into());
}

#[test]
fn services_beyond_the_counters_are_left_out() {
    let mut reconciler = Reconciler::new(Fake {
        service_ids: 2,
        ..Fake::new(RING_SLOTS)
    });
    let services = [80, 81].map(|port| Wanted::round_robin(port, &[1]));
    let report = reconciler.reconcile(&state(&services, 1), Instant::now());
    let [ReconcileError::NoId { most: 1, .. }] = &*report.failed else {
        panic!("{:?}", report.failed)
    };
    // The address mark and the first service.
    assert_eq!(reconciler.plane().services.len(), 2);
}

#[test]
fn services_with_the_same_list_share_its_nodes_and_others_have_their_own() {
    let mut reconciler = reconciler();
    let mut services = [80, 81, 82].map(|port| Wanted::round_robin(port, &[1]));
    for (service, list) in services.iter_mut().zip([2, 2, 1]) {
        service.list = list;
    }
    let now = Instant::now();
    done(&reconciler.reconcile(&state(&services, 1), now));
    let accesses = |reconciler: &Reconciler<Fake>| {
        let services = &reconciler.plane().services;
        let services = services.values().filter(|service| service.id != 0);
        services.map(|service| service.access).collect::<Vec<_>>()
    };
    let [first, second, third] = *accesses(&reconciler) else {
        panic!()
    };
    assert!(first == second && third != first && first != 0 && third != 0);
    // Nothing is written again for a service that takes up a list that there is.
    services[2].list = 2;
    assert_eq!(done(&reconciler.reconcile(&state(&services, 1), now)), 1);
    assert_eq!(accesses(&reconciler), [first; 3]);
    for service in &mut services {
        service.list = 0;
    }
    done(&reconciler.reconcile(&state(&services, 1), now));
    assert_eq!(accesses(&reconciler), [0; 3]);
}

#[test]
fn a_list_without_room_keeps_the_old_one_and_the_ring_changes_all_the_same() {
    let mut fake = Fake::new(RING_SLOTS);
    fake.access_nodes = 3;
    let mut reconciler = Reconciler::new(fake);
    let now = Instant::now();
    let mut service = Wanted::round_robin(80, &[1, 2]);
    service.list = 1;
    done(&reconciler.reconcile(&state(&[service.clone()], 1), now));
    let of_service = |reconciler: &Reconciler<Fake>| {
        let services = &reconciler.plane().services;
        *services.values().find(|service| service.id == 1).unwrap()
    };
    let access = of_service(&reconciler).access;
    service.list = 5;
    service.shares = vec![(2, 1)];
    let report = reconciler.reconcile(&state(&[service.clone()], 1), now);
    let [ReconcileError::NoRoom { map: "ACCESS", .. }] = &*report.failed else {
        panic!("{:?}", report.failed)
    };
    let held = of_service(&reconciler);
    assert_eq!((held.access, held.ring_len), (access, 1));
    // A new service is not served without the list that it should have.
    let mut new = Wanted::round_robin(81, &[1]);
    new.list = 5;
    let _ = reconciler.reconcile(&state(&[service, new], 1), now);
    let services = reconciler.plane().services.values();
    assert!(!services.into_iter().any(|service| service.id == 2));
}
