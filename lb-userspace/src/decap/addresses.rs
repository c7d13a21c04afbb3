//! Which addresses tunnels may end at, and which may be inside.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

/// Of the networks that this host takes for its own, those that packets from the wire can be for:
/// not loopback's.
pub(super) fn reachable(local: Vec<IpNet>) -> BTreeSet<IpNet> {
    let local = local.into_iter();
    local.filter(|net| !net.addr().is_loopback()).collect()
}

/// What tunnelled packets may be for: `vips`, those that are this host's; any of its own where none
/// are named.
pub(super) fn inside(here: &BTreeSet<IpNet>, vips: &BTreeSet<IpAddr>) -> BTreeSet<IpNet> {
    if vips.is_empty() {
        return here.clone();
    }
    let is_here = |vip: &&IpAddr| here.iter().any(|net| net.contains(*vip));
    vips.iter().filter(is_here).map(|&vip| vip.into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> BTreeSet<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn loopback_is_not_reached_from_the_wire() {
        let local = nets(&[
            "127.0.0.0/8",
            "127.0.0.1/32",
            "::1/128",
            "10.0.0.1/32",
            "fe80::1/128",
        ]);
        let reached = nets(&["10.0.0.1/32", "fe80::1/128"]);
        assert_eq!(reachable(local.into_iter().collect()), reached);
    }

    #[test]
    fn without_names_every_own_address_may_be_inside() {
        let here = nets(&["10.0.0.1/32", "2001:db8::/64"]);
        assert_eq!(inside(&here, &BTreeSet::new()), here);
    }

    #[test]
    fn names_narrow_and_never_widen() {
        let here = nets(&["10.0.0.1/32", "10.0.0.2/32", "2001:db8::/64"]);
        let vips = ["10.0.0.2", "2001:db8::7", "192.0.2.1"].map(|vip| vip.parse().unwrap());
        let expected = nets(&["10.0.0.2/32", "2001:db8::7/128"]);
        assert_eq!(inside(&here, &BTreeSet::from(vips)), expected);
    }
}
