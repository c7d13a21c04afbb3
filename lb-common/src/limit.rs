//! How many flows a source may open: a token bucket each, and bans.
//!
//! A bucket is one number, the moment at which it will be full again (the "theoretical arrival time"
//! of the generic cell rate algorithm, ITU-T I.371): each flow moves it on by the time that one token
//! takes to grow, and it must not be further ahead than the whole bucket takes. Nothing has to be
//! added as time passes, and whoever wants a token needs one compare-and-exchange.
//!
//! Times are nanoseconds of `CLOCK_MONOTONIC`; the sums saturate.
//!
//! The table of sources has a fixed size, and attackers choose who is in it. So what it forgets first
//! is who owes least: a source whose bucket is full again is as good as not there, and one of a
//! million forged addresses, seen once, owes one token. Bans are never forgotten before their time.
//! Where all places that a source could have are taken by bans, it is let in uncounted: the table
//! must not become a way to keep strangers out.

use crate::hash::{self, HashKey};

/// How fast a source may open flows of a service. All zero: as fast as it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Limit {
    /// Nanoseconds in which one token grows; zero: no limit.
    pub interval: u64,
    /// Nanoseconds in which an empty bucket becomes full.
    pub burst: u64,
    /// Nanoseconds for which a source is shut out that wanted more; zero: it only waits for tokens.
    pub ban: u64,
}

/// Takes a token out of the bucket that will be full at `full_at`; gives when it will be then, or
/// `None` if it is empty.
#[inline(always)]
pub const fn take(full_at: u64, now: u64, limit: &Limit) -> Option<u64> {
    let from = if full_at > now { full_at } else { now };
    let next = from.saturating_add(limit.interval);
    if next.saturating_sub(now) <= limit.burst {
        Some(next)
    } else {
        None
    }
}

/// What a source has shown itself to be, in one word: until when it is banned (odd), or the bucket
/// of the flows that it completed (even): their number is what forged packets cannot raise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing(pub u64);

impl Standing {
    /// Banned for as long as `limit` says.
    #[inline(always)]
    pub const fn banned(now: u64, limit: &Limit) -> Self {
        Self(now.saturating_add(limit.ban) | 1)
    }

    /// Until when; `None`: not banned. The moment may have passed.
    #[inline(always)]
    pub const fn banned_until(self) -> Option<u64> {
        if self.0 & 1 == 1 { Some(self.0) } else { None }
    }

    /// After one more completed flow; a ban stays what it is.
    #[inline(always)]
    pub const fn after_completed(self, now: u64, interval: u64) -> Self {
        if self.0 & 1 == 1 {
            return self;
        }
        let from = if self.0 > now { self.0 } else { now };
        Self(from.saturating_add(interval) & !1)
    }

    /// Whether a source that found its bucket empty is to be banned: at least half of a bucket went
    /// to flows that it completed.
    ///
    /// Anybody can send SYNs in somebody else's name; were those enough, two hundred of them would
    /// shut out a server's most important client. Completing a flow takes the server's answer.
    #[inline(always)]
    pub const fn deserves_ban(self, now: u64, limit: &Limit) -> bool {
        limit.ban != 0 && self.0 & 1 == 0 && self.0.saturating_sub(now) >= limit.burst / 2
    }
}

/// What is known of a source. The fields change by compare-and-exchange where programs share them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Source {
    /// When its bucket will be full.
    pub full_at: u64,
    /// A [`Standing`].
    pub standing: u64,
    /// The source: [`source_of_v4`] or [`source_of_v6`].
    pub address: u64,
    /// The service's [`Limit::interval`].
    pub interval: u64,
    /// The service.
    pub service: u32,
    /// Always zero.
    pub zero: u32,
}

impl Source {
    /// What would be lost if it were forgotten: nanoseconds of debt. `None`: nothing may take its
    /// place yet.
    #[inline(always)]
    pub const fn debt(&self, now: u64) -> Option<u64> {
        let standing = Standing(self.standing);
        if let Some(until) = standing.banned_until() {
            return if until > now { None } else { Some(0) };
        }
        let completed = self.standing.saturating_sub(now);
        let opened = self.full_at.saturating_sub(now);
        Some(if completed > opened {
            completed
        } else {
            opened
        })
    }
}

/// Sources in a bucket.
pub const BUCKET_SOURCES: usize = 8;

/// Value of [`crate::map::SOURCES`]: where a source may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SourceBucket {
    /// One cache line to look through: [`identity`] of each, [`FREE`] or [`CLAIMED`].
    pub identities: [u64; BUCKET_SOURCES],
    /// What is known of them.
    pub sources: [Source; BUCKET_SOURCES],
}

/// Nobody's place.
pub const FREE: u64 = 0;
/// A place whose new owner is being written.
pub const CLAIMED: u64 = 2;

/// A source in the eyes of one service: neither [`FREE`] nor [`CLAIMED`]. 63 bits stand for the
/// address and the service; that two sources share them will not happen.
#[inline(always)]
pub const fn identity(key: HashKey, address: u64, service: u32) -> u64 {
    hash::source(key, address, service) | 1
}

/// The bucket that a source may be in, out of `buckets`.
#[inline(always)]
pub const fn place(identity: u64, buckets: u32) -> u32 {
    hash::reduce((identity >> 32) as u32, buckets)
}

/// An IPv4 address as a source, in the host's order. The service tells the families apart.
#[inline(always)]
pub const fn source_of_v4(address: u32) -> u64 {
    address as u64
}

/// An IPv6 address as a source: its first 64 bits in the host's order, as who has one address has
/// the 2^64 beside it too (RFC 4291, section 2.5.4).
#[inline(always)]
pub const fn source_of_v6(first_half: u64) -> u64 {
    first_half
}

const _: () = {
    assert!(size_of::<Limit>() == 24);
    assert!(size_of::<Source>() == 40);
    assert!(size_of::<SourceBucket>() == 384);
};

#[cfg(feature = "user")]
mod pod {
    // SAFETY: `repr(C)`, integers only, and the size asserts leave no padding.
    unsafe impl aya::Pod for super::SourceBucket {}
}

#[cfg(test)]
mod tests;
