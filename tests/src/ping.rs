//! ICMP echo.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};

use crate::netns::Namespace;

const ECHO_REQUEST_V4: u8 = 8;
const ECHO_REPLY_V4: u8 = 0;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;

/// Sends one echo request from `namespace` to `target` and waits for the reply.
pub fn ping(namespace: &Namespace, target: IpAddr, patience: Duration) -> Result<()> {
    // Everyone may open ICMP sockets there, on which the kernel does ids and checksums.
    namespace.sysctl("net/ipv4/ping_group_range", "0 2147483647")?;
    namespace
        .run(|| echo(target, patience))
        .with_context(|| format!("ping from {} to {target}", namespace.label()))
}

fn echo(target: IpAddr, patience: Duration) -> io::Result<()> {
    let (domain, protocol, request, expected) = match target {
        IpAddr::V4(_) => (
            Domain::IPV4,
            Protocol::ICMPV4,
            ECHO_REQUEST_V4,
            ECHO_REPLY_V4,
        ),
        IpAddr::V6(_) => (
            Domain::IPV6,
            Protocol::ICMPV6,
            ECHO_REQUEST_V6,
            ECHO_REPLY_V6,
        ),
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
    socket.set_read_timeout(Some(patience))?;
    socket.connect(&SocketAddr::new(target, 0).into())?;
    // type, code, checksum, id (both the kernel's), sequence number, data
    socket.send(&[request, 0, 0, 0, 0, 0, 0, 1, b'l', b'b'])?;
    let mut reply = [MaybeUninit::uninit(); 64];
    let length = socket.recv(&mut reply)?;
    // SAFETY: the kernel has written the first byte when it says that there is one.
    let kind = (length > 0).then(|| unsafe { reply[0].assume_init() });
    if kind == Some(expected) {
        Ok(())
    } else {
        Err(io::Error::other(format!("ICMP type {kind:?} came back")))
    }
}
