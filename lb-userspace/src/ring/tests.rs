mod maglev;
mod slices;
mod smooth;

use std::net::SocketAddr;

use super::{Identity, Share};

/// A share of the `number`th server of an imaginary pool; its slots hold the number.
fn share(number: u16, weight: u16) -> Share<u16> {
    Share {
        identity: Identity::of(SocketAddr::from((
            [10, 0, (number >> 8) as u8, number as u8],
            5432,
        ))),
        weight,
        value: number,
    }
}

fn shares(weights: &[u16]) -> Vec<Share<u16>> {
    (0..)
        .zip(weights)
        .map(|(number, &weight)| share(number, weight))
        .collect()
}

fn count(ring: &[u16], server: u16) -> usize {
    ring.iter().filter(|slot| **slot == server).count()
}

#[test]
fn an_identity_is_the_address_and_port_and_nothing_else() {
    let of = |text: &str| Identity::of(text.parse().unwrap());
    assert_eq!(of("10.0.0.1:80"), of("[::ffff:10.0.0.1]:80"));
    assert_ne!(of("10.0.0.1:80"), of("10.0.0.1:81"));
    assert_ne!(of("10.0.0.1:80"), of("10.0.0.2:80"));
    assert_ne!(of("[2001:db8::1]:80"), of("[2001:db8:0:1::1]:80"));
    // Another version of this program must agree, or an upgrade moves every client.
    assert_eq!(
        format!("{:x?}", of("10.0.0.1:80")),
        "Identity(4afeb18b0afd4d0a)"
    );
}
