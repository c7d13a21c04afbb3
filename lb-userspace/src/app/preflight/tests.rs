use super::*;

fn of(effective: u64) -> Vec<&'static str> {
    missing(&format!(
        "Name:\tlb\nCapPrm:\t0\nCapEff:\t{effective:016x}\nCapBnd:\t0\n"
    ))
}

#[test]
fn root_lacks_nothing() {
    assert_eq!(of(0x1ff_ffff_ffff), [""; 0]);
}

#[test]
fn an_ordinary_user_lacks_everything() {
    assert_eq!(of(0), ["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"]);
}

#[test]
fn the_old_capability_for_everything_stands_for_the_new_ones() {
    assert_eq!(of(1 << SYS_ADMIN), ["CAP_NET_ADMIN"]);
    assert_eq!(of(1 << SYS_ADMIN | 1 << 12), [""; 0]);
}

#[test]
fn where_the_kernel_does_not_tell_nothing_is_refused() {
    assert_eq!(missing(""), [""; 0]);
}

#[test]
fn interfaces_are_asked_for_and_must_exist() {
    assert_eq!(check(&[]), Err(Error::NoInterface));
    let missing = Error::MissingInterface("nosuch0".to_owned());
    assert_eq!(
        check(&["lo".to_owned(), "nosuch0".to_owned()]),
        Err(missing)
    );
}
