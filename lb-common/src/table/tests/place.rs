use proptest::prelude::*;

use super::super::Place;
use crate::flow::{FlowKey, Transport, Word};
use crate::hash::HashKey;

proptest! {
    #[test]
    fn two_buckets_inside_the_table(src: u32, dst: u32, ports: u32, buckets in 1_u32.., k: u64) {
        let key = FlowKey { src, dst, ports };
        let place = Place::new(HashKey::new(k, !k), &key, Transport::Tcp, buckets);
        prop_assert!(place.first < buckets && place.second < buckets);
        prop_assert!(place.first != place.second || buckets == 1);
    }

    #[test]
    fn also_in_small_tables(src: [u64; 2], ports: u32, buckets in 1_u32..9) {
        let key = FlowKey { src, dst: [1, 2], ports };
        let place = Place::new(HashKey::new(3, 5), &key, Transport::Tcp, buckets);
        prop_assert!(place.first < buckets && place.second < buckets);
        prop_assert!(place.first != place.second || buckets == 1);
    }

    #[test]
    fn transports_are_told_apart(src: u32, dst: u32, ports: u32) {
        let key = FlowKey { src, dst, ports };
        let place = |transport| Place::new(HashKey::new(1, 1), &key, transport, 64);
        let (tcp, udp) = (place(Transport::Tcp), place(Transport::Udp));
        prop_assert_ne!(tcp.identity, udp.identity);
        // As a word holds it: the state's bits are zero, and the transport is never zero, so that
        // no entry has the identity of a free slot.
        for identity in [tcp.identity, udp.identity] {
            prop_assert_eq!(Word(0).claimed(identity).identity(), identity);
            prop_assert_ne!(identity, 0);
        }
    }
}
