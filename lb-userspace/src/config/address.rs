//! Addresses as the configuration writes them: only those that packets can be sent to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Why a text is no address that can be used here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AddressError {
    #[error("listening on every address is not supported yet")]
    Anything,
    #[error("host names are not supported yet")]
    HostName,
    #[error("addresses with a zone (`%`) are not supported")]
    Zone,
    #[error("the port is missing")]
    PortMissing,
    #[error("a port is from 1 to 65535")]
    BadPort,
    #[error("a port has no place here")]
    PortGiven,
    #[error("an IPv6 address with a port needs brackets")]
    Brackets,
    #[error("this is not an IP address")]
    Malformed,
    #[error("an IPv4 address in IPv6 form")]
    Mapped(Ipv4Addr),
    #[error("this stands for no address in particular")]
    Unspecified,
    #[error("this is a loopback address: XDP does not see traffic inside a host")]
    Loopback,
    #[error("this is a multicast address")]
    Multicast,
    #[error("this is the broadcast address")]
    Broadcast,
    #[error("this is a link-local address: it means nothing without an interface")]
    LinkLocal,
}

impl AddressError {
    /// What to write instead.
    pub(super) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Anything | Self::Unspecified => "write the address itself",
            Self::HostName => "write an IP address",
            Self::PortMissing => "for example \"10.0.5.10:5432\" or \"[2001:db8::10]:5432\"",
            Self::PortGiven => "write the address alone",
            Self::Brackets => "for example \"[2001:db8::10]:5432\"",
            Self::Mapped(address) => return Some(format!("write {address}")),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// `ADDRESS:PORT`, IPv6 in brackets.
pub(super) fn socket(text: &str) -> Result<SocketAddr, AddressError> {
    if text.contains('%') {
        return Err(AddressError::Zone);
    }
    if text
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_ipv4())
        || text
            .strip_prefix('[')
            .and_then(|t| t.strip_suffix(']'))
            .is_some()
    {
        return Err(AddressError::PortMissing);
    }
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| classify(text, AddressError::PortMissing))?;
    if matches!(host, "*" | "") {
        return Err(AddressError::Anything);
    }
    let address = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(inside) => inside
            .parse()
            .map(IpAddr::V6)
            .map_err(|_| AddressError::Malformed)?,
        None if host.contains(':') => return Err(AddressError::Brackets),
        None => {
            let v4 = host.parse().map(IpAddr::V4);
            v4.map_err(|_| classify(host, AddressError::Malformed))?
        }
    };
    usable(address)?;
    // `u16` would also read "+80".
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    match port.parse() {
        Ok(0) | Err(_) => Err(AddressError::BadPort),
        Ok(_) if !digits => Err(AddressError::BadPort),
        Ok(port) => Ok(SocketAddr::new(address, port)),
    }
}

/// An address without port.
pub(super) fn ip(text: &str) -> Result<IpAddr, AddressError> {
    if text.contains('%') {
        return Err(AddressError::Zone);
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .unwrap_or(text);
    match bare.parse() {
        Ok(address) => usable(address),
        Err(_) if text.parse::<SocketAddr>().is_ok() => Err(AddressError::PortGiven),
        Err(_) => Err(classify(text, AddressError::Malformed)),
    }
}

/// A name is told from a mistyped address by its letters.
fn classify(host: &str, otherwise: AddressError) -> AddressError {
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let letter = host.contains(|c: char| c.is_ascii_alphabetic());
    if letter && host.chars().all(name) {
        AddressError::HostName
    } else {
        otherwise
    }
}

/// Refuses what no packet can be forwarded to or received on.
fn usable(address: IpAddr) -> Result<IpAddr, AddressError> {
    if address.is_unspecified() {
        return Err(AddressError::Unspecified);
    }
    if address.is_loopback() {
        return Err(AddressError::Loopback);
    }
    if address.is_multicast() {
        return Err(AddressError::Multicast);
    }
    match address {
        IpAddr::V4(v4) if v4.is_broadcast() => Err(AddressError::Broadcast),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => Err(AddressError::Mapped(v4)),
            None if v6.is_unicast_link_local() => Err(AddressError::LinkLocal),
            None => Ok(address),
        },
        IpAddr::V4(_) => Ok(address),
    }
}
