//! The table of sources as the agent reads it: through memory, without stopping anybody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use lb_common::limit::{BUCKET_SOURCES, CLAIMED, FREE, SourceBucket, Standing};

use super::{Mapping, flows};
use crate::access::Prefix;
use crate::dataplane::ServiceId;
use crate::dataplane::ids::Id;
use crate::model::Family;

/// The table; clones read the same memory.
#[derive(Clone, Debug)]
pub struct Sources(Arc<Mapping<SourceBucket>>);

/// A source that may open no flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Of which service.
    pub service: ServiceId,
    address: u64,
    /// For how long yet.
    pub left: Duration,
}

impl Ban {
    /// Who is banned. The table does not say which family an address is of; the service does.
    pub fn source(&self, family: Family) -> Option<Prefix> {
        match family {
            Family::V4 => {
                let address = Ipv4Addr::from_bits(u32::try_from(self.address).ok()?);
                Some(Prefix::host(IpAddr::V4(address)))
            }
            Family::V6 => {
                let address = Ipv6Addr::from_bits(u128::from(self.address) << 64);
                Prefix::new(IpAddr::V6(address), 64)
            }
        }
    }
}

impl Sources {
    pub(super) fn new(table: Mapping<SourceBucket>) -> Self {
        Self(Arc::new(table))
    }

    /// Every source that is banned now, in the order of the table, which means nothing.
    pub fn bans(&self) -> Vec<Ban> {
        let now = flows::coarse_nanos();
        let mut bans = Vec::new();
        for bucket in (0..self.0.len()).filter_map(|index| self.0.read(index)) {
            for (identity, source) in bucket.identities.into_iter().zip(bucket.sources) {
                if matches!(identity, FREE | CLAIMED) {
                    continue;
                }
                let left = Standing(source.standing)
                    .banned_until()
                    .map_or(0, |until| until.saturating_sub(now));
                let service = u16::try_from(source.service).ok().and_then(ServiceId::new);
                if let Some(service) = service.filter(|_| left > 0) {
                    bans.push(Ban {
                        service,
                        address: source.address,
                        left: Duration::from_nanos(left),
                    });
                }
            }
        }
        bans
    }

    /// Forgets every source of a service that no packet is counted for.
    pub(super) fn forget(&self, service: ServiceId) {
        for index in 0..self.0.len() {
            let (Some(bucket), Some(pointer)) = (self.0.read(index), self.0.pointer(index)) else {
                continue;
            };
            for place in 0..BUCKET_SOURCES {
                if bucket.sources[place].service == u32::from(service.number()) {
                    // SAFETY: inside the mapping. A program that claims the place for another
                    // source at this very moment loses that source, which then starts anew.
                    unsafe {
                        (&raw mut (*pointer).identities[place]).write_volatile(FREE);
                    }
                }
            }
        }
    }
}
