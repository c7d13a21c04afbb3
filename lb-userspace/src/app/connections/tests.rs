use lb_common::event::Traffic;
use lb_common::flow::ports;

use super::*;

fn event() -> Event {
    let v6 = u32::from_ne_bytes([0x20, 0x01, 0x0d, 0xb8]);
    Event {
        kind: Kind::Closed as u8,
        reason: Reason::ServerReset as u8,
        member: 7,
        at: 5_250_999_999,
        started: 4_000_000_000,
        client: addr::mapped(u32::from_ne_bytes([192, 0, 2, 1])),
        vip: addr::mapped(u32::from_ne_bytes([192, 0, 2, 10])),
        nat_source: [v6, 0, 0, 1_u32.to_be()],
        server: [v6, 0, 0, 2_u32.to_be()],
        ports: ports(50_000_u16.to_be(), 5432_u16.to_be()),
        new_ports: ports(20_000_u16.to_be(), 15432_u16.to_be()),
        traffic: [
            Traffic {
                bytes: 10,
                packets: 1,
            },
            Traffic {
                bytes: 20,
                packets: 2,
            },
        ],
        ..Event::default()
    }
}

#[test]
fn a_record_becomes_what_a_line_says() {
    let expected = Closed {
        client: "192.0.2.1:50000".parse().unwrap(),
        vip: "192.0.2.10:5432".parse().unwrap(),
        nat_source: "[2001:db8::1]:20000".parse().unwrap(),
        server: "[2001:db8::2]:15432".parse().unwrap(),
        member: MemberId::new(7),
        reason: Reason::ServerReset,
        lasted: Duration::from_nanos(1_250_999_999),
        bytes: [10, 20],
        packets: [1, 2],
    };
    assert_eq!(Closed::new(&event()), Some(expected));
}

#[test]
fn flows_that_open_and_reasons_of_the_future_are_no_lines() {
    let opened = Event {
        kind: Kind::Opened as u8,
        ..event()
    };
    let unknown = Event {
        reason: 200,
        ..event()
    };
    assert_eq!(Closed::new(&opened), None);
    assert_eq!(Closed::new(&unknown), None);
}
