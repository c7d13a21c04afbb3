//! Prefixes as the configuration writes them: `10.0.0.0/8`, `2001:db8::/32`, or an address alone.

use std::net::{IpAddr, Ipv4Addr};

use crate::access::Prefix;

/// Why a text is no prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PrefixError {
    #[error("this is not a prefix")]
    Malformed,
    #[error("an address with a port is not a prefix")]
    Port,
    #[error("addresses with a zone (`%`) are not supported")]
    Zone,
    #[error("the length of this prefix is at most {0}")]
    TooLong(u8),
    #[error("bits beyond the prefix's length are set")]
    HostBits { address: IpAddr, meant: Prefix },
    #[error("an IPv4 prefix in IPv6 form")]
    Mapped(Ipv4Addr),
}

impl PrefixError {
    /// What to write instead.
    pub(super) fn hint(&self) -> Option<String> {
        match self {
            Self::Malformed => {
                Some("for example 10.0.0.0/8, \"2001:db8::/32\", or an address".to_owned())
            }
            Self::Port => Some("write the address alone".to_owned()),
            Self::HostBits { address, meant } => Some(format!(
                "write {meant}, or {address} for that address alone"
            )),
            Self::Mapped(v4) => Some(format!("write it as IPv4, with {v4}")),
            Self::Zone | Self::TooLong(_) => None,
        }
    }
}

/// An address and its length in bits, or an address alone.
pub(super) fn parse(text: &str) -> Result<Prefix, PrefixError> {
    if text.contains('%') {
        return Err(PrefixError::Zone);
    }
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| {
        if address.parse::<std::net::SocketAddr>().is_ok() {
            PrefixError::Port
        } else {
            PrefixError::Malformed
        }
    })?;
    if let IpAddr::V6(v6) = address
        && let Some(v4) = v6.to_ipv4_mapped()
    {
        return Err(PrefixError::Mapped(v4));
    }
    let Some(length) = length else {
        return Ok(Prefix::host(address));
    };
    // `u8` would also read "+8".
    if length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
        return Err(PrefixError::Malformed);
    }
    let most = Prefix::host(address).length();
    let meant = length
        .parse()
        .ok()
        .and_then(|length| Prefix::containing(address, length))
        .ok_or(PrefixError::TooLong(most))?;
    if meant.address() == address {
        Ok(meant)
    } else {
        Err(PrefixError::HostBits { address, meant })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        for text in [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.6.6.6/32",
            "255.255.255.255/32",
            "::/0",
            "2001:db8::/32",
            "2001:db8::1/128",
            "fe80::/10",
            "127.0.0.0/8",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(parse("10.6.6.6").unwrap().to_string(), "10.6.6.6/32");
        assert_eq!(parse("2001:db8::1").unwrap().to_string(), "2001:db8::1/128");
        assert_eq!(
            parse("2001:DB8:0::/48").unwrap().to_string(),
            "2001:db8::/48"
        );
    }

    #[test]
    fn what_is_no_prefix() {
        for text in [
            "",
            "/",
            "10/8",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "all",
            "*",
            "10.0.0.0/8/8",
        ] {
            assert_eq!(parse(text), Err(PrefixError::Malformed), "{text}");
        }
        assert_eq!(parse("10.0.0.0/33"), Err(PrefixError::TooLong(32)));
        assert_eq!(parse("::/129"), Err(PrefixError::TooLong(128)));
        assert_eq!(parse("10.0.0.0/999"), Err(PrefixError::TooLong(32)));
        assert_eq!(parse("10.0.0.1:80"), Err(PrefixError::Port));
        assert_eq!(parse("fe80::%eth0/10"), Err(PrefixError::Zone));
        let mapped = parse("::ffff:10.0.0.0/104").unwrap_err();
        assert_eq!(mapped.hint().unwrap(), "write it as IPv4, with 10.0.0.0");
        let bits = parse("10.0.0.1/8").unwrap_err();
        assert_eq!(
            bits.hint().unwrap(),
            "write 10.0.0.0/8, or 10.0.0.1 for that address alone"
        );
        assert!(parse("0.0.0.1/0").is_err());
        assert!(parse("2001:db8::1/64").is_err());
    }
}
