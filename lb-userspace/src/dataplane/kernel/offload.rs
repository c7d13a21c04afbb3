//! What an interface does to packets before generic XDP sees them.

use std::mem;
use std::os::fd::AsRawFd;

use socket2::{Domain, Socket, Type};

/// Something that joins packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offload {
    /// Generic receive offload, in the kernel.
    Gro,
    /// Large receive offload, in the card.
    Lro,
}

impl Offload {
    /// What people call it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Gro => "GRO",
            Self::Lro => "LRO",
        }
    }

    /// Arguments of `ethtool -K` that switch it off.
    pub(super) fn switch_off(&self) -> &'static str {
        match self {
            Self::Gro => "gro off",
            Self::Lro => "lro off",
        }
    }
}

// linux/ethtool.h
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETHTOOL_GGRO: u32 = 0x2b;
const ETH_FLAG_LRO: u32 = 1 << 15;

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// What on the interface called `name` joins packets. An interface that cannot be asked has
/// nothing that does.
pub(super) fn joining(name: &str) -> Vec<Offload> {
    let mut on = Vec::new();
    if ask(name, ETHTOOL_GGRO).is_some_and(|value| value != 0) {
        on.push(Offload::Gro);
    }
    if ask(name, ETHTOOL_GFLAGS).is_some_and(|flags| flags & ETH_FLAG_LRO != 0) {
        on.push(Offload::Lro);
    }
    on
}

/// The interface's MTU.
pub(super) fn mtu(name: &str) -> Option<u32> {
    let (socket, mut request) = request(name)?;
    // SAFETY: the request is valid, and the kernel writes nothing but its union.
    unsafe {
        if libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFMTU as _, &raw mut request) != 0 {
            return None;
        }
        u32::try_from(request.ifr_ifru.ifru_mtu).ok()
    }
}

fn ask(name: &str, command: u32) -> Option<u32> {
    let (socket, mut request) = request(name)?;
    let mut value = Value { command, data: 0 };
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: the request points to a value that outlives the call.
    let result =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) };
    (result == 0).then_some(value.data)
}

/// Any socket of this network namespace, and a request with the interface's name.
fn request(name: &str) -> Option<(Socket, libc::ifreq)> {
    let socket = Socket::new(Domain::UNIX, Type::DGRAM, None).ok()?;
    // SAFETY: all zeroes is a valid request.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // The last byte stays zero.
    if name.len() >= request.ifr_name.len() {
        return None;
    }
    for (to, &from) in request.ifr_name.iter_mut().zip(name.as_bytes()) {
        *to = from as libc::c_char;
    }
    Some((socket, request))
}
