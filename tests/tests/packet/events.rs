//! What is told of flows, and what is counted for each.

use lb_common::addr;
use lb_common::event::{Event, Kind, Reason, SPACE, Tally, Traffic, VERSION};
use lb_common::flow::{BUCKET_SLOTS, Origin, State, split_ports};
use lb_common::table::SWEEP_BUCKETS;
use lb_common::tcp::{ACK, FIN, RST, SYN};
use lb_common::time::ticks;
use lb_tests::packet::Packet;
use lb_tests::plane::Sizes;

use crate::world::{CLIENT, Conn, IDLE, World, key_address, member_of, origin, sized};

/// Bytes of the buffer that the object asks for.
const BUFFER: u64 = 4_096;

fn watched(test: impl Fn(&mut World) + Sync) {
    let sizes = Sizes {
        watched: true,
        ..Sizes::default()
    };
    sized(sizes, test);
}

/// Kind and reason of each event since the last call.
fn told(lb: &mut World) -> Vec<(Kind, Reason)> {
    let events = lb.plane.events().expect("EVENTS");
    let what = |event: &Event| {
        (
            Kind::from_u8(event.kind).expect("a kind"),
            Reason::from_u8(event.reason).unwrap_or(Reason::None),
        )
    };
    events.iter().map(what).collect()
}

const OPENED: (Kind, Reason) = (Kind::Opened, Reason::None);

const fn closed(reason: Reason) -> (Kind, Reason) {
    (Kind::Closed, reason)
}

/// The only event since the last call.
#[track_caller]
fn only(lb: &mut World) -> Event {
    let events = lb.plane.events().expect("EVENTS");
    let [event] = events[..] else {
        panic!("{events:?}")
    };
    event
}

fn clock() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("a clock");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

#[test]
fn nothing_is_written_unless_it_is_wanted() {
    sized(Sizes::default(), |lb| {
        lb.closed(50_000);
        assert_eq!(told(lb), []);
        assert_eq!(lb.plane.event_tally().expect("a tally"), Tally::default());
    });
}

#[test]
fn a_record_says_everything_of_its_flow() {
    watched(|lb| {
        let before = clock();
        let conn = lb.open(50_000);
        let after = clock();
        let flow = lb.flow(&conn);
        let event = only(lb);
        let ends = |src, dst| {
            let (src, dst): (std::net::SocketAddr, std::net::SocketAddr) = (src, dst);
            (
                key_address(src.ip()),
                key_address(dst.ip()),
                src.port(),
                dst.port(),
            )
        };
        let shown = |src, dst, ports| {
            let (from, to) = split_ports(ports);
            (src, dst, u16::from_be(from), u16::from_be(to))
        };
        assert_eq!(event.version, VERSION);
        assert_eq!((event.kind, event.reason), (Kind::Opened as u8, 0));
        assert_eq!(event.family == 4, addr::unmapped(event.client).is_some());
        assert_eq!(event.protocol, 6);
        assert_eq!(event.member, member_of(conn.server));
        assert_eq!(event.real, conn.server);
        assert_eq!(event.index, flow.index);
        assert_eq!(event.generation, flow.word.generation());
        assert_eq!(
            shown(event.client, event.vip, event.ports),
            ends(conn.client, conn.vip)
        );
        assert_eq!(
            shown(event.nat_source, event.server, event.new_ports),
            ends(conn.nat, lb.server(conn.server))
        );
        assert_eq!(Origin::unpack(event.origin), origin(CLIENT, lb.front));
        assert_eq!(event.seq, [conn.client_next, conn.server_next]);
        assert_eq!(event.ack, [conn.server_next, conn.client_next]);
        assert!((before..=after).contains(&event.started), "{event:?}");
        assert!((event.started..=after).contains(&event.at), "{event:?}");
        let packets = event.traffic.map(|traffic| traffic.packets);
        assert_eq!(packets, [2, 1]);
    });
}

#[test]
fn a_flow_that_ends_is_told_of_once() {
    watched(|lb| {
        let conn = lb.closed(50_000);
        assert_eq!(told(lb), [OPENED, closed(Reason::Fin)]);
        // Nobody's late segments, nor that it is forgotten, is told again.
        lb.forward(&conn, &conn.from_server(ACK));
        lb.forward(&conn, &conn.from_client(RST));
        lb.age(&conn, ticks(61));
        sweep(lb);
        assert_eq!(lb.state(&conn), State::Free);
        assert_eq!(told(lb), []);
        let tally = Tally {
            written: 2,
            lost: 0,
        };
        assert_eq!(lb.plane.event_tally().expect("a tally"), tally);
    });
}

#[test]
fn who_reset_it_is_told() {
    watched(|lb| {
        let conn = lb.open(1);
        lb.forward(&conn, &conn.from_client(RST));
        assert_eq!(told(lb), [OPENED, closed(Reason::ClientReset)]);
        let conn = lb.open(2);
        lb.forward(&conn, &conn.from_server(RST | ACK));
        assert_eq!(told(lb), [OPENED, closed(Reason::ServerReset)]);
        let conn = lb.half_open(3);
        lb.forward(&conn, &conn.from_server(RST | ACK).seq(0));
        assert_eq!(told(lb), [closed(Reason::Refused)]);
    });
}

/// What a stranger sends ends no flow and is not told.
#[test]
fn resets_that_nobody_believes_are_not_told() {
    watched(|lb| {
        let conn = lb.open(1);
        told(lb);
        let far = conn.client_next.wrapping_add(100_000);
        lb.forward(&conn, &conn.from_client(RST).seq(far));
        let half = lb.half_open(2);
        lb.forward(&half, &half.from_client(RST));
        assert_eq!(told(lb), []);
    });
}

#[test]
fn open_flows_that_are_forgotten_are_told_and_half_open_ones_not() {
    watched(|lb| {
        let conns = [lb.open(1), lb.half_open(2), lb.answered(3)];
        told(lb);
        for conn in &conns {
            lb.age(conn, IDLE + 10_000);
        }
        sweep(lb);
        assert_eq!(told(lb), [closed(Reason::Idle)]);
        assert!(lb.entries().is_empty());
    });
}

/// A flow that has been idle for too long makes room before expiry has found it.
#[test]
fn a_flow_that_makes_room_is_told() {
    let sizes = Sizes {
        buckets4: 1,
        buckets6: 1,
        watched: true,
        ..Sizes::default()
    };
    sized(sizes, |lb| {
        let conns: Vec<_> = (1..=BUCKET_SLOTS as u16 / 2)
            .map(|port| lb.open(port))
            .collect();
        told(lb);
        lb.age(&conns[2], IDLE + 10_000);
        lb.half_open(100);
        let event = only(lb);
        assert_eq!(event.reason, Reason::Idle as u8);
        assert_eq!(u16::from_be(split_ports(event.ports).0), 3);
        assert_eq!(event.traffic.map(|traffic| traffic.packets), [2, 1]);
    });
}

/// The reader has fallen asleep: what does not fit is lost and counted, and packets are forwarded.
#[test]
fn a_full_buffer_stops_nobody() {
    watched(|lb| {
        let room = BUFFER / SPACE;
        for port in 1..=20 {
            lb.closed(port);
        }
        let tally = lb.plane.event_tally().expect("a tally");
        assert_eq!(tally.written + tally.lost, 40);
        assert!((room - 1..=room).contains(&tally.written), "{tally:?}");
        assert_eq!(told(lb).len() as u64, tally.written);
        // And it goes on when the reader does.
        lb.closed(100);
        assert_eq!(told(lb), [OPENED, closed(Reason::Fin)]);
    });
}

/// Sends a segment with `length` bytes, and moves the connection on.
fn send(lb: &World, conn: &mut Conn, from_client: bool, length: u32) -> Packet {
    let text = "x".repeat(length as usize);
    let segment = if from_client {
        conn.from_client(ACK).payload(text.as_str())
    } else {
        conn.from_server(ACK).payload(text.as_str())
    };
    lb.forward(conn, &segment);
    let next = if from_client {
        &mut conn.client_next
    } else {
        &mut conn.server_next
    };
    *next = next.wrapping_add(length);
    segment
}

/// Ends the connection; what its record says of its traffic.
fn end(lb: &mut World, conn: &mut Conn) -> [Traffic; 2] {
    lb.forward(conn, &conn.from_client(FIN | ACK));
    conn.client_next = conn.client_next.wrapping_add(1);
    lb.forward(conn, &conn.from_server(FIN | ACK));
    let events = lb.plane.events().expect("EVENTS");
    events.last().expect("it has ended").traffic
}

#[test]
fn bytes_are_counted_once_however_often_they_are_sent() {
    watched(|lb| {
        let mut conn = lb.open(50_000);
        let first = send(lb, &mut conn, true, 100);
        let second = send(lb, &mut conn, true, 50);
        for again in [&first, &second, &first] {
            lb.forward(&conn, again);
        }
        send(lb, &mut conn, false, 1_000);
        // A keep-alive probe: one byte before what was sent last.
        lb.forward(&conn, &conn.from_client(ACK).seq(conn.client_next - 1));
        // The second of two comes first.
        let at = conn.server_next;
        conn.server_next = at + 300;
        let late = send(lb, &mut conn, false, 30);
        conn.server_next = at;
        send(lb, &mut conn, false, 300);
        conn.server_next += 30;
        lb.forward(&conn, &late);
        let [forward, reply] = end(lb, &mut conn);
        assert_eq!((forward.bytes, reply.bytes), (150, 1_330));
        // SYN, ACK, two, three again, the probe, FIN; SYN-ACK, one, two, one again, FIN.
        assert_eq!((forward.packets, reply.packets), (9, 6));
    });
}

#[test]
fn a_fin_with_data_and_sequence_numbers_that_wrap() {
    watched(|lb| {
        let syn = lb.syn(50_000).seq(u32::MAX - 10);
        let mut conn = lb.started_by(&syn);
        lb.forward(&conn, &conn.from_server(SYN | ACK));
        conn.server_next += 1;
        lb.forward(&conn, &conn.from_client(ACK));
        for _ in 0..10 {
            send(lb, &mut conn, true, 7);
        }
        lb.forward(&conn, &conn.from_client(FIN | ACK).payload("last words"));
        conn.client_next = conn.client_next.wrapping_add(11);
        lb.forward(&conn, &conn.from_server(FIN | ACK).payload("farewell"));
        let events = lb.plane.events().expect("EVENTS");
        let bytes = events[1].traffic.map(|traffic| traffic.bytes);
        assert_eq!(bytes, [80, 8]);
    });
}

/// The next flow in the same slots begins with nothing.
#[test]
fn accounts_begin_anew() {
    watched(|lb| {
        for _ in 0..2 {
            let mut conn = lb.open(50_000);
            send(lb, &mut conn, true, 42);
            let bytes = end(lb, &mut conn).map(|traffic| traffic.bytes);
            assert_eq!(bytes, [42, 0]);
            lb.age(&conn, ticks(61));
            sweep(lb);
            assert!(lb.entries().is_empty());
        }
    });
}

/// Expiry looks at every flow once.
fn sweep(lb: &World) {
    let sizes = lb.plane.sizes();
    for _ in 0..sizes.buckets4.div_ceil(SWEEP_BUCKETS) {
        lb.plane.expire().expect("the kernel runs the program");
    }
}
