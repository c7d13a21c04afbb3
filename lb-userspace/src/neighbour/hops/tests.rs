use super::*;

const OLD: [u8; 6] = [2, 0, 0, 0, 0, 1];
const NEW: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn key() -> HopKey {
    HopKey {
        ifindex: 3,
        address: "192.0.2.9".parse().unwrap(),
    }
}

fn following() -> NextHops {
    let mut hops = NextHops::default();
    hops.follow(&BTreeSet::from([key()]));
    hops
}

#[test]
fn a_next_hop_is_asked_for_until_it_answers_and_confirmed_from_then_on() {
    let mut hops = following();
    assert_eq!(hops.mac(&key()), None);
    assert!(!hops.settled());
    assert_eq!(
        hops.observe(&key(), Entry::Absent),
        Some(Inquiry::Resolve),
        "at once"
    );
    assert_eq!(hops.observe(&key(), Entry::Absent), None, "once");
    assert_eq!(hops.observe(&key(), Entry::Resolving), None);
    assert_eq!(hops.refresh(), [(key(), Inquiry::Resolve)]);
    assert_eq!(hops.observe(&key(), Entry::Answered(OLD)), None);
    assert!(hops.settled());
    assert_eq!(hops.mac(&key()), Some(OLD));
    assert_eq!(
        hops.refresh(),
        [(key(), Inquiry::Confirm)],
        "also when the kernel is content"
    );
}

#[test]
fn a_server_that_moves_is_followed() {
    let mut hops = following();
    assert_eq!(hops.observe(&key(), Entry::Answered(OLD)), None);
    assert_eq!(hops.observe(&key(), Entry::Answered(NEW)), None);
    assert_eq!(hops.mac(&key()), Some(NEW));
}

#[test]
fn the_address_outlives_one_failed_inquiry_but_not_two() {
    let mut hops = following();
    let _ = hops.observe(&key(), Entry::Answered(OLD));
    hops.refresh();
    assert_eq!(
        hops.observe(&key(), Entry::Failed),
        Some(Inquiry::Resolve),
        "asked for at once"
    );
    assert_eq!(hops.mac(&key()), Some(OLD));
    assert_eq!(hops.observe(&key(), Entry::Resolving), None);
    assert_eq!(
        hops.mac(&key()),
        Some(OLD),
        "kept while the broadcast is out"
    );
    assert_eq!(
        hops.observe(&key(), Entry::Failed),
        None,
        "from here on at each refresh"
    );
    assert_eq!(hops.mac(&key()), None);
    assert_eq!(hops.refresh(), [(key(), Inquiry::Resolve)]);
}

#[test]
fn one_failure_reported_twice_counts_once() {
    let mut hops = following();
    let _ = hops.observe(&key(), Entry::Answered(OLD));
    hops.refresh();
    let _ = hops.observe(&key(), Entry::Failed);
    hops.hops.get_mut(&key()).unwrap().asked = false;
    let _ = hops.observe(&key(), Entry::Failed);
    assert_eq!(hops.mac(&key()), Some(OLD));
}

#[test]
fn an_answer_forgives_earlier_failures() {
    let mut hops = following();
    let _ = hops.observe(&key(), Entry::Answered(OLD));
    for _ in 0..5 {
        assert_eq!(hops.observe(&key(), Entry::Failed), Some(Inquiry::Resolve));
        assert_eq!(hops.observe(&key(), Entry::Answered(OLD)), None);
    }
    assert_eq!(hops.mac(&key()), Some(OLD));
}

#[test]
fn a_flushed_entry_is_asked_for_again_and_its_address_kept_meanwhile() {
    let mut hops = following();
    let _ = hops.observe(&key(), Entry::Answered(OLD));
    assert_eq!(hops.observe(&key(), Entry::Absent), Some(Inquiry::Resolve));
    assert_eq!(hops.mac(&key()), Some(OLD));
}

#[test]
fn what_an_administrator_has_set_is_left_alone() {
    let mut hops = following();
    assert_eq!(hops.observe(&key(), Entry::Fixed(OLD)), None);
    assert_eq!(hops.mac(&key()), Some(OLD));
    assert_eq!(hops.refresh(), []);
}

#[test]
fn others_neighbours_are_none_of_our_business() {
    let mut hops = following();
    let other = HopKey {
        ifindex: 4,
        ..key()
    };
    assert_eq!(hops.observe(&other, Entry::Failed), None);
    assert_eq!(hops.mac(&other), None);
    hops.follow(&BTreeSet::new());
    assert_eq!(hops.refresh(), []);
}
