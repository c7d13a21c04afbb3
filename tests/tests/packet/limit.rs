//! How many flows a source may open, and bans.

use std::net::IpAddr;

use lb_common::limit::{self, BUCKET_SOURCES, Limit, Source, SourceBucket, Standing};
use lb_common::map::SOURCE_BUCKETS;
use lb_common::service::Pick;
use lb_common::tcp::ACK;
use lb_common::verdict::DropReason;
use lb_tests::packet::Packet;
use lb_tests::plane::Plane;

use crate::world::{Family, SERVERS, SERVICE_ID, World, world, world_of};

/// Nanoseconds in which a token grows: longer than any test takes.
const INTERVAL: u64 = 3_600_000_000_000;
/// Tokens in a bucket.
const BURST: u64 = 4;
const LIMIT: Limit = Limit {
    interval: INTERVAL,
    burst: BURST * INTERVAL,
    ban: 120_000_000_000,
};

fn limited(lb: &mut World, limit: Limit) {
    lb.limit = limit;
    for server in 1..=SERVERS {
        lb.set_server(server);
    }
    lb.listen(Pick::Next, &[1, 2, 3]);
}

/// A SYN from this client and port.
fn syn(lb: &World, client: IpAddr, port: u16) -> Packet {
    let mut syn = lb.syn(port);
    syn.src.set_ip(client);
    syn
}

#[track_caller]
fn opens(lb: &World, client: IpAddr, ports: std::ops::Range<u16>) {
    for port in ports {
        lb.started_by(&syn(lb, client, port));
    }
}

#[track_caller]
fn dropped(lb: &World, client: IpAddr, port: u16, reason: DropReason) {
    lb.send(&syn(lb, client, port)).dropped(reason);
}

fn address(client: IpAddr) -> u64 {
    match client {
        IpAddr::V4(v4) => limit::source_of_v4(v4.to_bits()),
        IpAddr::V6(v6) => limit::source_of_v6((v6.to_bits() >> 64) as u64),
    }
}

/// Where a source is in the table: its bucket's index and its place there.
fn place(lb: &World, client: IpAddr) -> (u32, Option<usize>) {
    let identity = identity(lb, client);
    let bucket = limit::place(identity, SOURCE_BUCKETS);
    let identities = lb.plane.sources().read(bucket).identities;
    (bucket, identities.iter().position(|i| *i == identity))
}

fn identity(lb: &World, client: IpAddr) -> u64 {
    limit::identity(
        lb.plane.sizes().hash_key,
        address(client),
        SERVICE_ID.into(),
    )
}

/// What is known of a source, to be changed.
#[track_caller]
fn source(lb: &World, client: IpAddr) -> *mut Source {
    let (bucket, place) = place(lb, client);
    let bucket: *mut SourceBucket = lb.plane.sources().pointer(bucket);
    // SAFETY: the pointer is into the mapping.
    unsafe { &raw mut (*bucket).sources[place.expect("the source is known")] }
}

fn standing(lb: &World, client: IpAddr) -> Standing {
    // SAFETY: the pointer is into the mapping.
    Standing(unsafe { (*source(lb, client)).standing })
}

/// Makes a source's times so many nanoseconds older.
fn age(lb: &World, client: IpAddr, nanos: u64) {
    let source = source(lb, client);
    // SAFETY: the pointer is into the mapping.
    unsafe {
        (*source).full_at = (*source).full_at.saturating_sub(nanos);
        (*source).standing = (*source).standing.saturating_sub(nanos);
    }
}

#[test]
fn no_more_than_the_bucket_holds() {
    world(|lb| {
        limited(lb, LIMIT);
        let client = lb.client(0).ip();
        opens(lb, client, 50_000..50_004);
        // In silence: a client that is not banned gets through when it tries again.
        dropped(lb, client, 50_004, DropReason::SourceLimit);
        dropped(lb, client, 50_005, DropReason::SourceLimit);
        // Others have a bucket of their own.
        opens(lb, lb.address(0x77, 1), 50_000..50_001);
        // A token grows.
        age(lb, client, INTERVAL);
        opens(lb, client, 50_004..50_005);
        dropped(lb, client, 50_005, DropReason::SourceLimit);
        // After a long rest there are as many as at first, and not more.
        age(lb, client, 10 * BURST * INTERVAL / 2);
        opens(lb, client, 50_010..50_014);
        dropped(lb, client, 50_014, DropReason::SourceLimit);
    });
}

#[test]
fn only_new_flows_are_counted() {
    world(|lb| {
        limited(lb, LIMIT);
        let conn = lb.open(50_000);
        for _ in 0..3 * BURST {
            lb.forward(&conn, &conn.from_client(ACK));
        }
        let half = lb.half_open(50_001);
        let again = syn(lb, half.client.ip(), 50_001);
        for _ in 0..BURST {
            lb.send(&again)
                .to_server(half.server, &half.at_server(&again));
        }
        opens(lb, conn.client.ip(), 50_002..50_004);
        dropped(lb, conn.client.ip(), 50_004, DropReason::SourceLimit);
        // Open flows of a source that may open no more go on.
        lb.forward(&conn, &conn.from_client(ACK));
    });
}

#[test]
fn without_a_limit_nobody_is_remembered() {
    world(|lb| {
        opens(lb, lb.client(0).ip(), 50_000..50_010);
        assert_eq!(place(lb, lb.client(0).ip()).1, None);
    });
}

#[test]
fn completed_flows_ban_a_source_that_wants_more() {
    world(|lb| {
        limited(lb, LIMIT);
        let client = lb.client(0).ip();
        let conns: Vec<_> = (50_000..50_004).map(|port| lb.open(port)).collect();
        assert_eq!(standing(lb, client).banned_until(), None);
        dropped(lb, client, 50_004, DropReason::SourceLimit);
        dropped(lb, client, 50_005, DropReason::SourceBanned);
        // Open flows go on, and what they do does not shorten the ban.
        for conn in &conns {
            lb.forward(conn, &conn.from_client(ACK));
        }
        // Not even with a full bucket is it let in.
        // SAFETY: the pointer is into the mapping.
        unsafe { (*source(lb, client)).full_at = 0 };
        dropped(lb, client, 50_005, DropReason::SourceBanned);
        opens(lb, lb.address(0x77, 1), 50_000..50_001);
        // SAFETY: as above. Nearly over, and over.
        unsafe { (*source(lb, client)).standing -= LIMIT.ban - 60_000_000_000 };
        dropped(lb, client, 50_005, DropReason::SourceBanned);
        // SAFETY: as above.
        unsafe { (*source(lb, client)).standing -= 120_000_000_000 };
        opens(lb, client, 50_005..50_009);
        dropped(lb, client, 50_009, DropReason::SourceLimit);
        assert_eq!(standing(lb, client).banned_until(), None);
    });
}

#[test]
fn forged_syns_ban_nobody() {
    world(|lb| {
        limited(lb, LIMIT);
        let client = lb.client(0).ip();
        // One real connection, and the rest of the bucket in its name.
        lb.open(50_000);
        opens(lb, client, 50_001..50_004);
        for port in 50_004..50_020 {
            dropped(lb, client, port, DropReason::SourceLimit);
        }
        assert_eq!(standing(lb, client).banned_until(), None);
        age(lb, client, INTERVAL);
        opens(lb, client, 50_020..50_021);
    });
}

#[test]
fn without_a_ban_a_source_only_waits() {
    world(|lb| {
        limited(lb, Limit { ban: 0, ..LIMIT });
        for port in 50_000..50_004 {
            lb.open(port);
        }
        let client = lb.client(0).ip();
        for port in 50_004..50_010 {
            dropped(lb, client, port, DropReason::SourceLimit);
        }
        age(lb, client, INTERVAL);
        opens(lb, client, 50_010..50_011);
    });
}

#[test]
fn an_ipv6_source_is_64_bits_and_an_ipv4_source_is_an_address() {
    world_of(Family::V6, Default::default(), |lb| {
        limited(lb, LIMIT);
        let client = |net: u16, host: u16| lb.address(net, host);
        for host in 1..=4 {
            opens(lb, client(0x77, host), 50_000..50_001);
        }
        dropped(lb, client(0x77, 5), 50_000, DropReason::SourceLimit);
        // `address` numbers /32 networks: this one differs in its last bit.
        opens(lb, client(0x76, 5), 50_000..50_001);
    });
    world_of(Family::V4, Default::default(), |lb| {
        limited(lb, LIMIT);
        for host in 1..=5 {
            opens(lb, lb.address(0x77, host), 50_000..50_001);
        }
    });
}

#[test]
fn the_source_that_owes_least_is_forgotten_first() {
    world(|lb| {
        limited(lb, LIMIT);
        let newcomer = lb.client(0).ip();
        let index = place(lb, newcomer).0;
        let now = u64::from(Plane::now()) << 20;
        let bucket = lb.plane.sources().pointer(index);
        let owing = |place: usize| Source {
            full_at: now + INTERVAL * (1 + place as u64 % BURST),
            service: SERVICE_ID.into(),
            ..Source::default()
        };
        let ban = Standing::banned(now, &LIMIT);
        for at in 0..BUCKET_SOURCES {
            // SAFETY: the pointer is into the mapping. No identity is this one: they are odd.
            unsafe {
                (*bucket).identities[at] = 4 + 2 * at as u64;
                (*bucket).sources[at] = Source {
                    standing: if at == 0 { ban.0 } else { 0 },
                    ..owing(at)
                };
            }
        }
        // Place 0 owes least but is banned; next comes 4.
        opens(lb, newcomer, 50_000..50_001);
        assert_eq!(place(lb, newcomer).1, Some(4));
        // SAFETY: as above.
        let known = unsafe { *source(lb, newcomer) };
        assert_eq!(known.address, address(newcomer));
        assert_eq!(known.service, u32::from(SERVICE_ID));
        assert_eq!(known.interval, INTERVAL);
        // One whose bucket is full again knows nothing worth keeping.
        // SAFETY: as above.
        unsafe {
            (*bucket).identities[4] = 0x100;
            (*bucket).sources[6].full_at = 1;
        }
        opens(lb, newcomer, 50_001..50_002);
        assert_eq!(place(lb, newcomer).1, Some(6));
    });
}

#[test]
fn bans_are_not_forgotten_and_strangers_not_kept_out() {
    world(|lb| {
        limited(lb, LIMIT);
        let newcomer = lb.client(0).ip();
        let index = place(lb, newcomer).0;
        let now = u64::from(Plane::now()) << 20;
        let bucket = lb.plane.sources().pointer(index);
        let identities: [u64; BUCKET_SOURCES] = std::array::from_fn(|at| 4 + 2 * at as u64);
        for at in 0..BUCKET_SOURCES {
            // SAFETY: the pointer is into the mapping.
            unsafe {
                (*bucket).identities[at] = identities[at];
                (*bucket).sources[at].standing = Standing::banned(now, &LIMIT).0;
            }
        }
        opens(lb, newcomer, 50_000..50_010);
        assert_eq!(lb.plane.sources().read(index).identities, identities);
        // A ban that is over makes room.
        // SAFETY: as above.
        unsafe { (*bucket).sources[3].standing = 1 };
        opens(lb, newcomer, 50_010..50_011);
        assert_eq!(place(lb, newcomer).1, Some(3));
    });
}

#[test]
fn where_completion_is_not_seen_wanting_more_is_enough_for_a_ban() {
    world(|lb| {
        lb.blind = true;
        limited(lb, LIMIT);
        let client = lb.client(0).ip();
        opens(lb, client, 50_000..50_004);
        dropped(lb, client, 50_004, DropReason::SourceLimit);
        dropped(lb, client, 50_005, DropReason::SourceBanned);
    });
}
