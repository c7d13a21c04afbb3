//! Which flows a client of the control socket means.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use lb_common::flow::State;

use crate::config::Config;
use crate::config::prefix::prefix;
use crate::control::Selection;
use crate::dataplane::MemberId;
use crate::dataplane::kernel::FlowFilter;
use crate::reconcile::MemberKey;

/// The selection asks for what there is not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("there is no service `{0}`")]
    Service(String),
    #[error("there is no server `{0}`: servers are named POOL/SERVER")]
    Server(String),
    #[error("there is no state `{0}`: flows are {1}")]
    State(String, String),
    #[error("{0}")]
    Client(String),
}

/// Turns names into ids. What the configuration has and no flow can have yet is nothing, and no
/// error.
pub(super) fn filter(
    config: &Config,
    select: &Selection,
    members: &HashMap<MemberId, MemberKey>,
) -> Result<FlowFilter, Error> {
    if let Some(name) = &select.service {
        let configured = config.services.iter().any(|s| s.name.as_str() == name);
        let remembered = |key: &MemberKey| key.service.service.as_str() == name;
        if !configured && !members.values().any(remembered) {
            return Err(Error::Service(name.clone()));
        }
    }
    if let Some(name) = &select.server {
        let mut configured = config.pools.iter().flat_map(|pool| {
            let servers = pool.servers.iter();
            servers.map(|server| format!("{}/{}", pool.name, server.name))
        });
        let remembered = |key: &MemberKey| key.server.to_string() == *name;
        if !configured.any(|server| server == *name) && !members.values().any(remembered) {
            return Err(Error::Server(name.clone()));
        }
    }
    let named = select.service.is_some() || select.server.is_some();
    let wanted = |key: &MemberKey| {
        let service = select.service.as_deref();
        let server = select.server.as_deref();
        service.is_none_or(|name| key.service.service.as_str() == name)
            && server.is_none_or(|name| key.server.to_string() == name)
    };
    let wanted = || -> HashSet<_> {
        let wanted = members.iter().filter(|(_, key)| wanted(key));
        wanted.map(|(id, _)| *id).collect()
    };
    let client = select.client.as_deref();
    let client = client.map(|text| prefix(text).map_err(Error::Client));
    Ok(FlowFilter {
        members: named.then(wanted),
        client: client.transpose()?,
        state: select.state.as_deref().map(state).transpose()?,
        older_than: select.older_than_ms.map(Duration::from_millis),
    })
}

/// The state that this is the word for.
fn state(word: &str) -> Result<State, Error> {
    let states = || {
        let numbers = (0..=u8::MAX).map(State::from_u8);
        numbers.filter(|state| state.is_forward())
    };
    states().find(|state| state.name() == word).ok_or_else(|| {
        let words: Vec<_> = states().map(State::name).collect();
        Error::State(word.to_owned(), words.join(", "))
    })
}

/// `POOL/SERVER` and the service, as often as it is asked for them.
pub(super) fn names(key: &MemberKey) -> (Arc<str>, Arc<str>) {
    (
        key.server.to_string().into(),
        key.service.service.to_string().into(),
    )
}

#[cfg(test)]
mod tests;
