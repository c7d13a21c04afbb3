//! Checksum offload.

use std::ffi::CString;
use std::io;
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use socket2::{Domain, Socket, Type};

use super::Namespace;

// linux/sockios.h and linux/ethtool.h
const SIOCETHTOOL: libc::c_ulong = 0x8946;
const ETHTOOL_SRXCSUM: u32 = 0x15;
const ETHTOOL_STXCSUM: u32 = 0x17;

/// `struct ethtool_value` of linux/ethtool.h.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

impl Namespace {
    /// Turns checksum offload of interface `name` off, both ways.
    ///
    /// A veth with offload leaves checksums unfinished, as the two stacks trust each other. Frames
    /// that XDP sends on lose the mark that says so, and would arrive with wrong sums. Receive
    /// offload off makes the stack verify what it gets.
    pub(super) fn disable_checksum_offload(&self, name: &str) -> Result<()> {
        self.run(|| {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
            ethtool_set(&socket, name, ETHTOOL_STXCSUM)?;
            ethtool_set(&socket, name, ETHTOOL_SRXCSUM)
        })
        .with_context(|| format!("{}: cannot turn checksum offload of {name} off", self.label))
    }
}

fn ethtool_set(socket: &Socket, interface: &str, command: u32) -> io::Result<()> {
    let mut value = EthtoolValue { command, data: 0 };
    // SAFETY: ifreq is plain old data; all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let name = CString::new(interface)?;
    for (to, from) in request.ifr_name.iter_mut().zip(name.to_bytes()) {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: SIOCETHTOOL takes an ifreq whose data points to the command's structure, an
    // ethtool_value for these commands; both outlive the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &mut request) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
