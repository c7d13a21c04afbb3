use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::csum;

/// Addresses as they lie in memory.
fn loaded(v6: Ipv6Addr) -> [u64; 2] {
    let octets = v6.octets();
    let (words, _) = octets.as_chunks::<8>();
    [u64::from_ne_bytes(words[0]), u64::from_ne_bytes(words[1])]
}

proptest! {
    #[test]
    fn ipv4_is_mapped_and_back(v4: u32) {
        prop_assert_eq!(unmapped(mapped(v4)), Some(v4));
    }

    #[test]
    fn mapped_is_what_the_standard_library_maps(octets: [u8; 4]) {
        let v6 = Ipv4Addr::from(octets).to_ipv6_mapped();
        prop_assert_eq!(mapped(u32::from_ne_bytes(octets)), narrow(loaded(v6)));
    }

    #[test]
    fn only_mapped_addresses_are_unmapped(addr: [u32; 4]) {
        if let Some(v4) = unmapped(addr) {
            prop_assert_eq!(mapped(v4), addr);
        }
    }

    #[test]
    fn narrow_and_wide_are_the_same_bytes(octets: [u8; 16]) {
        let wide = loaded(Ipv6Addr::from(octets));
        prop_assert_eq!(widen(narrow(wide)), wide);
        let bytes = narrow(wide).map(u32::to_ne_bytes);
        prop_assert_eq!(bytes.as_flattened(), octets);
    }

    #[test]
    fn sums_are_those_of_the_bytes(v4: [u8; 4], v6: [u8; 16]) {
        let v4_sum = csum::fold(u32::from_ne_bytes(v4).sum());
        prop_assert_eq!(v4_sum, csum::fold(csum::sum(&v4)));
        let v6_sum = csum::fold(loaded(Ipv6Addr::from(v6)).sum());
        prop_assert_eq!(v6_sum, csum::fold(csum::sum(&v6)));
    }
}

#[test]
fn other_addresses_are_not_mapped() {
    for text in [
        "::",
        "::1",
        "::10.0.0.1",
        "64:ff9b::10.0.0.1",
        "1::ffff:10.0.0.1",
    ] {
        let v6: Ipv6Addr = text.parse().expect("an address");
        assert_eq!(unmapped(narrow(loaded(v6))), None, "{text}");
    }
}
