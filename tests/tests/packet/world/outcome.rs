//! Sending frames, and what became of them.

use lb_common::service::Stats;
use lb_common::verdict::{DropReason, PassReason, ServiceDrops};
use lb_tests::packet::Packet;
use lb_tests::plane::{Ran, Verdict};

use super::{BACK, FRONT, SERVERS, SERVICE_ID, World, member_of};

/// One count that moved by one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    Drop(DropReason),
    Pass(PassReason),
    /// Forwarded to a server: its number and the bytes counted.
    In(u16, u64),
    /// Forwarded to a client.
    Out(u16, u64),
}

/// What became of a frame.
#[derive(Clone, Debug)]
#[must_use = "say what is expected"]
pub(crate) struct Outcome {
    pub(crate) sent: Vec<u8>,
    pub(crate) ran: Ran,
    pub(crate) counted: Vec<Counter>,
}

/// All counters at one moment.
struct Snapshot {
    drops: Vec<u64>,
    service_drops: ServiceDrops,
    passes: Vec<u64>,
    stats: Vec<Stats>,
}

impl World {
    /// Sends a packet in by the interface whose Ethernet address it is for, by the front one if it
    /// is for neither.
    pub(crate) fn send(&self, packet: &Packet) -> Outcome {
        let ifindex = if packet.to == BACK {
            self.back
        } else {
            self.front
        };
        self.send_on(ifindex, &packet.bytes())
    }

    /// Sends any frame in by the front interface.
    pub(crate) fn send_frame(&self, frame: &[u8]) -> Outcome {
        self.send_on(self.front, frame)
    }

    /// Sends a frame in.
    pub(crate) fn send_on(&self, ifindex: u32, frame: &[u8]) -> Outcome {
        let before = self.snapshot();
        let ran = self
            .plane
            .run(ifindex, frame)
            .expect("the kernel runs the program");
        Outcome {
            sent: frame.to_vec(),
            ran,
            counted: self.snapshot().since(&before),
        }
    }

    fn snapshot(&self) -> Snapshot {
        let verdict = |number| self.plane.verdicts(number).expect("VERDICTS");
        let stats = |server| self.plane.stats(member_of(server)).expect("STATS");
        Snapshot {
            service_drops: self.plane.service_drops(SERVICE_ID).expect("SERVICE_DROPS"),
            drops: DropReason::ALL
                .iter()
                .map(|&reason| verdict(reason as u32))
                .collect(),
            passes: PassReason::ALL
                .iter()
                .map(|&reason| verdict(reason as u32))
                .collect(),
            stats: (1..=SERVERS).map(stats).collect(),
        }
    }
}

impl Snapshot {
    /// Each packet counted since `before`.
    fn since(&self, before: &Self) -> Vec<Counter> {
        let mut counted = Vec::new();
        for (i, &reason) in DropReason::ALL.iter().enumerate() {
            let packets = self.drops[i] - before.drops[i];
            let number = reason as usize;
            let of_service =
                self.service_drops.packets[number] - before.service_drops.packets[number];
            let known = service_is_known(reason);
            assert_eq!(
                of_service,
                if known { packets } else { 0 },
                "{reason:?} counted for the service (`Outcome::of`, `Outcome::of_member`)"
            );
            counted.extend((0..packets).map(|_| Counter::Drop(reason)));
        }
        for (i, &reason) in PassReason::ALL.iter().enumerate() {
            let packets = self.passes[i] - before.passes[i];
            counted.extend((0..packets).map(|_| Counter::Pass(reason)));
        }
        for (server, (now, then)) in (1..).zip(self.stats.iter().zip(&before.stats)) {
            if now.packets_in != then.packets_in || now.bytes_in != then.bytes_in {
                assert_eq!(now.packets_in, then.packets_in + 1);
                counted.push(Counter::In(server, now.bytes_in - then.bytes_in));
            }
            if now.packets_out != then.packets_out || now.bytes_out != then.bytes_out {
                assert_eq!(now.packets_out, then.packets_out + 1);
                counted.push(Counter::Out(server, now.bytes_out - then.bytes_out));
            }
        }
        counted
    }
}

/// Whether a packet's service is known by the time it is dropped for this reason.
fn service_is_known(reason: DropReason) -> bool {
    !matches!(
        reason,
        DropReason::Truncated
            | DropReason::BadIpHeader
            | DropReason::BadTcpHeader
            | DropReason::Fragment
            | DropReason::IpOptions
            | DropReason::NoStage
    )
}

impl Outcome {
    /// Dropped for this reason, unchanged.
    #[track_caller]
    pub(crate) fn dropped(self, reason: DropReason) {
        self.is(Verdict::Drop, &[Counter::Drop(reason)]);
        assert_eq!(self.ran.frame, self.sent, "a dropped frame was changed");
    }

    /// Dropped for this reason when it had been rewritten already.
    #[track_caller]
    pub(crate) fn dropped_late(self, reason: DropReason) {
        self.is(Verdict::Drop, &[Counter::Drop(reason)]);
    }

    /// Left to the stack for this reason, unchanged.
    #[track_caller]
    pub(crate) fn passed(self, reason: PassReason) {
        self.is(Verdict::Pass, &[Counter::Pass(reason)]);
        assert_eq!(
            self.ran.frame, self.sent,
            "a frame for the stack was changed"
        );
    }

    /// Forwarded to a server by the back interface, as exactly this packet.
    #[track_caller]
    pub(crate) fn to_server(self, server: u16, packet: &Packet) {
        let verdict = self.verdict_towards(packet);
        self.forwarded(verdict, Counter::In(server, self.bytes(packet)), packet);
    }

    /// Forwarded to a client, as exactly this packet; it came from `server`.
    #[track_caller]
    pub(crate) fn to_client(self, server: u16, packet: &Packet) {
        let verdict = self.verdict_towards(packet);
        self.forwarded(verdict, Counter::Out(server, self.bytes(packet)), packet);
    }

    /// Answered with exactly this packet, and counted as dropped for this reason.
    #[track_caller]
    pub(crate) fn refused(self, reason: DropReason, answer: &Packet) {
        self.is(Verdict::Tx, &[Counter::Drop(reason)]);
        assert_eq!(self.ran.frame.len(), self.sent.len(), "the frame's length");
        self.carries(answer);
    }

    /// The packet that it was forwarded as, its checksums verified.
    #[track_caller]
    pub(crate) fn packet(&self) -> Packet {
        Packet::parse(&self.ran.frame).expect("forwarded packets are valid")
    }

    /// Bytes as the program counts them: padding is none.
    fn bytes(&self, packet: &Packet) -> u64 {
        packet.bytes().len() as u64
    }

    /// Out by the interface it came in by, or by the other.
    fn verdict_towards(&self, packet: &Packet) -> Verdict {
        let came_by_back = self.sent.starts_with(&BACK.0);
        assert!(
            packet.from == BACK || packet.from == FRONT,
            "not sent by us"
        );
        if came_by_back == (packet.from == BACK) {
            Verdict::Tx
        } else {
            Verdict::Redirect
        }
    }

    #[track_caller]
    fn forwarded(&self, verdict: Verdict, counter: Counter, packet: &Packet) {
        self.is(verdict, &[counter]);
        assert_eq!(self.ran.frame.len(), self.sent.len(), "the frame's length");
        self.carries(packet);
    }

    /// The frame is the packet's bytes, and padding perhaps.
    #[track_caller]
    fn carries(&self, packet: &Packet) {
        let expected = packet.bytes();
        let actual = &self.ran.frame[..expected.len().min(self.ran.frame.len())];
        if actual != expected {
            // Fields say more than bytes, where there are any.
            assert_eq!(
                Packet::parse(&self.ran.frame).expect("a valid packet"),
                *packet
            );
            assert_eq!(actual, expected, "bytes");
        }
    }

    #[track_caller]
    fn is(&self, verdict: Verdict, counted: &[Counter]) {
        assert_eq!((self.ran.verdict, &*self.counted), (verdict, counted));
    }
}
