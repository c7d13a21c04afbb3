use std::collections::HashSet;

use super::{Memory, PROOFS, Proof, Seen, choose, cookie, proves, repeats_allowed, source, syn};
use crate::flow::{FlowKey, ports};
use crate::load::table_capacity;
use crate::siphash::Key;
use crate::time::ticks;

const SECRET: Key = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
const NOW: u32 = 0x1234_5678;

fn key4(src: u32, port: u16) -> FlowKey<u32> {
    FlowKey {
        src,
        dst: 0x0a00_0001,
        ports: ports(port, 5432),
    }
}

fn key6(site: u64, host: u64) -> FlowKey<[u64; 2]> {
    FlowKey {
        src: [site, host],
        dst: [1, 2],
        ports: ports(1, 2),
    }
}

#[test]
fn a_cookie_proves_its_own_flow_and_no_other() {
    let cookie = cookie(SECRET, &key4(1, 2), NOW, 0);
    assert!(proves(SECRET, &key4(1, 2), NOW, cookie));
    assert!(!proves(SECRET, &key4(2, 2), NOW, cookie));
    assert!(!proves(SECRET, &key4(1, 3), NOW, cookie));
    assert!(!proves([SECRET[0], 0], &key4(1, 2), NOW, cookie));
    assert!(!proves(SECRET, &key4(1, 2), NOW, cookie.wrapping_add(1)));
    assert!(!proves(SECRET, &key4(1, 2), NOW, cookie.wrapping_sub(2)));
}

#[test]
fn a_cookie_is_good_for_seconds() {
    for now in [NOW, 0, u32::MAX, u32::MAX - ticks(5)] {
        let cookie = cookie(SECRET, &key6(1, 2), now, 0);
        for (age, good) in [(0, true), (8, true), (18, false), (3_600, false)] {
            let then = now.wrapping_add(ticks(age));
            assert_eq!(
                proves(SECRET, &key6(1, 2), then, cookie),
                good,
                "{now:#x} {age} s"
            );
        }
    }
}

/// The client would take it for a server's answer and be connected to nobody.
#[test]
fn a_cookie_is_never_the_acknowledgement_that_the_client_waits_for() {
    let usual = cookie(SECRET, &key4(1, 2), NOW, 0);
    let isn = usual.wrapping_sub(1);
    let other = cookie(SECRET, &key4(1, 2), NOW, isn);
    assert_ne!(other, isn.wrapping_add(1));
    assert!(proves(SECRET, &key4(1, 2), NOW, other));
}

#[test]
fn cookies_are_unlike_each_other() {
    let cookies: HashSet<_> = (0..10_000)
        .map(|n| cookie(SECRET, &key4(n, 2), NOW, 0))
        .collect();
    assert!(cookies.len() > 9_990);
}

#[test]
fn a_source_is_an_ipv4_address_or_an_ipv6_site() {
    assert_ne!(source(SECRET, 1_u32), source(SECRET, 2_u32));
    assert_eq!(source(SECRET, [1, 2]), source(SECRET, [1, 3]));
    assert_ne!(source(SECRET, [1, 2]), source(SECRET, [2, 2]));
    assert_ne!(source(SECRET, 1_u32), source(SECRET, [1, 0]));
}

#[test]
fn a_proof_is_good_for_a_minute() {
    let source = source(SECRET, 1_u32);
    let proof = Proof::new(source, NOW);
    assert!(proof.is_of(source));
    assert!(!proof.is_of(source ^ 1));
    assert!(!Proof::default().is_of(0));
    for (age, good) in [(0, true), (59, true), (70, false), (3_600, false)] {
        let then = NOW.wrapping_add(ticks(age));
        assert_eq!(proof.spend(then).is_some(), good, "{age} s");
    }
}

#[test]
fn a_proof_is_good_for_so_many_connections() {
    let mut proof = Proof::new(7, NOW);
    let mut spent = 0;
    while let Some(rest) = proof.spend(NOW) {
        assert!(rest.is_of(7));
        proof = rest;
        spent += 1;
    }
    assert_eq!(spent, 4_096);
}

#[test]
fn a_new_proof_takes_its_own_place_else_an_empty_one_else_the_oldest() {
    let old = Proof::new(1, NOW.wrapping_sub(ticks(50)));
    let young = Proof::new(2, NOW);
    let place = |among: [Proof; PROOFS as usize], source| {
        let mut best = 0;
        for i in 1..among.len() {
            if choose(among[best], among[i], source, NOW) {
                best = i;
            }
        }
        best
    };
    let mut among = [young; 8];
    among[5] = old;
    assert_eq!(place(among, 3), 5);
    among[6] = Proof::default();
    assert_eq!(place(among, 3), 6);
    among[7] = Proof::new(3, NOW);
    assert_eq!(place(among, 3), 7);
}

#[test]
fn a_syn_passes_when_it_comes_again_in_time() {
    let hash = syn(SECRET, &key4(1, 2), 77);
    for now in [NOW, u32::MAX] {
        let Seen::New(memory) = Memory::default().look(hash, now) else {
            panic!("an empty memory knows nothing");
        };
        let at = |millis: u32| memory.look(hash, now.wrapping_add(ticks(1) * millis / 1_000));
        assert_eq!(at(0), Seen::Known);
        assert_eq!(at(500), Seen::Known);
        assert_eq!(at(1_100), Seen::Again);
        assert_eq!(at(3_100), Seen::Again);
        assert_eq!(at(7_500), Seen::Again);
        assert!(matches!(at(15_000), Seen::New(_)));
        // Another ISN is another connection.
        let other = syn(SECRET, &key4(1, 2), 78);
        let later = now.wrapping_add(ticks(1));
        assert!(matches!(memory.look(other, later), Seen::New(_)));
    }
}

#[test]
fn repeated_syns_cannot_fill_half_a_table() {
    for buckets in [64, 4_682, 299_594] {
        for cpus in [1, 2, 64] {
            let each = repeats_allowed(buckets, cpus);
            assert!(each >= 1);
            if u64::from(cpus) * 64 < table_capacity(buckets) {
                let held = u64::from(each) * u64::from(cpus) * 30;
                assert!(
                    held < table_capacity(buckets) / 2,
                    "{buckets} {cpus}: {held}"
                );
            }
        }
    }
    assert_eq!(repeats_allowed(0, 0), 1);
}
