//! Frames that nobody would send: whatever comes, the program keeps its promises.
//!
//! Seeded and of fixed length, so that a failure comes again; `LB_FUZZ_SEED` and `LB_FUZZ_FRAMES`
//! change that.

use lb_common::tcp::RST;
use lb_common::verdict::DropReason;
use lb_tests::packet::{ETHERNET, Packet};
use lb_tests::plane::{Sizes, Verdict};

use crate::world::{BACK, Conn, Counter, FRONT, Family, Outcome, World, world_of};

const FRAMES: u64 = 60_000;

#[test]
fn ipv4() {
    world_of(Family::V4, Sizes::default(), |lb| run(lb));
}

#[test]
fn ipv6() {
    world_of(Family::V6, Sizes::default(), |lb| run(lb));
}

fn run(lb: &World) {
    let setting = |name, default| match std::env::var(name) {
        Ok(value) => value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is no number")),
        Err(_) => default,
    };
    let mut random = Random::new(setting("LB_FUZZ_SEED", 1));
    let frames = setting("LB_FUZZ_FRAMES", FRAMES);
    let conns: Vec<_> = (1..=20).map(|port| lb.open(port)).collect();
    let mut kinds = [0; 4];
    for n in 0..frames {
        let frame = frame(lb, &conns, &mut random);
        let ifindex = if random.one_in(2) { lb.front } else { lb.back };
        let outcome = lb.send_on(ifindex, &frame);
        let problem = std::panic::catch_unwind(|| check(&outcome));
        let kind = problem.unwrap_or_else(|_| panic!("frame {n}: {outcome:02x?}"));
        kinds[kind] += 1;
        if n % 10_000 == 0 {
            lb.verify();
        }
    }
    println!("dropped, passed, forwarded, refused: {kinds:?}");
    assert!(kinds.iter().all(|&kind| kind > frames / 100), "{kinds:?}");
}

/// What every frame's end must be like; which of the four ends it was.
fn check(outcome: &Outcome) -> usize {
    let Outcome { sent, ran, counted } = outcome;
    let &[counter] = &counted[..] else {
        panic!("not one counter but {counted:?}");
    };
    let sends = matches!(ran.verdict, Verdict::Tx | Verdict::Redirect);
    match counter {
        Counter::Drop(reason) if ran.verdict == Verdict::Drop => {
            assert!(ran.frame == *sent || reason == DropReason::RedirectFailed);
            0
        }
        Counter::Pass(_) => {
            assert_eq!(ran.verdict, Verdict::Pass);
            assert_eq!(ran.frame, *sent);
            1
        }
        Counter::In(..) | Counter::Out(..) => {
            assert!(sends, "{:?}", ran.verdict);
            assert_eq!(ran.frame.len(), sent.len());
            if let Ok(before) = Packet::parse(sent) {
                let after = Packet::parse(&ran.frame).expect("valid packets stay valid");
                let expected = Packet {
                    from: after.from,
                    to: after.to,
                    src: after.src,
                    dst: after.dst,
                    hops: before.hops - 1,
                    ..before
                };
                assert_eq!(after, expected);
            }
            2
        }
        Counter::Drop(reason) => {
            assert_eq!(ran.verdict, Verdict::Tx);
            assert!(matches!(reason, DropReason::NoFlow | DropReason::NoServer));
            let answer = Packet::parse(&ran.frame).expect("answers are valid");
            assert!(answer.flags & RST != 0 && answer.payload.is_empty());
            assert_eq!(
                (&ran.frame[..6], &ran.frame[6..12]),
                (&sent[6..12], &sent[..6])
            );
            3
        }
    }
}

/// A frame: of an open flow, of a new one, or neither; whole or damaged.
fn frame(lb: &World, conns: &[Conn], random: &mut Random) -> Vec<u8> {
    let mut packet = packet(lb, conns, random);
    if random.one_in(2) {
        packet.flags = random.next() as u8;
    }
    if random.one_in(4) {
        packet.seq = random.next() as u32;
    }
    if random.one_in(4) {
        packet.ack = random.next() as u32;
    }
    if random.one_in(2) {
        let length = random.below(200) as usize;
        packet.payload = (0..length).map(|_| random.next() as u8).collect();
    }
    if random.one_in(4) {
        packet.options = vec![random.next() as u8; 4 * random.below(11) as usize];
    }
    if random.one_in(8) {
        packet.hops = random.below(4) as u8;
    }
    packet.class = random.next() as u8;
    packet.label = random.next() as u32;
    if packet.src.is_ipv4() {
        packet.label &= 0xffff;
    } else {
        packet.label &= 0xf_ffff;
    }
    let mut frame = packet.bytes();
    match random.below(8) {
        // Single bits and bytes of the headers.
        0 | 1 => {
            for _ in 0..=random.below(3) {
                let at = random.below(frame.len().min(90) as u64) as usize;
                frame[at] = match random.below(3) {
                    0 => frame[at] ^ 1 << random.below(8),
                    1 => random.next() as u8,
                    _ => [0, 0xff, 0x45, 0x60, 6][random.below(5) as usize],
                };
            }
        }
        2 => {
            let length = ETHERNET as u64 + random.below((frame.len() - ETHERNET) as u64);
            frame.truncate(length as usize);
        }
        3 => frame.extend((0..random.below(50)).map(|_| 0xaa)),
        4 if random.one_in(4) => {
            for byte in &mut frame[ETHERNET..] {
                *byte = random.next() as u8;
            }
        }
        _ => {}
    }
    frame
}

fn packet(lb: &World, conns: &[Conn], random: &mut Random) -> Packet {
    let conn = &conns[random.below(conns.len() as u64) as usize];
    let mut packet = match random.below(6) {
        0 | 1 => conn.from_client(0x10),
        2 | 3 => conn.from_server(0x10),
        4 => lb.syn(random.below(300) as u16),
        _ => lb.from_client(random.next() as u16).flags(0x10),
    };
    if random.one_in(10) {
        packet.dst.set_port(random.next() as u16);
    }
    if random.one_in(10) {
        packet.to = if random.one_in(2) { BACK } else { FRONT };
    }
    packet
}

/// Xorshift (Marsaglia, 2003).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The low bits of consecutive numbers resemble each other.
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}
