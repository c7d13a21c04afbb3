//! Stage 4, how many flows a source may open. The arithmetic is `lb_common::limit`.

use core::ptr::{addr_of, addr_of_mut};

use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use lb_common::limit::{self, BUCKET_SOURCES, CLAIMED, Source, SourceBucket, Standing};
use lb_common::map::SOURCE_BUCKETS;
use lb_common::service::{Member, Service};
use lb_common::verdict::DropReason;

use crate::family::Family;
use crate::flow::compare_exchange;
use crate::maps::{MEMBERS, SOURCES, hash_key};
use crate::scratch::scratch;
use crate::verdict::Outcome;

/// How often a word is tried that another processor changes at the same moment.
const TRIES: u32 = 4;

/// Makes an index into a bucket one that the verifier believes.
const INDEX: usize = BUCKET_SOURCES - 1;

/// Takes a token of the client's for a new flow, where the service counts them.
#[inline(always)]
pub(crate) fn check<F: Family>(service: &Service, client: F::Addr) -> Result<(), Outcome> {
    if service.limit.interval == 0 {
        return Ok(());
    }
    let Some(scratch) = scratch() else {
        return Err(DropReason::BadRing.into());
    };
    // SAFETY: this processor's map value.
    unsafe { (*scratch).limit = service.limit };
    match take(F::source(client), service.id as u32, service.blind) {
        0 => Ok(()),
        reason => Err(Outcome::from_number(reason)),
    }
}

/// Nanoseconds of the coarse clock: see [`crate::flow::now`].
#[inline(always)]
fn now() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_coarse_ns() }
}

/// Takes a token by the limit in the scratch. Zero, or a [`DropReason`]'s number.
///
/// `blind`, not zero: a ban does not take completed flows.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn take(address: u64, service: u32, blind: u32) -> u32 {
    const LIMITED: u32 = DropReason::SourceLimit as u32;
    let Some(scratch) = scratch() else {
        return DropReason::BadRing as u32;
    };
    // SAFETY: this processor's map value.
    let limit = unsafe { (*scratch).limit };
    let now = now();
    let identity = limit::identity(hash_key(), address, service);
    let Some(bucket) = SOURCES.get_ptr_mut(limit::place(identity, SOURCE_BUCKETS)) else {
        return DropReason::BadRing as u32;
    };
    let mut index = find(bucket, identity);
    if index > INDEX {
        index = claim(bucket, now);
        if index > INDEX {
            // No place for it: let in uncounted, as `lb_common::limit` says.
            return 0;
        }
        let new = Source {
            full_at: 0,
            standing: 0,
            address,
            interval: limit.interval,
            service,
            zero: 0,
        };
        // SAFETY: a map value, and nobody else's since it is claimed. The identity is written last:
        // stores are seen in order on x86-64.
        unsafe {
            addr_of_mut!((*bucket).sources[index & INDEX]).write_volatile(new);
            addr_of_mut!((*bucket).identities[index & INDEX]).write_volatile(identity);
        }
    }
    // SAFETY: a map value.
    let source = unsafe { addr_of_mut!((*bucket).sources[index & INDEX]) };
    // SAFETY: as above.
    let standing = Standing(unsafe { addr_of!((*source).standing).read_volatile() });
    if let Some(until) = standing.banned_until() {
        if until > now {
            return DropReason::SourceBanned as u32;
        }
        // SAFETY: as above. If it fails, somebody else has ended the ban.
        unsafe { compare_exchange(addr_of_mut!((*source).standing), standing.0, 0) };
    }
    let mut tries = 0;
    while tries < TRIES {
        tries += 1;
        // SAFETY: as above.
        let full_at = unsafe { addr_of!((*source).full_at).read_volatile() };
        let Some(next) = limit::take(full_at, now, &limit) else {
            if limit.ban != 0 && (blind != 0 || standing.deserves_ban(now, &limit)) {
                let banned = Standing::banned(now, &limit);
                // SAFETY: as above. If it fails, a flow was completed just now: the next packet
                // that is too many bans the source.
                unsafe { compare_exchange(addr_of_mut!((*source).standing), standing.0, banned.0) };
            }
            return LIMITED;
        };
        // SAFETY: as above.
        if unsafe { compare_exchange(addr_of_mut!((*source).full_at), full_at, next) } == full_at {
            return 0;
        }
    }
    // Processors that many open this source's flows at the same moment: it can wait.
    LIMITED
}

/// Where in the bucket the source is; beyond [`INDEX`]: nowhere.
#[inline(always)]
fn find(bucket: *mut SourceBucket, identity: u64) -> usize {
    let mut i = 0;
    while i < BUCKET_SOURCES {
        // SAFETY: a map value.
        if unsafe { addr_of!((*bucket).identities[i]).read_volatile() } == identity {
            return i;
        }
        i += 1;
    }
    BUCKET_SOURCES
}

/// Claims the place of the source that owes least; beyond [`INDEX`]: there is none.
#[inline(always)]
fn claim(bucket: *mut SourceBucket, now: u64) -> usize {
    let Some(scratch) = scratch() else {
        return BUCKET_SOURCES;
    };
    // What has been found so far is kept in memory, which the verifier does not follow: see
    // `lb_common::table::Notes`.
    // SAFETY: this processor's map value; the bucket is one too.
    unsafe {
        let least = addr_of_mut!((*scratch).least_debt);
        let place = addr_of_mut!((*scratch).least_place);
        least.write_volatile(u64::MAX);
        place.write_volatile(BUCKET_SOURCES as u64);
        let mut i = 0;
        while i < BUCKET_SOURCES {
            let identity = addr_of!((*bucket).identities[i]).read_volatile();
            if identity != CLAIMED {
                let source = Source {
                    full_at: addr_of!((*bucket).sources[i].full_at).read_volatile(),
                    standing: addr_of!((*bucket).sources[i].standing).read_volatile(),
                    ..Source::default()
                };
                let debt = source.debt(now).unwrap_or(u64::MAX);
                if debt < least.read_volatile() {
                    least.write_volatile(debt);
                    place.write_volatile(i as u64);
                }
            }
            i += 1;
        }
        let place = place.read_volatile() as usize;
        if place > INDEX {
            return BUCKET_SOURCES;
        }
        let word = addr_of_mut!((*bucket).identities[place & INDEX]);
        let identity = word.read_volatile();
        if identity == CLAIMED || compare_exchange(word, identity, CLAIMED) != identity {
            return BUCKET_SOURCES;
        }
        place
    }
}

/// Notes that a flow of `member`'s was completed by the client.
#[inline(always)]
pub(crate) fn completed<F: Family>(member: u16, client: F::Addr) {
    if let Some(&Member {
        limited: 1,
        service,
        ..
    }) = MEMBERS.get(member as u32)
    {
        note_completed(F::source(client), service as u32);
    }
}

/// [`completed`], out of line.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn note_completed(address: u64, service: u32) -> u32 {
    let identity = limit::identity(hash_key(), address, service);
    let Some(bucket) = SOURCES.get_ptr_mut(limit::place(identity, SOURCE_BUCKETS)) else {
        return 0;
    };
    let index = find(bucket, identity);
    if index > INDEX {
        return 0;
    }
    let now = now();
    let mut tries = 0;
    while tries < TRIES {
        tries += 1;
        // SAFETY: a map value.
        unsafe {
            let source = addr_of_mut!((*bucket).sources[index & INDEX]);
            let standing = Standing(addr_of!((*source).standing).read_volatile());
            let interval = addr_of!((*source).interval).read_volatile();
            let next = standing.after_completed(now, interval);
            let word = addr_of_mut!((*source).standing);
            if compare_exchange(word, standing.0, next.0) == standing.0 {
                return 1;
            }
        }
    }
    0
}
