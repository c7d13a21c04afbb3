use proptest::prelude::*;

use super::*;

const FORWARD: [State; 7] = [
    State::HalfOpen,
    State::Answered,
    State::Open,
    State::ClientFin,
    State::ServerFin,
    State::Closed,
    State::Reset,
];

const OTHER: Segment = Segment {
    flags: ACK,
    fits: true,
    proves: false,
    exact: false,
};

/// Every state with every segment in either direction.
fn every() -> impl Iterator<Item = (State, Direction, Segment)> {
    FORWARD.into_iter().flat_map(|state| {
        [Direction::Forward, Direction::Reply]
            .into_iter()
            .flat_map(move |direction| {
                (0..=u8::MAX).flat_map(move |flags| {
                    (0..8).map(move |bits| {
                        let segment = Segment {
                            flags,
                            fits: bits & 1 != 0,
                            proves: bits & 2 != 0,
                            exact: bits & 4 != 0,
                        };
                        (state, direction, segment)
                    })
                })
            })
    })
}

/// How far a flow is along its life: it never goes back.
fn rank(state: State) -> u8 {
    match state {
        State::HalfOpen => 0,
        State::Answered => 1,
        State::Open => 2,
        State::ClientFin | State::ServerFin => 3,
        State::Closed => 4,
        _ => 5,
    }
}

#[test]
fn a_life() {
    use Direction::{Forward, Reply};
    let segment = |flags| Segment { flags, ..OTHER };
    let proof = Segment {
        proves: true,
        ..OTHER
    };
    let mut state = State::HalfOpen;
    for (direction, segment, expected) in [
        (Forward, segment(SYN), State::HalfOpen),
        (Forward, segment(ACK), State::HalfOpen),
        (Reply, segment(SYN | ACK), State::Answered),
        (Reply, segment(SYN | ACK), State::Answered),
        (Forward, segment(ACK), State::Answered),
        (Forward, proof, State::Open),
        (Forward, segment(SYN), State::Open),
        (Reply, segment(ACK), State::Open),
        (Reply, segment(FIN | ACK), State::ServerFin),
        (Reply, segment(FIN | ACK), State::ServerFin),
        (Forward, segment(ACK), State::ServerFin),
        (Forward, segment(FIN | ACK), State::Closed),
        (Reply, segment(ACK), State::Closed),
        (Reply, segment(RST), State::Closed),
    ] {
        state = next(state, direction, segment);
        assert_eq!(state, expected, "{direction:?} {segment:?}");
    }
}

#[test]
fn no_flow_goes_back() {
    for (state, direction, segment) in every() {
        let next = next(state, direction, segment);
        assert!(next.is_forward(), "{state:?} {direction:?} {segment:?}");
        assert!(
            rank(next) >= rank(state),
            "{state:?} {direction:?} {segment:?}"
        );
    }
}

#[test]
fn only_the_clients_proof_opens() {
    for (state, direction, segment) in every() {
        let unproved = matches!(state, State::HalfOpen | State::Answered);
        if unproved && next(state, direction, segment).is_open() {
            assert_eq!((state, direction), (State::Answered, Direction::Forward));
            assert!(
                segment.proves && segment.flags & (SYN | RST) == 0,
                "{segment:?}"
            );
        }
    }
}

#[test]
fn only_an_exact_rst_resets() {
    for (state, direction, segment) in every() {
        if state != State::Reset && next(state, direction, segment) == State::Reset {
            assert!(
                segment.exact && segment.flags & RST != 0,
                "{state:?} {segment:?}"
            );
            let unproved = matches!(state, State::HalfOpen | State::Answered);
            assert!(
                !unproved || direction == Direction::Reply,
                "{state:?} {segment:?}"
            );
        }
    }
}

#[test]
fn only_a_fin_that_fits_closes() {
    for (state, direction, segment) in every() {
        let next = next(state, direction, segment);
        if next != state && matches!(next, State::ClientFin | State::ServerFin | State::Closed) {
            assert!(segment.fits && segment.flags & FIN != 0);
            assert!(segment.flags & (SYN | RST) == 0);
            match next {
                State::ClientFin => assert_eq!(direction, Direction::Forward),
                State::ServerFin => assert_eq!(direction, Direction::Reply),
                _ => assert!(matches!(state, State::ClientFin | State::ServerFin)),
            }
        }
    }
}

/// Nothing that can be sent without seeing the connection ends or shortens it.
#[test]
fn a_stranger_changes_nothing() {
    for (state, direction, segment) in every() {
        let stranger = !segment.fits && !segment.proves && !segment.exact;
        if stranger && state.is_open() {
            assert_eq!(next(state, direction, segment), state, "{segment:?}");
        }
    }
}

#[test]
fn states_of_no_flow_stay() {
    for (_, direction, segment) in every() {
        // Callers sort these out; nothing may come of it if one does not.
        for state in [State::Free, State::Claimed, State::Reply] {
            let next = next(state, direction, segment);
            assert!(next == state || next == State::Reset && segment.exact);
        }
    }
}

proptest! {
    #[test]
    fn positions_go_forward_by_at_most_a_window(recorded: u32, seen: u32) {
        let now = advance(recorded, seen);
        prop_assert!(now == recorded || now == seen);
        prop_assert!(now.wrapping_sub(recorded) <= WINDOW);
    }

    #[test]
    fn positions_follow(recorded: u32, step in 0..=WINDOW) {
        prop_assert_eq!(advance(recorded, recorded.wrapping_add(step)), recorded.wrapping_add(step));
    }

    #[test]
    fn positions_do_not_go_back(recorded: u32, step in 1..=u32::MAX - WINDOW - 1) {
        prop_assert_eq!(advance(recorded, recorded.wrapping_sub(step)), recorded);
    }

    #[test]
    fn near_is_a_window_either_way(recorded: u32, distance: u32) {
        let expected = distance <= WINDOW;
        if distance <= u32::MAX / 2 {
            prop_assert_eq!(near(recorded, recorded.wrapping_add(distance)), expected);
            prop_assert_eq!(near(recorded, recorded.wrapping_sub(distance)), expected);
        }
    }

    #[test]
    fn near_edges(recorded: u32) {
        prop_assert!(near(recorded, recorded.wrapping_add(WINDOW)));
        prop_assert!(near(recorded, recorded.wrapping_sub(WINDOW)));
        prop_assert!(!near(recorded, recorded.wrapping_add(WINDOW + 1)));
        prop_assert!(!near(recorded, recorded.wrapping_sub(WINDOW + 1)));
    }
}

#[test]
fn a_syn_of_its_own_begins_anew_where_nobody_is_at_home() {
    let position = 0x1000_0001;
    let again = 0x1000_0000;
    for isn in [again + 1, again - 0x1_0000, 0x2000_0000, 0xf000_0000] {
        assert!(begins_anew(State::HalfOpen, position, isn, 0));
        assert!(begins_anew(State::Answered, position, isn, GIVEN_UP));
        assert!(!begins_anew(State::Answered, position, isn, GIVEN_UP - 1));
        for open in [State::Open, State::ClientFin, State::ServerFin] {
            assert!(!begins_anew(open, position, isn, u32::MAX));
        }
    }
    // The same again, and the same of which the data came with the first only.
    for state in [State::HalfOpen, State::Answered] {
        assert!(!begins_anew(state, position, again, u32::MAX));
        assert!(!begins_anew(state, position + 1_400, again, u32::MAX));
    }
    for over in [State::Closed, State::Reset] {
        assert!(begins_anew(over, position, again, 0));
    }
}
