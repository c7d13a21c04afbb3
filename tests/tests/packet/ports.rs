//! Stage 5: source ports, which are what tells one server's flows apart.

use lb_common::flow::State;
use lb_common::service::Pick;
use lb_common::tcp::{ACK, FIN, RST};
use lb_common::verdict::DropReason;
use lb_tests::plane::{Sizes, Verdict};

use crate::world::{CLIENT_ISN, Conn, World, sized, world};

/// One server, and that many source ports towards it.
fn narrow(lb: &mut World, ports: u16) {
    lb.listen(Pick::Next, &[1]);
    lb.snat(&[(lb.nat_address(), 40_000..=39_999 + ports)]);
    lb.plane
        .set_port_cursor(1, u32::from(ports) * 8 - 1)
        .expect("PORT_CURSORS");
}

/// Closes an open flow.
fn close(lb: &World, conn: &mut Conn) {
    lb.forward(conn, &conn.from_client(FIN | ACK));
    conn.client_next += 1;
    lb.forward(conn, &conn.from_server(FIN | ACK));
    conn.server_next += 1;
    lb.forward(conn, &conn.from_client(ACK));
    assert_eq!(lb.state(conn), State::Closed);
}

#[test]
fn one_after_the_other_and_round() {
    world(|lb| {
        narrow(lb, 3);
        for nat in 0..3 {
            assert_eq!(lb.closed(50_000 + nat).nat, lb.nat(nat));
        }
        let conn = lb.started_by(&lb.syn(50_003).seq(CLIENT_ISN + 100));
        assert_eq!(conn.nat, lb.nat(0));
    });
}

#[test]
fn the_same_port_serves_every_server() {
    world(|lb| {
        let conns: Vec<_> = (50_000..50_006).map(|port| lb.open(port)).collect();
        let ports: Vec<_> = conns.iter().map(|conn| (conn.server, conn.nat)).collect();
        let nat = |n| lb.nat(n);
        assert_eq!(
            ports,
            [
                (1, nat(0)),
                (2, nat(0)),
                (3, nat(0)),
                (1, nat(1)),
                (2, nat(1)),
                (3, nat(1))
            ]
        );
    });
}

#[test]
fn several_nat_sources_take_turns() {
    world(|lb| {
        lb.listen(Pick::Next, &[1]);
        let (one, two) = (lb.address(2, 1), lb.address(2, 2));
        lb.snat(&[(one, 40_000..=40_001), (two, 50_000..=50_001)]);
        let mut real = lb.real(1);
        real.snat_count = 2;
        lb.plane.set_real(1, real).expect("REALS");
        lb.plane.set_port_cursor(1, 7).expect("PORT_CURSORS");
        let ends: Vec<_> = (1..=4).map(|port| lb.open(port).nat).collect();
        let expected = [(one, 40_000), (two, 50_000), (one, 40_001), (two, 50_001)];
        assert_eq!(ends, expected.map(Into::into));
        lb.send(&lb.syn(5)).dropped(DropReason::NoSourcePort);
    });
}

#[test]
fn none_left() {
    world(|lb| {
        narrow(lb, 4);
        let mut conns: Vec<_> = (50_000..50_004).map(|port| lb.open(port)).collect();
        lb.send(&lb.syn(50_004)).dropped(DropReason::NoSourcePort);
        assert_eq!(lb.counts(1), (4, 4, 4));
        assert_eq!(
            lb.entries().len(),
            8,
            "what was claimed for it is given back"
        );
        // Flows that are there go on.
        lb.forward(&conns[2], &conns[2].from_client(ACK));
        close(lb, &mut conns[2]);
        let next = lb.started_by(&lb.syn(50_004).seq(CLIENT_ISN + 100));
        assert_eq!(next.nat, conns[2].nat);
        assert_eq!(lb.counts(1), (4, 3, 5));
    });
}

#[test]
fn a_half_open_flows_port_is_not_taken() {
    world(|lb| {
        narrow(lb, 2);
        lb.half_open(50_000);
        lb.answered(50_001);
        lb.send(&lb.syn(50_002)).dropped(DropReason::NoSourcePort);
    });
}

#[test]
fn a_closed_or_reset_flows_port_is_taken_oldest_first() {
    world(|lb| {
        narrow(lb, 3);
        let first = lb.closed(50_000);
        let second = lb.open(50_001);
        lb.forward(&second, &second.from_client(RST));
        assert_eq!(lb.state(&second), State::Reset);
        let third = lb.closed(50_002);
        for (client, old) in [(50_003, first), (50_004, second), (50_005, third)] {
            let new = lb.started_by(&lb.syn(client).seq(CLIENT_ISN + 100));
            assert_eq!(new.nat, old.nat);
            assert_eq!(lb.state(&old), State::Free, "the old flow is gone");
        }
        assert_eq!(lb.counts(1), (3, 0, 6));
    });
}

/// A server in TIME-WAIT takes a SYN on the same ports at once if it begins beyond what the old
/// connection ended with.
#[test]
fn a_pair_that_the_server_accepts_at_once_is_preferred() {
    world(|lb| {
        narrow(lb, 3);
        for port in 50_000..50_003 {
            let isn = CLIENT_ISN + u32::from(50_002 - port) * 1_000;
            let mut conn = lb.started_by(&lb.syn(port).seq(isn));
            let answer = conn.from_server(0x12);
            lb.forward(&conn, &answer);
            conn.server_next += 1;
            lb.forward(&conn, &conn.from_client(ACK));
            close(lb, &mut conn);
        }
        // The first two ended beyond this ISN, the third before it.
        let new = lb.started_by(&lb.syn(50_010).seq(CLIENT_ISN + 500));
        assert_eq!(new.nat, lb.nat(2));
        // None ended before this one: any must do, and the search for it is at random.
        let syn = lb.syn(50_011).seq(CLIENT_ISN - 5_000);
        let forwarded = (0..10).any(|_| lb.send(&syn).ran.verdict == Verdict::Redirect);
        assert!(forwarded);
    });
}

#[test]
fn without_a_cursor_the_first_port_is_any_of_the_range() {
    world(|lb| {
        lb.plane.set_port_cursor(1, 0).expect("PORT_CURSORS");
        let conn = lb.half_open(50_000);
        assert!(crate::world::NAT_PORTS.contains(&conn.nat.port()));
    });
}

/// A network card with one queue, or clients that all hash to one: a single processor works, and
/// every port must be within its reach.
#[test]
fn a_processor_reaches_all_ports() {
    let sizes = Sizes {
        cpus: 8,
        ..Sizes::default()
    };
    sized(sizes, |lb| {
        narrow(lb, 16);
        let mut opened = 0;
        // Clients try again, as they do.
        for port in 0..64 {
            let syn = lb.syn(50_000 + port);
            if lb.send(&syn).ran.verdict == Verdict::Redirect {
                opened += 1;
            }
        }
        assert_eq!(opened, 16, "of 16 ports");
    });
}

/// Pools of connections are opened in a row and stay: a row of taken ports is the rule, and there
/// is a free port beyond it.
#[test]
fn a_long_row_of_taken_ports_is_got_over() {
    world(|lb| {
        narrow(lb, 100);
        for port in 0..50 {
            lb.open(50_000 + port);
        }
        // The search starts at the row's beginning.
        lb.plane.set_port_cursor(1, 799).expect("PORT_CURSORS");
        let opened = (0..4)
            .filter(|port| {
                let syn = lb.syn(51_000 + port);
                lb.send(&syn).ran.verdict == Verdict::Redirect
            })
            .count();
        assert!(
            opened >= 3,
            "{opened} of 4 clients got one of 50 free ports"
        );
    });
}
