use super::*;

const STATES: [State; 7] = [
    State::HalfOpen,
    State::Answered,
    State::Open,
    State::ClientFin,
    State::ServerFin,
    State::Closed,
    State::Reset,
];
const DIRECTIONS: [Direction; 2] = [Direction::Forward, Direction::Reply];

/// Whoever follows the events of any flow, by whatever way through its states, sees it open before
/// it ends, and each once.
#[test]
fn a_flow_opens_and_ends_in_turn() {
    for from in STATES {
        for to in STATES {
            for direction in DIRECTIONS {
                let told = of_segment(from, to, direction);
                let expected = match (from.is_open(), to.is_open()) {
                    (false, true) => Some(Kind::Opened),
                    (true, false) => Some(Kind::Closed),
                    _ => None,
                };
                match told {
                    Some((Kind::Closed, Reason::Refused)) => assert!(
                        matches!(from, State::HalfOpen | State::Answered) && to == State::Reset
                    ),
                    told => assert_eq!(told.map(|(kind, _)| kind), expected, "{from:?} {to:?}"),
                }
            }
        }
    }
}

#[test]
fn reasons_say_who_ended_it() {
    use Direction::{Forward, Reply};
    let cases = [
        (State::ClientFin, State::Closed, Reply, Reason::Fin),
        (State::ServerFin, State::Closed, Forward, Reason::Fin),
        (State::Open, State::Reset, Forward, Reason::ClientReset),
        (State::Open, State::Reset, Reply, Reason::ServerReset),
        (State::ClientFin, State::Reset, Reply, Reason::ServerReset),
        (State::HalfOpen, State::Reset, Reply, Reason::Refused),
    ];
    for (from, to, direction, reason) in cases {
        assert_eq!(
            of_segment(from, to, direction),
            Some((Kind::Closed, reason)),
            "{from:?} {to:?}"
        );
    }
    assert_eq!(
        of_segment(State::Answered, State::Open, Forward),
        Some((Kind::Opened, Reason::None))
    );
}

#[test]
fn numbers_stand_for_what_they_stand_for() {
    for reason in Reason::ALL {
        assert_eq!(Reason::from_u8(reason as u8), Some(reason));
    }
    assert_eq!(Reason::from_u8(Reason::None as u8), None);
    for kind in [Kind::Opened, Kind::Closed] {
        assert_eq!(Kind::from_u8(kind as u8), Some(kind));
    }
    assert_eq!(Kind::from_u8(0), None);
    assert_ne!(Kind::Opened.bit(), Kind::Closed.bit());
}
