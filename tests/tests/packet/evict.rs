//! Stage 5: who makes way when a flow's buckets are full.

use lb_common::flow::{BUCKET_SLOTS, FlowKey, State, Transport, ports};
use lb_common::table::Place;
use lb_common::tcp::RST;
use lb_common::verdict::DropReason;
use lb_tests::plane::Sizes;

use crate::world::{Family, IDLE, World, key_address, sized};

/// A table that four flows fill, with two entries each.
fn tiny(test: impl Fn(&mut World) + Sync) {
    let sizes = Sizes {
        buckets4: 1,
        buckets6: 1,
        ..Sizes::default()
    };
    sized(sizes, test);
}

#[test]
fn open_flows_stay_and_the_newcomer_is_refused() {
    tiny(|lb| {
        let conns: Vec<_> = (1..=4).map(|port| lb.open(port)).collect();
        lb.send(&lb.syn(5)).dropped(DropReason::FlowTableFull);
        for conn in &conns {
            assert_eq!(lb.state(conn), State::Open);
            lb.forward(conn, &conn.from_client(0x10));
            lb.forward(conn, &conn.from_server(0x10));
        }
    });
}

#[test]
fn flows_that_are_closing_stay_too() {
    tiny(|lb| {
        for port in 1..=2 {
            let conn = lb.open(port);
            lb.forward(&conn, &conn.from_client(0x11));
            assert_eq!(lb.state(&conn), State::ClientFin);
        }
        for port in 3..=4 {
            let conn = lb.open(port);
            lb.forward(&conn, &conn.from_server(0x11));
            assert_eq!(lb.state(&conn), State::ServerFin);
        }
        lb.send(&lb.syn(5)).dropped(DropReason::FlowTableFull);
    });
}

#[test]
fn closed_before_idle_before_half_open_before_nobody() {
    tiny(|lb| {
        let half = lb.half_open(1);
        let idle = lb.open(2);
        let closed = lb.closed(3);
        let open = lb.open(4);
        lb.age(&half, 20_000);
        lb.age(&idle, IDLE + 10_000);
        let mut newcomers = Vec::new();
        for (port, evicted) in [(5, &closed), (6, &idle), (7, &half)] {
            newcomers.push(lb.open(port));
            assert_eq!(lb.state(evicted), State::Free, "newcomer {port}");
        }
        lb.send(&lb.syn(8)).dropped(DropReason::FlowTableFull);
        for conn in newcomers.iter().chain([&open]) {
            assert_eq!(lb.state(conn), State::Open);
        }
    });
}

#[test]
fn the_oldest_of_a_kind_first() {
    tiny(|lb| {
        let conns: Vec<_> = (1..=4).map(|port| lb.closed(port)).collect();
        for (conn, age) in conns.iter().zip([300, 900, 100, 600]) {
            lb.age(conn, age * 10);
        }
        for (port, oldest) in [(5, 1), (6, 3), (7, 0), (8, 2)] {
            lb.open(port);
            assert_eq!(lb.state(&conns[oldest]), State::Free, "newcomer {port}");
        }
    });
}

#[test]
fn unproved_ones_oldest_first() {
    tiny(|lb| {
        let conns = [
            lb.half_open(1),
            lb.answered(2),
            lb.half_open(3),
            lb.answered(4),
        ];
        for (conn, age) in conns.iter().zip([300, 900, 100, 600]) {
            lb.age(conn, age * 10);
        }
        for (port, oldest) in [(5, 1), (6, 3), (7, 0), (8, 2)] {
            lb.open(port);
            assert_eq!(lb.state(&conns[oldest]), State::Free, "newcomer {port}");
        }
    });
}

/// Whoever spoofs its address cannot know what the server answered.
#[test]
fn a_syn_and_a_blind_ack_make_no_flow_that_stays() {
    tiny(|lb| {
        for port in 1..=4 {
            let conn = lb.answered(port);
            for wrong in [0, 1, conn.server_next - 1, conn.server_next + 1] {
                let blind = conn.from_client(0x10).ack(wrong).payload("data");
                lb.forward(&conn, &blind);
            }
            assert_eq!(lb.state(&conn), State::Answered);
        }
        for port in 5..=8 {
            lb.open(port);
        }
    });
}

#[test]
fn idle_means_both_directions() {
    tiny(|lb| {
        let conns: Vec<_> = (1..=4).map(|port| lb.open(port)).collect();
        lb.age(&conns[1], IDLE + 10_000);
        let reply = lb.reply(&conns[1]);
        lb.set_seen(reply.index, lb_tests::plane::Plane::now());
        lb.send(&lb.syn(5)).dropped(DropReason::FlowTableFull);
        lb.age(&conns[1], IDLE + 10_000);
        lb.half_open(5);
        assert_eq!(lb.state(&conns[1]), State::Free);
    });
}

#[test]
fn a_reset_flow_makes_way() {
    tiny(|lb| {
        let conns: Vec<_> = (1..=4).map(|port| lb.open(port)).collect();
        lb.forward(&conns[2], &conns[2].from_client(RST));
        lb.half_open(5);
        assert_eq!(lb.state(&conns[2]), State::Free);
        assert_eq!(lb.counts(conns[2].server), (0, 0, 1));
    });
}

/// Entries stand in their first bucket until six slots of it are taken, then in their second.
#[test]
fn the_second_bucket_is_used_from_six_on() {
    let sizes = Sizes {
        buckets4: 16,
        buckets6: 16,
        ..Sizes::default()
    };
    sized(sizes, |lb| {
        let mut used = [0; 16];
        let mut second = 0;
        for port in 1..=45 {
            let conn = lb.open(port);
            let flow = lb.flow(&conn);
            let reply = lb.reply(&conn);
            // In the order in which they were claimed.
            for entry in [flow, reply] {
                let place = place(lb, entry.src, entry.dst);
                let bucket = entry.index / BUCKET_SLOTS;
                let spills = used[place.first as usize] >= 6 && used[place.second as usize] < 8;
                let expected = if spills { place.second } else { place.first };
                assert_eq!(bucket, expected, "client port {port}");
                used[bucket as usize] += 1;
                second += u32::from(spills);
            }
            lb.forward(&conn, &conn.from_client(0x10));
            lb.forward(&conn, &conn.from_server(0x10));
        }
        assert!(
            second > 3,
            "only {second} entries were in their second bucket"
        );
    });
}

fn place(lb: &World, src: std::net::SocketAddr, dst: std::net::SocketAddr) -> Place {
    let sizes = lb.plane.sizes();
    let (from, to) = (key_address(src.ip()), key_address(dst.ip()));
    let ports = ports(src.port().to_be(), dst.port().to_be());
    match lb.family {
        Family::V4 => {
            let (src, dst) = (from[3], to[3]);
            let key = FlowKey { src, dst, ports };
            Place::new(sizes.hash_key, &key, Transport::Tcp, sizes.buckets4)
        }
        Family::V6 => {
            let (src, dst) = (lb_common::addr::widen(from), lb_common::addr::widen(to));
            let key = FlowKey { src, dst, ports };
            Place::new(sizes.hash_key, &key, Transport::Tcp, sizes.buckets6)
        }
    }
}
