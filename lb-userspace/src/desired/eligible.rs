//! Which servers of a pool get new flows.

use lb_common::service::Mode;

use crate::config::{Backups, Check, Pool, Server};
use crate::health::HealthView;
use crate::model::{Family, ServerKey};

/// The servers of `pool` that get a service's new flows of one address family, in the order of the configuration:
/// those that are up, enabled and have a weight; while there is no other, the backups of which the
/// same is true.
///
/// A pool whose servers are all drained by weight 0 has none left, and its backups take over: as
/// with HAProxy, what counts is whether somebody else can take a new flow.
pub fn eligible<'a>(
    pool: &'a Pool,
    family: Family,
    mode: Mode,
    health: &HealthView,
) -> impl Iterator<Item = &'a Server> {
    let usable = |server: &&Server| {
        family.reaches(&server.address, mode)
            && server.enabled
            && server.weight.as_u16() > 0
            && is_up(pool, server, health)
    };
    let usable: Vec<&Server> = pool.servers.iter().filter(usable).collect();
    let backups_only = usable.iter().all(|server| server.backup);
    let limit = match pool.backups {
        Backups::First if backups_only => 1,
        _ => usize::MAX,
    };
    usable
        .into_iter()
        .filter(move |server| server.backup == backups_only)
        .take(limit)
}

fn is_up(pool: &Pool, server: &Server, health: &HealthView) -> bool {
    match server.check {
        // Never probed, so nobody may have an opinion.
        Check::None => true,
        Check::Probe(_) => health.is_up(&ServerKey {
            pool: pool.name.clone(),
            server: server.name.clone(),
        }),
    }
}
