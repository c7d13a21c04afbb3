//! Access lists: what is configured, and the trie that the data path looks addresses up in.

mod trie;

use std::fmt;
use std::net::IpAddr;

pub use trie::trie;

use crate::model::Family;

/// An address and how many of its first bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// `None` if the length is more than the address has, or if a bit beyond it is set.
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let prefix = Self::containing(address, length)?;
        (prefix.address == address).then_some(prefix)
    }

    /// The prefix of this length that an address is in; `None` if the address has not so many bits.
    pub fn containing(address: IpAddr, length: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(v4) => {
                let beyond = 32_u32.checked_sub(length.into())?;
                let bits = v4.to_bits();
                let kept = bits.checked_shr(beyond).unwrap_or(0);
                IpAddr::V4(kept.checked_shl(beyond).unwrap_or(0).into())
            }
            IpAddr::V6(v6) => {
                let beyond = 128_u32.checked_sub(length.into())?;
                let bits = v6.to_bits();
                let kept = bits.checked_shr(beyond).unwrap_or(0);
                IpAddr::V6(kept.checked_shl(beyond).unwrap_or(0).into())
            }
        };
        Some(Self { address, length })
    }

    /// A single address.
    pub const fn host(address: IpAddr) -> Self {
        let length = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        Self { address, length }
    }

    /// Its first address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits count.
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// The family of its addresses.
    pub const fn family(&self) -> Family {
        match self.address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// Its first address as a number of 128 bits whose highest is the address's first; an IPv4 address
    /// fills the first 32.
    pub const fn bits(&self) -> u128 {
        match self.address {
            IpAddr::V4(v4) => (v4.to_bits() as u128) << 96,
            IpAddr::V6(v6) => v6.to_bits(),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// Who may open flows: of the prefixes that an address is in the longest decides, and where both
/// lists have it, `deny`. An address in none is admitted if there is no `allow`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessList {
    /// Absent: everyone but who is denied.
    pub allow: Option<Vec<Prefix>>,
    /// Nobody, if empty.
    pub deny: Vec<Prefix>,
}

impl AccessList {
    /// Whether it keeps any address of the family out, or may.
    pub fn restricts(&self, family: Family) -> bool {
        self.allow.is_some() || self.deny.iter().any(|prefix| prefix.family() == family)
    }

    /// Every prefix of the family, and whether it admits.
    fn prefixes(&self, family: Family) -> impl Iterator<Item = (Prefix, bool)> {
        let allow = self.allow.iter().flatten().map(|&prefix| (prefix, true));
        let deny = self.deny.iter().map(|&prefix| (prefix, false));
        allow
            .chain(deny)
            .filter(move |(prefix, _)| prefix.family() == family)
    }
}

#[cfg(test)]
mod tests;
