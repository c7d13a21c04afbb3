//! Records of flows that opened and flows that ended. The agent reads them from a ring buffer.

use core::ptr::{addr_of, addr_of_mut};

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::bpf_ktime_get_ns;
use lb_common::event::{self, Event, Kind, Reason, SPACE, VERSION, WAKE};
use lb_common::flow::{State, Word};
use lb_common::tcp::Direction;
use lb_common::time;

use crate::account;
use crate::family::{Family, Table};
use crate::flow::{add, idle_timeout, now};
use crate::maps::{EVENT_TALLY, EVENTS, event_kinds};

/// Tells of the flow whose forward entry is at `index`, if that is wanted: a segment that went in
/// `direction` has moved it from the state in `word` to `to`.
#[inline(always)]
pub(crate) fn moved<F: Family>(index: u32, word: Word, to: State, direction: Direction) {
    if event_kinds() == 0 {
        return;
    }
    if let Some((kind, reason)) = event::of_segment(word.state(), to, direction) {
        tell::<F>(index, word, kind, reason);
    }
}

/// Tells of an open flow that is being forgotten, if that is wanted. The entry at `index` is the
/// caller's; its `word` was the one before that.
#[inline(always)]
pub(crate) fn forgotten<F: Family>(index: u32, word: Word) {
    if event_kinds() != 0 && word.state().is_open() {
        // Which of the two reasons it is shows in the entry.
        tell::<F>(index, word, Kind::Closed, Reason::Idle);
    }
}

#[inline(always)]
fn tell<F: Family>(index: u32, word: Word, kind: Kind, reason: Reason) {
    if event_kinds() & kind.bit() != 0 {
        let what = kind as u32 | (reason as u32) << 8 | (word.state() as u32) << 16;
        (F::CALLS.report)(index, word.generation(), what);
    }
}

/// Writes a record of the flow whose forward entry is at `index`, out of line: `what` is kind,
/// reason and the state that it leaves.
#[inline(always)]
pub(crate) fn report<F: Family>(index: u32, generation: u32, what: u32) -> u32 {
    let Some(slot) = Table::<F>::slot(index) else {
        return 0;
    };
    let Some(mut record) = EVENTS.reserve::<Event>(0) else {
        lost();
        return 0;
    };
    let slot = slot.pointer();
    let out = record.as_mut_ptr();
    macro_rules! field {
        ($slot:expr, $name:ident) => {
            addr_of!((*$slot).$name).read_volatile()
        };
    }
    macro_rules! put {
        ($($name:ident = $value:expr;)*) => {
            $(addr_of_mut!((*out).$name).write($value);)*
        };
    }
    // SAFETY: the slot is a map value, the record is reserved memory of the right size.
    let whole = unsafe {
        let member = field!(slot, member);
        let twin = field!(slot, twin);
        let at = bpf_ktime_get_ns();
        let (mut seq, mut ack, mut seen) = ([field!(slot, seq), 0], [field!(slot, ack), 0], 0);
        let mut has_reply = 0;
        if let Some(reply) = Table::<F>::slot(twin) {
            let reply = reply.pointer();
            let word = Word(field!(reply, word));
            if word.state() as u8 == State::Reply as u8 && field!(reply, twin) == index {
                seq[1] = field!(reply, seq);
                ack[1] = field!(reply, ack);
                seen = field!(reply, seen);
                has_reply = 1;
            }
        }
        let mut reason = (what >> 8) as u8;
        if reason == Reason::Idle as u8 {
            let now = now();
            let forward = time::since(now, field!(slot, seen));
            let reply = time::since(now, seen);
            let idle = if has_reply != 0 && reply < forward {
                reply
            } else {
                forward
            };
            let state = State::from_u8((what >> 16) as u8);
            if idle <= state.timeout(idle_timeout(member)) {
                reason = Reason::Evicted as u8;
            }
        }
        let started = match F::start(index) {
            Some(start) => start.read_volatile(),
            None => 0,
        };
        put! {
            version = VERSION;
            kind = what as u8;
            reason = reason;
            family = F::NUMBER as u8;
            protocol = 6;
            member = member;
            real = field!(slot, real);
            zero = 0;
            index = index;
            generation = generation;
            ports = field!(slot, ports);
            new_ports = field!(slot, new_ports);
            origin = field!(slot, origin);
            zero2 = 0;
            at = at;
            started = started;
            client = F::mapped(field!(slot, src));
            vip = F::mapped(field!(slot, dst));
            nat_source = F::mapped(field!(slot, new_src));
            server = F::mapped(field!(slot, new_dst));
            seq = seq;
            ack = ack;
        }
        addr_of_mut!((*out).traffic[0]).write(account::traffic::<F>(index));
        addr_of_mut!((*out).traffic[1]).write(if has_reply != 0 {
            account::traffic::<F>(twin)
        } else {
            event::Traffic::default()
        });
        // A flow that has ended may be released while it is read.
        Word(field!(slot, word)).generation() == generation
    };
    if !whole {
        record.discard(BPF_RB_NO_WAKEUP as u64);
        lost();
        return 0;
    }
    let waiting = EVENTS.query(BPF_RB_AVAIL_DATA as u64);
    let wake = waiting & (WAKE - 1) < SPACE;
    record.submit(if wake {
        BPF_RB_FORCE_WAKEUP as u64
    } else {
        BPF_RB_NO_WAKEUP as u64
    });
    if let Some(tally) = EVENT_TALLY.get_ptr_mut(0) {
        // SAFETY: a map value.
        unsafe { add(&raw mut (*tally).written, 1) };
    }
    1
}

#[inline(always)]
fn lost() {
    if let Some(tally) = EVENT_TALLY.get_ptr_mut(0) {
        // SAFETY: a map value.
        unsafe { add(&raw mut (*tally).lost, 1) };
    }
}
