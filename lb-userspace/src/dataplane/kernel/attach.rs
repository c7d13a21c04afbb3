//! Putting the program on interfaces.

use std::fmt;
use std::io;

use aya::programs::xdp::XdpError;
use aya::programs::{ProgramError, Xdp, XdpMode as AyaMode};
use lb_common::map;

use super::load::program;
use super::offload::{self, Offload};
use super::{Kernel, LoadError};
use crate::config::XdpMode;

/// An interface that the program is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Its name when it was attached to.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// How.
    pub mode: Mode,
}

/// Where the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, before the kernel makes anything of the frame.
    Driver,
    /// In the kernel's generic receive path: works with any driver, and is slower.
    Generic,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Driver => "driver",
            Self::Generic => "generic",
        })
    }
}

/// The program could not be attached to an interface.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The configuration names what this host does not have.
    #[error("there is no interface {0} here; `ip link` lists those there are")]
    NoInterface(String),
    /// Its index is beyond what the maps hold.
    #[error(
        "interface {name} has index {index}; lb can use interfaces with an index below {limit}"
    )]
    HighIndex {
        /// The interface.
        name: String,
        /// Its index.
        index: u32,
        /// One more than the largest index.
        limit: u32,
    },
    /// Somebody else's program, or another lb, is there.
    #[error(
        "interface {0} has an XDP program already (another lb, or another tool): stop that, or remove it with `ip link set dev {0} xdp off`"
    )]
    Busy(String),
    /// The process may not.
    #[error("attaching to interface {0} is not permitted: run lb as root (or with CAP_NET_ADMIN)")]
    NotPermitted(String),
    /// The driver cannot, and generic mode was not asked for.
    #[error(
        "interface {name} cannot run XDP in its driver: {source}. Set dataplane.xdp_mode (or --xdp-mode) to auto or generic"
    )]
    NoDriverMode {
        /// The interface.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Frames may be too long for one page.
    #[error(
        "interface {name} has an MTU of {mtu}: XDP takes about 3,500 there. Lower it with `ip link set dev {name} mtu 1500`"
    )]
    LargeMtu {
        /// The interface.
        name: String,
        /// Its MTU.
        mtu: u32,
    },
    /// Generic mode sees packets that the card or the kernel has joined.
    #[error(
        "interface {name} would run XDP in generic mode, where packets arrive joined while {offloads} is on; switch it off with `ethtool -K {name} {command}`"
    )]
    Offloads {
        /// The interface.
        name: String,
        /// What is on.
        offloads: String,
        /// Arguments that switch it off.
        command: String,
    },
    /// Anything else.
    #[error("attaching to interface {name}: {source}")]
    Other {
        /// The interface.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Our fault.
    #[error(transparent)]
    Object(#[from] LoadError),
}

impl Kernel {
    /// Attaches the program to the interface called `name`. In mode `auto` it goes to the generic
    /// path where the driver cannot, with a warning.
    pub fn attach(&mut self, name: &str, mode: XdpMode) -> Result<Mode, AttachError> {
        let attached = attach(program(&mut self.ebpf, map::PROGRAM)?, name, mode)?;
        let mode = attached.mode;
        // One of this name is gone: the kernel has detached what was there.
        self.interfaces.retain(|known| known.name != name);
        self.interfaces.push(attached);
        Ok(mode)
    }
}

/// Attaches `program` to the interface called `name`: it stays until `program` is dropped. In mode
/// `auto` it goes to the generic path where the driver cannot, with a warning.
pub fn attach(program: &mut Xdp, name: &str, mode: XdpMode) -> Result<Attached, AttachError> {
    let index = nix::net::if_::if_nametoindex(name)
        .map_err(|_| AttachError::NoInterface(name.to_owned()))?;
    if index >= map::PORTS_MAX {
        return Err(AttachError::HighIndex {
            name: name.to_owned(),
            index,
            limit: map::PORTS_MAX,
        });
    }
    let mode = match mode {
        XdpMode::Generic => attach_generic(program, name, index)?,
        XdpMode::Driver => attach_driver(program, name, index)?,
        XdpMode::Auto => match attach_driver(program, name, index) {
            Err(AttachError::NoDriverMode { source, .. }) => {
                tracing::warn!(
                    "interface {name} cannot run XDP in its driver ({source}): using generic \
                     mode, which works and is slower"
                );
                attach_generic(program, name, index)?
            }
            result => result?,
        },
    };
    Ok(Attached {
        name: name.to_owned(),
        index,
        mode,
    })
}

fn attach_driver(program: &mut Xdp, name: &str, index: u32) -> Result<Mode, AttachError> {
    attach_in(program, name, index, AyaMode::Driver)?;
    Ok(Mode::Driver)
}

fn attach_generic(program: &mut Xdp, name: &str, index: u32) -> Result<Mode, AttachError> {
    let on = offload::joining(name);
    if !on.is_empty() {
        let words = |word: fn(&Offload) -> &'static str, between| {
            on.iter().map(word).collect::<Vec<_>>().join(between)
        };
        return Err(AttachError::Offloads {
            name: name.to_owned(),
            offloads: words(Offload::name, " and "),
            command: words(Offload::switch_off, " "),
        });
    }
    attach_in(program, name, index, AyaMode::Skb)?;
    Ok(Mode::Generic)
}

fn attach_in(program: &mut Xdp, name: &str, index: u32, mode: AyaMode) -> Result<(), AttachError> {
    let source = match program.attach_to_if_index(index, mode) {
        // The link stays with the program, which detaches when it is dropped.
        Ok(_link) => return Ok(()),
        Err(ProgramError::SyscallError(error)) => error.io_error,
        Err(ProgramError::XdpError(XdpError::NetlinkError(error))) => match error.raw_os_error() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => io::Error::other(error.to_string()),
        },
        Err(error) => io::Error::other(error.to_string()),
    };
    let name = name.to_owned();
    Err(match source.raw_os_error() {
        Some(libc::EBUSY | libc::EEXIST) => AttachError::Busy(name),
        Some(libc::EPERM | libc::EACCES) => AttachError::NotPermitted(name),
        Some(libc::ENODEV) => AttachError::NoInterface(name),
        Some(libc::ERANGE) => AttachError::LargeMtu {
            mtu: offload::mtu(&name).unwrap_or(0),
            name,
        },
        _ if mode == AyaMode::Driver => AttachError::NoDriverMode { name, source },
        _ => AttachError::Other { name, source },
    })
}
