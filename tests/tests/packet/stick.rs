//! Stage 4: clients that come back to the server that they had.

use lb_common::service::{Pick, Stick, StickKey};
use lb_common::time::ticks;
use lb_tests::packet::Packet;
use lb_tests::plane::{Plane, Sizes};

use crate::world::{SERVICE_GAUGE, World, key_address, member_of, sized};

/// A service whose clients keep their server for a minute.
fn sticky(test: impl Fn(&mut World) + Sync) {
    let sizes = Sizes {
        sticks: 1_000,
        ..Sizes::default()
    };
    sized(sizes, |lb| {
        stick_to(lb);
        test(lb);
    });
}

fn stick_to(lb: &mut World) {
    lb.change_service(|service| service.stick = ticks(60));
    for server in 1..=3 {
        lb.change_member(server, |member| member.stick = ticks(60));
    }
}

fn key(lb: &World) -> StickKey {
    StickKey {
        addr: key_address(lb.client(1).ip()),
        service: SERVICE_GAUGE.into(),
    }
}

fn stick(lb: &World) -> Option<Stick> {
    lb.plane.stick(key(lb)).expect("STICKS")
}

fn set(lb: &mut World, server: u16, age: u32) {
    let stick = Stick {
        seen: Plane::now().wrapping_sub(age),
        member: member_of(server),
        zero: 0,
    };
    let key = key(lb);
    lb.plane.set_stick(key, stick).expect("STICKS");
}

fn of_another(lb: &World, port: u16) -> Packet {
    let mut syn = lb.syn(port);
    syn.src.set_ip(lb.address(1, 0xc2));
    syn
}

#[test]
fn a_client_comes_back_to_its_server() {
    sticky(|lb| {
        // As long as it has not shown that it is there, nothing is kept for it.
        assert_eq!(lb.half_open(50_000).server, 1);
        assert_eq!(stick(lb), None);
        let conn = lb.open(50_001);
        assert_eq!(
            (conn.server, stick(lb).map(|stick| stick.member)),
            (2, Some(member_of(2)))
        );
        for port in 50_002..50_010 {
            assert_eq!(lb.half_open(port).server, 2);
        }
        assert_eq!(lb.started_by(&of_another(lb, 50_000)).server, 3);
        // The ring may change; the server stays.
        lb.listen(Pick::Next, &[3, 3, 2, 1]);
        stick_to(lb);
        assert_eq!(lb.half_open(50_011).server, 2);
    });
}

#[test]
fn each_use_makes_it_last_longer() {
    sticky(|lb| {
        set(lb, 3, ticks(59));
        assert_eq!(lb.open(50_000).server, 3);
        let age = Plane::now().wrapping_sub(stick(lb).expect("it is kept").seen);
        assert!(age < ticks(30), "{age}");
    });
}

#[test]
fn it_is_forgotten_in_time() {
    sticky(|lb| {
        set(lb, 3, ticks(61));
        assert_eq!(lb.open(50_000).server, 1, "in turn");
        assert_eq!(stick(lb).map(|stick| stick.member), Some(member_of(1)));
    });
}

#[test]
fn a_server_that_gets_no_flows_loses_its_clients() {
    sticky(|lb| {
        set(lb, 3, 0);
        lb.change_member(3, |member| member.weight = 0);
        lb.listen(Pick::Next, &[2, 1]);
        stick_to(lb);
        assert_eq!(lb.open(50_000).server, 2);
        lb.change_member(3, |member| member.weight = 1);
        assert_eq!(
            lb.half_open(50_001).server,
            2,
            "and they stay where they are"
        );
    });
}

#[test]
fn a_full_server_loses_its_clients() {
    sticky(|lb| {
        lb.change_member(3, |member| member.maxconn = 1);
        set(lb, 3, 0);
        assert_eq!(lb.half_open(50_000).server, 3);
        assert_eq!(lb.open(50_001).server, 1);
        assert_eq!(lb.half_open(50_002).server, 1);
    });
}

#[test]
fn a_member_that_is_another_services_by_now() {
    sticky(|lb| {
        set(lb, 3, 0);
        lb.change_member(3, |member| member.service += 1);
        lb.listen(Pick::Next, &[1]);
        stick_to(lb);
        assert_eq!(lb.half_open(50_000).server, 1);
        lb.change_member(3, |member| member.service -= 1);
    });
}

#[test]
fn services_that_do_not_stick_keep_nothing() {
    sticky(|lb| {
        lb.change_service(|service| service.stick = 0);
        for server in 1..=3 {
            lb.change_member(server, |member| member.stick = 0);
        }
        lb.open(50_000);
        assert_eq!(stick(lb), None);
        set(lb, 3, 0);
        assert_eq!(lb.open(50_001).server, 2, "in turn");
    });
}
