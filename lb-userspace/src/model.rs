//! Names, ids and weights.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use lb_common::service::Mode;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps a name that the configuration has validated.
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

name!(
    /// Name of a pool, unique in a configuration.
    PoolName
);
name!(
    /// Name of a server, unique in its pool.
    ServerName
);
name!(
    /// Name of a service, unique in a configuration.
    ServiceName
);

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub const fn of(address: &SocketAddr) -> Self {
        match address {
            SocketAddr::V4(_) => Self::V4,
            SocketAddr::V6(_) => Self::V6,
        }
    }

    /// Whether a service's half of this family can use a server at `address`: nothing translates
    /// between families, but a tunnel's inner and outer packet may be of different ones.
    pub const fn reaches(self, address: &SocketAddr, mode: Mode) -> bool {
        mode.tunnels()
            || matches!(
                (self, address),
                (Self::V4, SocketAddr::V4(_)) | (Self::V6, SocketAddr::V6(_))
            )
    }
}

/// The half of a service that has one address family: the listening addresses that are of it, and
/// the servers that it reaches ([`Family::reaches`]). Each half has a ring of its own, and is what
/// the data path knows as a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceHalf {
    /// The service.
    pub service: ServiceName,
    /// The family.
    pub family: Family,
}

impl fmt::Display for ServiceHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.family {
            Family::V4 => write!(f, "{}", self.service),
            Family::V6 => write!(f, "{} (IPv6)", self.service),
        }
    }
}

/// One server of one pool: `POOL/SERVER` on the command line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerKey {
    /// Its pool.
    pub pool: PoolName,
    /// Its name there.
    pub server: ServerName,
}

impl fmt::Display for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.pool, self.server)
    }
}

/// A server as the data path knows it: two services that forward to one address in different modes
/// have two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RealKey {
    /// Where its flows go.
    pub address: SocketAddr,
    /// How packets reach it.
    pub mode: Mode,
}

impl fmt::Display for RealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mode {
            Mode::Nat => write!(f, "{}", self.address),
            mode => write!(f, "{} ({})", self.address, mode.name()),
        }
    }
}

/// A server's share of new flows relative to the other servers of its pool: 0 to 256. At 0 a
/// server keeps its open flows and gets no new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Weight(u16);

impl Weight {
    /// HAProxy's largest weight.
    pub const MAX: u16 = 256;

    /// `None` above [`Self::MAX`].
    pub const fn new(weight: u16) -> Option<Self> {
        if weight <= Self::MAX {
            Some(Self(weight))
        } else {
            None
        }
    }

    /// The number.
    pub const fn as_u16(self) -> u16 {
        self.0
    }
}
