//! Tunnels to servers: the headers that are put before a client's packet, and what whoever takes
//! them off again has to look at.
//!
//! * `ipip`: an IP header alone (RFC 2003; RFC 4213 and RFC 2473 where IPv6 is inside or outside).
//!   The server's network card sees two addresses and no ports, so what differs between flows is put
//!   into the outer source address, and over IPv6 into the flow label too.
//! * `gue`: Generic UDP Encapsulation, variant 1 (draft-ietf-intarea-gue, section 4): an IP and a UDP
//!   header, and the client's packet follows at once. Flows differ in the UDP source port. It is what
//!   Katran sends, and what `ip fou add port 6080 gue` of Linux takes.
//!
//! Words are as they stand in the packet: made to be stored with one access of their width.

mod ecn;

use crate::addr::{Address, widen};
use crate::csum;
use crate::flow::ports;
use crate::service::Mode;

pub use ecn::decapsulated_class;

/// Destination port of GUE (IANA), host order.
pub const GUE_PORT: u16 = 6080;

/// IP protocol number of IPv4 in IP.
pub const PROTOCOL_IPV4: u8 = 4;
/// IP protocol number of IPv6 in IP.
pub const PROTOCOL_IPV6: u8 = 41;
/// IP protocol number of UDP.
pub const PROTOCOL_UDP: u8 = 17;

/// Bytes of an IPv4 header without options.
pub const IPV4: u32 = 20;
/// Bytes of an IPv6 header without extension headers.
pub const IPV6: u32 = 40;
/// Bytes of a UDP header.
pub const UDP: u32 = 8;
/// Bytes of a GUE header of version 0 without optional fields.
pub const GUE: u32 = 4;

/// TTL or hop limit of outer headers: what Linux gives packets of its own.
pub const OUTER_HOPS: u8 = 64;

/// Bytes that tunnelling adds, towards a server of address family `family` (4 or 6). Zero for modes
/// that are no tunnels.
#[inline(always)]
pub const fn overhead(mode: Mode, family: u16) -> u32 {
    let ip = if family == 4 { IPV4 } else { IPV6 };
    match mode {
        Mode::Ipip => ip,
        Mode::Gue => ip + UDP,
        Mode::Nat | Mode::Dnat | Mode::Dsr => 0,
    }
}

/// The MTU that clients are told when the largest outer packet has `mtu` bytes: what fits inside.
#[inline(always)]
pub const fn inner_mtu(mtu: u32, mode: Mode, family: u16) -> u32 {
    mtu.saturating_sub(overhead(mode, family))
}

/// The outer source address for a flow with this hash: the bits of `spread` (in network order, of
/// the address's last word) are the flow's, the rest is `prefix`'s.
#[inline(always)]
pub const fn source(prefix: [u32; 4], spread: u32, hash: u32) -> [u32; 4] {
    let [a, b, c, d] = prefix;
    [a, b, c, d & !spread | hash & spread]
}

/// The IPv6 flow label for a flow with this hash: never 0, which means none (RFC 6437, section 2).
#[inline(always)]
pub const fn flow_label(hash: u32) -> u32 {
    match hash & 0xf_ffff {
        0 => 1,
        label => label,
    }
}

/// The UDP source port for a flow with this hash, host order: one of 49152 to 65535, as the GUE
/// draft (section 5.6.1) asks for.
#[inline(always)]
pub const fn source_port(hash: u32) -> u16 {
    0xc000 | (hash >> 18) as u16
}

/// An outer IPv4 header. `protocol` is what follows it, `length` the whole packet's.
///
/// Never to be fragmented (DF), since whoever takes the tunnel off cannot put fragments together. A
/// datagram that cannot be fragmented needs no identification (RFC 6864, section 4.1).
#[inline(always)]
pub const fn ipv4(src: u32, dst: u32, protocol: u8, class: u8, length: u16) -> [u32; 5] {
    let first = (0x4500_0000 | (class as u32) << 16 | length as u32).to_be();
    let second = 0x0000_4000_u32.to_be();
    let third = ((OUTER_HOPS as u32) << 24 | (protocol as u32) << 16).to_be();
    let sum = first as u64 + second as u64 + third as u64 + src as u64 + dst as u64;
    // The checksum is the second half of the third word.
    [first, second, third | ports(0, !csum::fold(sum)), src, dst]
}

/// An outer IPv6 header. `next` is what follows it, `payload` the length of that.
#[inline(always)]
pub const fn ipv6(
    src: [u32; 4],
    dst: [u32; 4],
    next: u8,
    class: u8,
    label: u32,
    payload: u16,
) -> [u32; 10] {
    let first = (6 << 28 | (class as u32) << 20 | label).to_be();
    let second = ((payload as u32) << 16 | (next as u32) << 8 | OUTER_HOPS as u32).to_be();
    let ([a, b, c, d], [e, f, g, h]) = (src, dst);
    [first, second, a, b, c, d, e, f, g, h]
}

/// GUE's UDP header. `length` counts itself and what follows; `check` is 0 (not used), or what
/// [`udp_check_v6`] gives.
#[inline(always)]
pub const fn udp(source: u16, length: u16, check: u16) -> [u32; 2] {
    [
        ports(source.to_be(), GUE_PORT.to_be()),
        ((length as u32) << 16).to_be() | ports(0, check),
    ]
}

/// The checksum of GUE's UDP header over IPv6, where `inner` is the sum of the packet inside: from
/// [`sum_of_ipv4`] or [`sum_of_ipv6`].
#[inline(always)]
pub fn udp_check_v6(src: [u32; 4], dst: [u32; 4], source: u16, length: u16, inner: u16) -> u16 {
    let header = udp(source, length, 0);
    let sum = widen(src).sum()
        + widen(dst).sum()
        + (length.to_be() as u64 + (PROTOCOL_UDP as u16).to_be() as u64)
        + (header[0] as u64 + header[1] as u64)
        + inner as u64;
    match !csum::fold(sum) {
        // Zero would mean that there is none (RFC 768).
        0 => 0xffff,
        check => check,
    }
}

/// The sum of a whole IPv4 packet whose header and transport checksums are right, without reading
/// what they cover: a header with its checksum sums to nothing, and a transport with its checksum to
/// the complement of its pseudo-header. `length` is the transport's, its header included.
///
/// Should a checksum be wrong, so will be what is made of this: the receiver finds out.
#[inline(always)]
pub fn sum_of_ipv4(src: u32, dst: u32, protocol: u8, length: u16) -> u16 {
    !csum::fold(src.sum() + dst.sum() + pseudo(protocol, length))
}

/// As [`sum_of_ipv4`] for IPv6 without extension headers. `head` is the header's first eight bytes;
/// the addresses are in the header and in the complement of the pseudo-header, and cancel out.
#[inline(always)]
pub fn sum_of_ipv6(head: [u32; 2], protocol: u8, length: u16) -> u16 {
    let rest = !csum::fold(pseudo(protocol, length));
    csum::fold(head[0] as u64 + head[1] as u64 + rest as u64)
}

#[inline(always)]
const fn pseudo(protocol: u8, length: u16) -> u64 {
    (protocol as u16).to_be() as u64 + length.to_be() as u64
}

/// What follows GUE's UDP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gue {
    /// An IP packet at once (variant 1): the IP protocol number that it would have without UDP.
    Direct(u8),
    /// A GUE header of [`GUE`] bytes, and then what this IP protocol number says (version 0).
    Header(u8),
    /// A control message, optional fields, or a version that does not exist.
    Unknown,
}

/// Reads the four bytes that follow GUE's UDP header.
#[inline(always)]
pub const fn gue(head: [u8; 4]) -> Gue {
    match head {
        [0x40..=0x4f, ..] => Gue::Direct(PROTOCOL_IPV4),
        [0x60..=0x6f, ..] => Gue::Direct(PROTOCOL_IPV6),
        // Version 0, no control message, no optional fields, no flags.
        [0, protocol, 0, 0] => Gue::Header(protocol),
        _ => Gue::Unknown,
    }
}

#[cfg(test)]
mod tests;
