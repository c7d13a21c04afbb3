//! How much room a configuration takes in maps that get their size when the programs are loaded.

use std::sync::Arc;

use lb_common::map::{ACCESS_NODES_MIN, SERVICE_DROPS_MIN, SERVICE_IDS_MAX};

use crate::access::{AccessList, trie};
use crate::config::Config;
use crate::model::Family;

/// One more than the largest service id: room for four times the services in `config`, as a service
/// that is removed keeps its id until its last flow has ended.
pub fn service_ids(config: &Config) -> u32 {
    let halves = 2 * config.services.len() as u32;
    halves
        .saturating_mul(4)
        .clamp(SERVICE_DROPS_MIN, SERVICE_IDS_MAX)
}

/// Nodes for the access lists of all services in `config`, three times over: for the list in use, the
/// one that takes its place, and that one's growth.
pub fn access_nodes(config: &Config) -> u32 {
    let mut lists: Vec<&Arc<AccessList>> = Vec::new();
    let mut nodes = 0_usize;
    for list in config.services.iter().filter_map(|s| s.access.as_ref()) {
        if lists.iter().any(|known| Arc::ptr_eq(known, list)) {
            continue;
        }
        lists.push(list);
        for family in [Family::V4, Family::V6] {
            nodes += trie(list, family).len();
        }
    }
    let nodes = u32::try_from(nodes).unwrap_or(u32::MAX);
    nodes.saturating_mul(3).max(ACCESS_NODES_MIN)
}
