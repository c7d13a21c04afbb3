//! Two processors at work on one small table, and expiry beside them.
//!
//! What no such test can see by waiting for it is made likely: few slots, many keys, both
//! processors at the same key at the same moment.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lb_common::flow::State;
use lb_common::hash;
use lb_common::service::Pick;
use lb_common::tcp::{ACK, FIN, RST, SYN};
use lb_common::time::ticks;
use lb_common::verdict::DropReason;
use lb_tests::packet::Packet;
use lb_tests::plane::{Sizes, Verdict};
use nix::sched::sched_getaffinity;
use nix::unistd::Pid;

use crate::select::tuple_hash;
use crate::world::{
    BACK, CLIENT, Conn, FRONT, Family, NAT_PORTS, SERVER_ISN, SERVERS, World, pin, world_of,
};

/// How long the long one goes on, for each family.
const DURATION: Duration = Duration::from_secs(5);

fn sizes(buckets: u32) -> Sizes {
    Sizes {
        buckets4: buckets,
        buckets6: buckets,
        cpus: 2,
        ..Sizes::default()
    }
}

pub(crate) fn each_family(buckets: u32, test: impl Fn(&mut World) + Sync) {
    for family in [Family::V4, Family::V6] {
        world_of(family, sizes(buckets), |lb| {
            // Threads that a case starts inherit the one processor that it runs on.
            let all = sched_getaffinity(Pid::from_raw(std::process::id() as i32))
                .expect("the process's own");
            if (0..2).all(|cpu| all.is_set(cpu) == Ok(true)) {
                test(lb);
            } else {
                lb_tests::skip::skip("needs two processors");
            }
        });
    }
}

/// Runs two threads, each bound to a processor.
pub(crate) fn on_two_processors(work: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        let workers = [0, 1].map(|cpu| {
            let work = &work;
            scope.spawn(move || {
                pin(cpu);
                work(cpu);
            })
        });
        for worker in workers {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// Lets two threads go on at the same moment, again and again.
#[derive(Default)]
struct Gate(AtomicU64);

impl Gate {
    /// Waits until both have come here `round` times; rounds count from 1.
    fn pass(&self, round: u64) {
        self.0.fetch_add(1, Ordering::SeqCst);
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut spins = 0_u32;
        while self.0.load(Ordering::SeqCst) < 2 * round {
            std::hint::spin_loop();
            spins += 1;
            // The other may be waiting for this very processor.
            if spins.is_multiple_of(10_000) {
                thread::yield_now();
                assert!(Instant::now() < deadline, "the other thread is gone");
            }
        }
    }
}

/// Servers chosen by hash, so that each packet can be judged by itself; flows that are soon idle.
fn short_lived(lb: &mut World) {
    lb.listen(Pick::HashTuple, &[1, 2, 3]);
    for server in 1..=SERVERS {
        lb.change_member(server, |member| member.idle_timeout = 2);
    }
}

fn server_of(lb: &World, client_port: u16) -> u16 {
    let hash = tuple_hash(lb.client(client_port), lb.vip());
    1 + hash::reduce(hash, 3) as u16
}

/// Both processors open, prove, use, close and reset flows of the same clients.
#[test]
fn few_slots_and_many_keys() {
    each_family(32, |lb| {
        short_lived(lb);
        let lb = &*lb;
        let done = AtomicBool::new(false);
        let syns = AtomicU64::new(0);
        thread::scope(|scope| {
            let expiry = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    lb.plane.expire().expect("the kernel runs the program");
                    thread::sleep(Duration::from_micros(200));
                }
            });
            on_two_processors(|cpu| {
                let forwarded = churn(lb, cpu as u64);
                syns.fetch_add(forwarded, Ordering::Relaxed);
            });
            done.store(true, Ordering::Relaxed);
            expiry.join().expect("expiry runs to the end");
        });
        // Nobody is at work any more: keys, twins and counts must be exact.
        lb.verify();
        let sweep = lb.plane.sweep();
        assert_eq!(sweep.orphans, 0, "reply entries without an owner");
        let opened: u64 = (1..=SERVERS).map(|server| lb.counts(server).2).sum();
        let held: u64 = (1..=SERVERS).map(|server| lb.counts(server).0).sum();
        let syns = syns.load(Ordering::Relaxed);
        println!(
            "{syns} SYNs forwarded, {opened} flows opened, {} expired",
            sweep.expired
        );
        assert!(opened <= syns && opened >= held + sweep.expired);
        assert!(opened > 1_000 && sweep.expired > 100, "too little happened");
        for flow in lb.entries() {
            lb.set_seen(flow.index, flow.seen.wrapping_sub(ticks(10)));
        }
        lb.plane.expire().expect("the kernel runs the program");
        assert!(lb.entries().is_empty());
        lb.verify();
    });
}

/// One thread's part; how many of its SYNs were forwarded.
fn churn(lb: &World, seed: u64) -> u64 {
    let mut conns: HashMap<u16, Conn> = HashMap::new();
    let mut random = 0x9e37_79b9_7f4a_7c15 ^ (seed + 1);
    let mut syns = 0;
    let end = Instant::now() + DURATION;
    while Instant::now() < end {
        for _ in 0..100 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let port = 1 + (random >> 8) as u16 % 4_096;
            match conns.get(&port) {
                None => {
                    if let Some(conn) = try_open(lb, port) {
                        syns += 1;
                        conns.insert(port, conn);
                    }
                }
                Some(conn) => {
                    let segment = match random % 16 {
                        0..3 => conn.from_server(SYN | ACK).seq(SERVER_ISN),
                        3..8 => conn.from_client(ACK),
                        8..11 => conn.from_server(ACK).payload("answer"),
                        11 => conn.from_client(FIN | ACK),
                        12 => conn.from_server(FIN | ACK),
                        13 => conn.from_client(RST),
                        _ => {
                            conns.remove(&port);
                            continue;
                        }
                    };
                    judge(lb, port, &segment);
                }
            }
        }
    }
    syns
}

/// Sends a client's SYN; what became of the connection if it was forwarded.
fn try_open(lb: &World, port: u16) -> Option<Conn> {
    let syn = lb.syn(port);
    let sent = judge(lb, port, &syn)?;
    let mut conn = Conn::at(lb, &syn, &sent);
    conn.server_next = SERVER_ISN + 1;
    Some(conn)
}

/// Sends a segment of the client with this port, from either side. If it is forwarded, it must be
/// valid and reach whom the hash says: a packet rewritten by parts of two entries, or by another
/// flow's, does not.
fn judge(lb: &World, port: u16, segment: &Packet) -> Option<Packet> {
    let ifindex = if segment.to == BACK {
        lb.back
    } else {
        lb.front
    };
    let ran = lb
        .plane
        .run(ifindex, &segment.bytes())
        .expect("the kernel runs the program");
    if ran.verdict != Verdict::Redirect {
        return None;
    }
    let sent = Packet::parse(&ran.frame).expect("forwarded packets are valid");
    if segment.to == FRONT {
        let server = server_of(lb, port);
        assert_eq!(
            (sent.from, sent.dst),
            (BACK, lb.server(server)),
            "{segment:?}"
        );
        assert!(NAT_PORTS.contains(&sent.src.port()));
    } else {
        // Its source port may be another client's by now, but one of the same server.
        let server = server_of(lb, sent.dst.port());
        assert_eq!((sent.to, sent.src), (CLIENT, lb.vip()), "{segment:?}");
        assert_eq!(segment.src, lb.server(server), "{sent:?}");
    }
    Some(sent)
}

/// Both see a client's first SYN at the same moment (it was duplicated): one flow, or none.
#[test]
fn one_syn_on_two_processors() {
    each_family(64, |lb| {
        lb.listen(Pick::HashTuple, &[1, 2, 3]);
        let lb = &*lb;
        let mut round = 0;
        for _ in 0..60 {
            let gate = Gate::default();
            let races = AtomicU64::new(0);
            on_two_processors(|_| {
                for port in 1..=100_u16 {
                    gate.pass(port.into());
                    let before = judge(lb, port, &lb.syn(port));
                    races.fetch_add(u64::from(before.is_none()), Ordering::Relaxed);
                }
            });
            lb.verify();
            round += races.load(Ordering::Relaxed);
            for flow in lb.entries() {
                lb.set_seen(flow.index, flow.seen.wrapping_sub(ticks(40)));
            }
            lb.plane.expire().expect("the kernel runs the program");
            lb.plane.expire().expect("the kernel runs the program");
            assert!(lb.entries().is_empty());
        }
        let counted = lb
            .plane
            .verdicts(DropReason::FlowRace as u32)
            .expect("VERDICTS");
        println!("{round} SYNs dropped, {counted} of them as races");
        assert_eq!(round, counted);
    });
}

/// The ends close at the same moment: the flow is closed, whichever FIN was judged first.
#[test]
fn both_ends_close_at_the_same_moment() {
    each_family(64, |lb| {
        for _ in 0..100 {
            let conns: Vec<_> = (1..=60).map(|port| lb.open(port)).collect();
            let lb = &*lb;
            let gate = Gate::default();
            on_two_processors(|cpu| {
                for (round, conn) in (1..).zip(&conns) {
                    let fin = if cpu == 0 {
                        conn.from_client(FIN | ACK)
                    } else {
                        conn.from_server(FIN | ACK)
                    };
                    let ifindex = if cpu == 0 { lb.front } else { lb.back };
                    let frame = fin.bytes();
                    gate.pass(round);
                    lb.plane
                        .run(ifindex, &frame)
                        .expect("the kernel runs the program");
                }
            });
            for conn in &conns {
                assert_eq!(lb.state(conn), State::Closed, "{conn:?}");
            }
            lb.verify();
            for flow in lb.entries() {
                lb.set_seen(flow.index, flow.seen.wrapping_sub(ticks(70)));
            }
            lb.plane.expire().expect("the kernel runs the program");
            lb.plane.expire().expect("the kernel runs the program");
        }
    });
}
