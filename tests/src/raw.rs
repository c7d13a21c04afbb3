//! Whole Ethernet frames, as an interface sends and sees them.

use std::io;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};

use crate::netns::Namespace;

/// A packet socket on one interface. It sees what XDP has let pass, and sends past the stack.
#[derive(Debug)]
pub struct RawSocket {
    socket: Socket,
}

impl RawSocket {
    /// Opens one on interface `name`.
    pub fn open(namespace: &Namespace, name: &str) -> Result<Self> {
        let index = namespace.ifindex(name)?;
        namespace
            .run(|| {
                // Of all protocols, from the moment it is bound.
                let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
                socket.bind(&link_address(index))?;
                io::Result::Ok(Self { socket })
            })
            .with_context(|| format!("{}: packet socket on {name}", namespace.label()))
    }

    /// Sends a frame out.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.socket.send(frame).map(drop)
    }

    /// Waits for a frame for which `wanted` holds, in either direction; `None` if there is none
    /// within `patience`.
    pub fn find(
        &self,
        patience: Duration,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> io::Result<Option<Vec<u8>>> {
        let end = Instant::now() + patience;
        let mut buffer = [MaybeUninit::uninit(); 65_536];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket.set_read_timeout(Some(left))?;
            match self.socket.recv(&mut buffer) {
                Ok(length) => {
                    let frame = &buffer[..length];
                    // SAFETY: the kernel has written `length` bytes, and u8 has no invalid values.
                    let frame = unsafe { &*(&raw const *frame as *const [u8]) };
                    if wanted(frame) {
                        return Ok(Some(frame.to_vec()));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

/// The packet(7) address of everything on interface `index`.
fn link_address(index: u32) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: the storage is large enough for every address family, and zeroes are a valid
    // sockaddr_ll.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index as i32;
    // SAFETY: the structure written is of the length and family given.
    unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as libc::socklen_t) }
}
