//! Networks as people write them.

use std::net::IpAddr;

use ipnet::IpNet;

/// `10.0.0.0/8`, `2001:db8::/32`, or an address, which is a network of its own.
///
/// Bits beyond the length must be zero: `10.0.0.1/8` is more often a slip than a network.
pub fn prefix(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let net: IpNet = text.parse().map_err(|_| {
        format!("{text:?} is neither an address nor a network like 10.0.0.0/8 or 2001:db8::/32")
    })?;
    match net.trunc() {
        whole if whole == net => Ok(net),
        whole => Err(format!(
            "{text:?} has bits set beyond its length: {whole} is the network"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::prefix;

    #[test]
    fn networks_and_addresses() {
        for (text, is) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("192.0.2.1", "192.0.2.1/32"),
            ("192.0.2.1/32", "192.0.2.1/32"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("2001:db8::1", "2001:db8::1/128"),
        ] {
            assert_eq!(prefix(text).unwrap().to_string(), is);
        }
    }

    #[test]
    fn what_is_none() {
        let slip = prefix("10.0.0.1/8").unwrap_err();
        assert!(slip.contains("10.0.0.0/8"), "{slip}");
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0",
            "10.0.0.0/",
            "::/129",
            "host",
            "10.0.0.0/-1",
        ] {
            assert!(prefix(text).unwrap_err().contains("10.0.0.0/8"), "{text}");
        }
    }
}
