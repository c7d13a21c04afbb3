use proptest::prelude::*;

use super::*;

const STATES: [State; 11] = [
    State::Free,
    State::Claimed,
    State::HalfOpen,
    State::Answered,
    State::Open,
    State::ClientFin,
    State::ServerFin,
    State::Closed,
    State::Reset,
    State::Reply,
    State::Refused,
];

fn state() -> impl Strategy<Value = State> {
    proptest::sample::select(&STATES[..])
}

#[test]
fn states_survive_their_numbers() {
    for state in STATES {
        assert_eq!(State::from_u8(state as u8), state);
    }
    // Nobody touches what a newer version may have written.
    for unknown in STATES.len() as u8..=u8::MAX {
        assert_eq!(State::from_u8(unknown), State::Claimed);
    }
}

#[test]
fn what_states_are() {
    for state in STATES {
        let nobodys = matches!(state, State::Free | State::Claimed);
        assert_eq!(state.is_live(), !nobodys, "{state:?}");
        assert_eq!(state.is_forward(), !nobodys && state != State::Reply);
        assert!(!state.is_open() || state.is_active(), "{state:?}");
        assert!(!state.is_active() || state.is_forward(), "{state:?}");
        assert!(!(state.is_active() && state.is_over()), "{state:?}");
        let over = matches!(state, State::Closed | State::Reset | State::Refused);
        assert_eq!(state.is_over(), over, "{state:?}");
    }
}

#[test]
fn names_differ() {
    let names: std::collections::HashSet<_> = STATES.iter().map(|state| state.name()).collect();
    assert_eq!(names.len(), STATES.len());
}

#[test]
fn no_state_lives_longer_than_an_open_flow() {
    for state in STATES {
        for idle in [0, 1, time::ticks(20), time::ticks(86_400)] {
            assert!(state.timeout(idle) <= idle, "{state:?}");
        }
    }
    let day = time::ticks(86_400);
    assert_eq!(State::Open.timeout(day), day);
    // Linux retransmits a SYN after 1, 3, 7 and 15 s, and keeps TIME-WAIT for 60.
    assert!(State::HalfOpen.timeout(day) > time::ticks(15));
    assert!(State::Closed.timeout(day) >= time::ticks(60));
}

proptest! {
    #[test]
    fn a_words_parts(word: u64, to in state()) {
        let word = Word(word);
        let parts = u64::from(word.generation()) << 32 | u64::from(word.identity());
        prop_assert_eq!(parts, word.0 & !0xff);
        let moved = word.with(to);
        prop_assert_eq!(moved.state(), to);
        prop_assert_eq!(moved.0 >> 8, word.0 >> 8);
    }

    #[test]
    fn a_claim_is_new(word: u64, identity: u32) {
        let (word, identity) = (Word(word), identity & !0xff);
        let claimed = word.claimed(identity);
        prop_assert_eq!(claimed.state(), State::Claimed);
        prop_assert_eq!(claimed.identity(), identity);
        prop_assert_eq!(claimed.generation(), word.generation().wrapping_add(1));
    }

    #[test]
    fn a_slot_given_back_remembers_its_generation_only(word: u64) {
        let freed = Word(word).freed();
        prop_assert_eq!(freed.state(), State::Free);
        prop_assert_eq!(freed.identity(), 0);
        prop_assert_eq!(freed.generation(), Word(word).generation());
    }

    /// What a compare-and-exchange relies on: no word comes again before 2^32 claims.
    #[test]
    fn no_word_comes_again(start: u64, identities in proptest::collection::vec(any::<u32>(), 1..50)) {
        let mut seen = std::collections::HashSet::new();
        let mut word = Word(start).freed();
        for identity in identities {
            prop_assert!(seen.insert(word.0));
            word = word.claimed(identity & !0xff);
            prop_assert!(seen.insert(word.0));
            for state in &STATES[2..] {
                prop_assert!(seen.insert(word.with(*state).0));
            }
            word = word.freed();
        }
    }

    #[test]
    fn ports_are_as_they_lie_in_the_header(src: u16, dst: u16) {
        let packed = ports(src.to_be(), dst.to_be());
        let mut header = [0; 4];
        header[..2].copy_from_slice(&src.to_be_bytes());
        header[2..].copy_from_slice(&dst.to_be_bytes());
        prop_assert_eq!(packed.to_ne_bytes(), header);
        prop_assert_eq!(split_ports(packed), (src.to_be(), dst.to_be()));
    }

    #[test]
    fn a_key_reversed_twice_is_itself(src: u32, dst: u32, from: u16, to: u16) {
        let key = FlowKey { src, dst, ports: ports(from, to) };
        let back = key.reversed();
        prop_assert_eq!(split_ports(back.ports), (to, from));
        prop_assert_eq!((back.src, back.dst), (dst, src));
        prop_assert_eq!(back.reversed(), key);
    }

    #[test]
    fn origins_survive_packing(mac_head: u32, mac_tail: u16, ifindex: u16) {
        let origin = Origin { mac_head, mac_tail, ifindex };
        prop_assert_eq!(Origin::unpack(origin.pack()), origin);
    }
}

#[test]
fn a_flow_remembers_the_last_two_members_that_it_left() {
    let none = Tried::default();
    assert_eq!(none.count(), 0);
    let one = none.and(7);
    assert_eq!(
        (one.count(), one.contains(7), one.contains(8)),
        (1, true, false)
    );
    let two = one.and(9);
    assert_eq!(
        (two.count(), two.contains(7), two.contains(9)),
        (2, true, true)
    );
    let three = two.and(u16::MAX);
    assert_eq!(three.count(), 2);
    assert!(!three.contains(7) && three.contains(9) && three.contains(u16::MAX));
    assert_eq!(
        crate::service::REDISPATCHES,
        three.count(),
        "none is tried twice"
    );
}
