//! What must be so before anything is touched, each said in one sentence.

use std::fs;

use nix::net::if_::if_nametoindex;

/// The agent cannot start here.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nobody said where packets come in.
    #[error(
        "no interface to attach to: give --iface IF, or name them in dataplane.interfaces of the configuration"
    )]
    NoInterface,
    /// A name that is none.
    #[error("there is no interface {0} on this host")]
    MissingInterface(String),
    /// An ordinary user, or a container without capabilities.
    #[error(
        "lb needs root, or the capabilities {0}: it loads programs into the kernel and attaches them to interfaces"
    )]
    NoPrivilege(String),
}

/// Capabilities, as bits of a capability set (`linux/capability.h`).
const NEEDED: [(u32, &str); 3] = [(12, "CAP_NET_ADMIN"), (38, "CAP_PERFMON"), (39, "CAP_BPF")];
/// Stands for the last two.
const SYS_ADMIN: u32 = 21;

/// The interfaces exist, and this process may do what it will have to.
pub(crate) fn check(interfaces: &[String]) -> Result<(), Error> {
    if interfaces.is_empty() {
        return Err(Error::NoInterface);
    }
    for name in interfaces {
        if if_nametoindex(name.as_str()).is_err() {
            return Err(Error::MissingInterface(name.clone()));
        }
    }
    // Without /proc there is no telling; the kernel will say.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    match missing(&status) {
        missing if missing.is_empty() => Ok(()),
        missing => Err(Error::NoPrivilege(missing.join(", "))),
    }
}

/// Capabilities that a process with this `/proc/self/status` lacks.
fn missing(status: &str) -> Vec<&'static str> {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    let Some(effective) = effective else {
        return Vec::new();
    };
    let has = |bit: u32| effective >> bit & 1 == 1;
    let lacks = |bit: u32| !has(bit) && (bit < 38 || !has(SYS_ADMIN));
    let lacking = NEEDED.iter().filter(|(bit, _)| lacks(*bit));
    lacking.map(|(_, name)| *name).collect()
}

#[cfg(test)]
mod tests;
