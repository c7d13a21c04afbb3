//! The functions that are called and not inlined, one of each for each family.
//!
//! They are global functions to the verifier, which walks each once, with any arguments, and not in
//! every place that calls it. So arguments are scalars (keys wait in the scratch) and every one
//! returns a number.

use lb_common::table::{self, Claim, Place};

use crate::family::Table;
use crate::{challenge, expire, flow, open, redispatch, report, search, track};

/// One family's functions.
pub(crate) struct Calls {
    /// [`open::run`].
    pub(crate) open: extern "C" fn() -> i64,
    /// [`open::choose`].
    pub(crate) choose: extern "C" fn() -> i64,
    /// [`search::run`].
    pub(crate) search: extern "C" fn(base: u32, len: u32, start: u32, what: u32) -> i64,
    /// [`search::look`]; not zero: true.
    pub(crate) look: extern "C" fn(base: u32, len: u32, number: u32, what: u32) -> u32,
    /// [`redispatch::leave`].
    pub(crate) leave: extern "C" fn(now: u32) -> u32,
    /// [`open::claim_port`], by the tick.
    pub(crate) claim_port: extern "C" fn(now: u32) -> i64,
    /// [`open::write_entries`].
    pub(crate) write_entries: extern "C" fn(forward: u32, reply: u32, now: u32) -> u32,
    /// [`flow::find_probe`].
    pub(crate) find: extern "C" fn(bucket: u32, identity: u32) -> i64,
    /// [`flow::claim`].
    pub(crate) claim: extern "C" fn(now: u32) -> i64,
    /// [`table::survey`] for the probe, [`encode`]d.
    pub(crate) survey: extern "C" fn(first: u32, second: u32, identity: u32, own: u32) -> i64,
    /// [`table::spare`]; not zero: true.
    pub(crate) spare: extern "C" fn(first: u32, second: u32, now: u32) -> u32,
    /// [`table::consider`].
    pub(crate) consider: extern "C" fn(index: u32, now: u32) -> u32,
    /// [`flow::release`]; not zero: true.
    pub(crate) release: extern "C" fn(index: u32, word: u64) -> u32,
    /// [`track::judge`].
    pub(crate) judge: extern "C" fn(index: u32, what: u32, seq: u32, ack: u32, end: u32) -> u32,
    /// [`track::moved`].
    pub(crate) moved: extern "C" fn(index: u32, head: u32, tail: u32) -> u32,
    /// [`report::report`].
    pub(crate) report: extern "C" fn(index: u32, generation: u32, what: u32) -> u32,
    /// [`expire::bucket`].
    pub(crate) expire: extern "C" fn(bucket: u32, now: u32) -> u32,
    /// [`expire::slot`].
    pub(crate) expire_slot: extern "C" fn(index: u32, now: u32) -> u32,
    /// [`flow::load`].
    pub(crate) load: extern "C" fn(real: u32, open: i32, unproved: i32) -> u32,
    /// [`challenge::admit`]; not zero: true.
    pub(crate) admit: extern "C" fn(now: u32) -> u32,
    /// [`challenge::prove`]; not zero: true.
    pub(crate) prove: extern "C" fn(now: u32) -> u32,
}

/// [`Claim::Race`] as a scalar.
const RACE: i64 = -1;
/// [`Claim::Full`] as a scalar.
const FULL: i64 = -2;

/// A claim's outcome as a scalar: an index for [`Claim::Taken`], below [`FULL`] for
/// [`Claim::Exists`].
#[inline(always)]
pub(crate) const fn encode(claim: Claim) -> i64 {
    match claim {
        Claim::Taken(index) => index as i64,
        Claim::Exists(index) => FULL - 1 - index as i64,
        Claim::Race => RACE,
        Claim::Full => FULL,
    }
}

/// A claim's outcome out of a scalar.
#[inline(always)]
pub(crate) const fn decode(claim: i64) -> Claim {
    match claim {
        RACE => Claim::Race,
        FULL => Claim::Full,
        index if index >= 0 => Claim::Taken(index as u32),
        other => Claim::Exists((FULL - 1 - other) as u32),
    }
}

macro_rules! functions {
    ($calls:ident, $(
        $field:ident = $name:ident($($argument:ident: $type:ty),*) -> $result:ty { $body:expr }
    )*) => {
        $(
            #[unsafe(no_mangle)]
            #[inline(never)]
            extern "C" fn $name($($argument: $type),*) -> $result {
                $body
            }
        )*

        pub(crate) const $calls: Calls = Calls {
            $($field: $name,)*
        };
    };
}

macro_rules! family {
    ($calls:ident, $family:ty, $open:ident, $choose:ident, $search:ident, $look:ident, $leave:ident, $claim_port:ident,
     $write_entries:ident, $find:ident, $claim:ident, $survey:ident, $spare:ident,
     $consider:ident, $release:ident, $judge:ident, $moved:ident, $report:ident, $expire:ident, $expire_slot:ident,
     $load:ident, $admit:ident, $prove:ident) => {
        functions! { $calls,
            open = $open() -> i64 { open::run::<$family>() }
            choose = $choose() -> i64 { open::choose::<$family>() }
            search = $search(base: u32, len: u32, start: u32, what: u32) -> i64 {
                search::run::<$family>(base, len, start, what)
            }
            look = $look(base: u32, len: u32, number: u32, what: u32) -> u32 {
                search::look(base, len, number, what)
            }
            leave = $leave(now: u32) -> u32 { redispatch::leave::<$family>(now) }
            claim_port = $claim_port(now: u32) -> i64 { open::claim_port::<$family>(now) }
            write_entries = $write_entries(forward: u32, reply: u32, now: u32) -> u32 {
                open::write_entries::<$family>(forward, reply, now)
            }
            find = $find(bucket: u32, identity: u32) -> i64 {
                flow::find_probe::<$family>(bucket, identity)
            }
            claim = $claim(now: u32) -> i64 { flow::claim::<$family>(now) }
            survey = $survey(first: u32, second: u32, identity: u32, own: u32) -> i64 {
                flow::survey::<$family>(Place { first, second, identity }, own)
            }
            spare = $spare(first: u32, second: u32, now: u32) -> u32 {
                {
                    let place = Place { first, second, identity: 0 };
                    table::spare(&Table::<$family>::NEW, place, now) as u32
                }
            }
            consider = $consider(index: u32, now: u32) -> u32 {
                { table::consider(&Table::<$family>::NEW, index, now); 0 }
            }
            release = $release(index: u32, word: u64) -> u32 {
                flow::release::<$family>(index, word)
            }
            judge = $judge(index: u32, what: u32, seq: u32, ack: u32, end: u32) -> u32 {
                track::judge::<$family>(index, what, seq, ack, end)
            }
            moved = $moved(index: u32, head: u32, tail: u32) -> u32 {
                track::moved::<$family>(index, head, tail)
            }
            report = $report(index: u32, generation: u32, what: u32) -> u32 {
                report::report::<$family>(index, generation, what)
            }
            expire = $expire(bucket: u32, now: u32) -> u32 { expire::bucket::<$family>(bucket, now) }
            expire_slot = $expire_slot(index: u32, now: u32) -> u32 {
                expire::slot::<$family>(index, now)
            }
            load = $load(real: u32, open: i32, unproved: i32) -> u32 {
                flow::load::<$family>(real, open, unproved)
            }
            admit = $admit(now: u32) -> u32 { challenge::admit::<$family>(now) }
            prove = $prove(now: u32) -> u32 { challenge::prove::<$family>(now) }
        }
    };
}

family!(
    V4,
    crate::family::V4,
    open4,
    choose4,
    search4,
    look4,
    leave4,
    claim_port4,
    write_entries4,
    find4,
    claim4,
    survey4,
    spare4,
    consider4,
    release4,
    judge4,
    moved4,
    report4,
    expire4,
    expire_slot4,
    load4,
    admit4,
    prove4
);
family!(
    V6,
    crate::family::V6,
    open6,
    choose6,
    search6,
    look6,
    leave6,
    claim_port6,
    write_entries6,
    find6,
    claim6,
    survey6,
    spare6,
    consider6,
    release6,
    judge6,
    moved6,
    report6,
    expire6,
    expire_slot6,
    load6,
    admit6,
    prove6
);
