//! The challenge: a client proves that it is at its address before anything is kept for it.
//!
//! A SYN is answered with a SYN-ACK that acknowledges what the client did not send: a *cookie*. A
//! client in SYN-SENT answers with `<SEQ=cookie><CTL=RST>` (RFC 9293, section 3.10.7.3, first step)
//! and stays in SYN-SENT. Who spoofs its address never sees the cookie and cannot send it back. The
//! RST proves the address ([`Proof`]), and the client's next SYN opens its connection, whose sequence
//! numbers are its own and its server's. Linux sends that SYN again two jiffies after the first bad
//! acknowledgement (from Linux 5.12 on, before: after a second), other systems after their timeout.
//!
//! Something between client and balancer may swallow a SYN-ACK with a wrong acknowledgement. So a SYN
//! that comes again, after the time in which a client repeats it, passes as well ([`Memory`]); only so
//! many of these a second, since a flood can send its SYNs twice.

use crate::addr::Address;
use crate::flow::FlowKey;
use crate::siphash::{self, Key};

mod memory;
mod proof;

pub use memory::{Memory, Seen, repeats_allowed};
pub use proof::{PROOFS, Proof, choose};

/// When to challenge: values of [`crate::map::CHALLENGE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum When {
    /// Never.
    Never = 0,
    /// While unproved flows hold more than their share ([`crate::load::Load::pressed`]).
    #[default]
    Pressed = 1,
    /// Every new source.
    Always = 2,
}

/// A cookie's age counts in units of 2^13 ticks, 8.6 s. It is good in its unit and the next.
const EPOCH_SHIFT: u32 = 13;

/// What one hash is for, so that none can stand for another.
#[derive(Clone, Copy)]
enum Purpose {
    Cookie = 1,
    Source = 2,
    Syn = 3,
}

/// The cookie for a client's SYN at `now`; `key` is the flow's.
///
/// One in 2^32 is the one acknowledgement that the client would accept, its ISN + 1: with the `isn`
/// given, that one is avoided.
#[inline(always)]
pub fn cookie<A: Address>(secret: Key, key: &FlowKey<A>, now: u32, isn: u32) -> u32 {
    let cookie = of_epoch(secret, key, now >> EPOCH_SHIFT);
    // The number before it is the one that `proves` takes for it as well.
    if cookie == isn.wrapping_add(1) {
        cookie.wrapping_sub(1)
    } else {
        cookie
    }
}

/// Whether `seq` is what a RST for this flow carries if its sender has seen the cookie that
/// [`cookie`] made less than an epoch ago.
#[inline(always)]
pub fn proves<A: Address>(secret: Key, key: &FlowKey<A>, now: u32, seq: u32) -> bool {
    let epoch = now >> EPOCH_SHIFT;
    let matches = |epoch| of_epoch(secret, key, epoch).wrapping_sub(seq) <= 1;
    matches(epoch) || matches(epoch.wrapping_sub(1) & (u32::MAX >> EPOCH_SHIFT))
}

#[inline(always)]
fn of_epoch<A: Address>(secret: Key, key: &FlowKey<A>, epoch: u32) -> u32 {
    tuple_hash(secret, key, epoch, Purpose::Cookie) as u32
}

/// What stands for a client's address in the table of proofs: IPv4 whole, of IPv6 the /64 that a
/// site or a host has to itself.
#[inline(always)]
pub fn source<A: Address>(secret: Key, addr: A) -> u64 {
    let (head, _) = addr.words();
    siphash::hash(secret, [head, width::<A>(Purpose::Source)])
}

/// What stands for a SYN in the memory of SYNs.
#[inline(always)]
pub fn syn<A: Address>(secret: Key, key: &FlowKey<A>, isn: u32) -> u64 {
    tuple_hash(secret, key, isn, Purpose::Syn)
}

#[inline(always)]
fn tuple_hash<A: Address>(secret: Key, key: &FlowKey<A>, number: u32, purpose: Purpose) -> u64 {
    let tail = key.ports as u64 | (number as u64) << 32;
    let (s0, s1) = key.src.words();
    let (d0, d1) = key.dst.words();
    if size_of::<A>() == 4 {
        siphash::hash(secret, [s0 | d0 << 32, tail, width::<A>(purpose)])
    } else {
        siphash::hash(secret, [s0, s1, d0, d1, tail, width::<A>(purpose)])
    }
}

#[inline(always)]
const fn width<A>(purpose: Purpose) -> u64 {
    purpose as u64 | (size_of::<A>() as u64) << 8
}

#[cfg(test)]
mod tests;
