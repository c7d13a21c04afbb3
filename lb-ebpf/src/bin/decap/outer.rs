//! The outer headers: is it a tunnel that ends here, and where does the packet inside begin?

use lb_common::addr;
use lb_common::csum;
use lb_common::decap::{Fate, PrefixKey};
use lb_common::tunnel::{
    GUE, GUE_PORT, Gue, IPV4, IPV6, PROTOCOL_IPV4, PROTOCOL_IPV6, PROTOCOL_UDP, UDP, gue,
};

use crate::view::{ETHERNET, View};
use crate::{Inside, Stop, permitted};

/// A tunnel's head.
pub(crate) struct Outer {
    /// What takes it off: [`Fate::Ipip`] or [`Fate::Gue`].
    pub(crate) kind: Fate,
    /// What is inside.
    pub(crate) inside: Inside,
    /// Where in the frame that begins.
    pub(crate) offset: usize,
    /// Bytes from there to the outer packet's end.
    pub(crate) room: usize,
    /// The outer traffic class.
    pub(crate) class: u8,
}

/// An outer IP header.
struct Ip {
    src: PrefixKey,
    dst: PrefixKey,
    protocol: u8,
    class: u8,
    /// Bytes of the header.
    header: usize,
    /// Bytes that follow it in the packet, as it says.
    payload: usize,
    /// Fragments, options: what this program does not look through.
    plain: bool,
    /// Version, lengths and checksum agree.
    sound: bool,
}

/// Reads the outer headers of a frame of `length` bytes.
#[inline(always)]
pub(crate) fn outer(view: &View, length: usize) -> Result<Outer, Stop> {
    if !view.has(ETHERNET + IPV4 as usize) {
        return Err(Stop::NoTunnel);
    }
    // SAFETY: the Ethernet header is there.
    match u16::from_be(unsafe { view.load(12) }) {
        0x0800 => tunnel(view, length, v4(view)),
        0x86dd if view.has(ETHERNET + IPV6 as usize) => tunnel(view, length, v6(view)),
        _ => Err(Stop::NoTunnel),
    }
}

#[inline(always)]
fn tunnel(view: &View, length: usize, ip: Ip) -> Result<Outer, Stop> {
    let udp = match ip.protocol {
        PROTOCOL_IPV4 | PROTOCOL_IPV6 => false,
        PROTOCOL_UDP => true,
        _ => return Err(Stop::NoTunnel),
    };
    let start = ETHERNET + ip.header;
    if udp {
        // Of a datagram in pieces or behind options, who knows the port?
        if !ip.plain || !view.has(start + (UDP + GUE) as usize) {
            return Err(Stop::NoTunnel);
        }
        // SAFETY: both headers are there.
        if u16::from_be(unsafe { view.load(start + 2) }) != GUE_PORT {
            return Err(Stop::NoTunnel);
        }
    }
    permitted(&ip.src, &ip.dst)?;
    if !ip.plain {
        return Err(Stop::Because(Fate::Unusual));
    }
    if !ip.sound || start + ip.payload > length {
        return Err(Stop::Because(Fate::Malformed));
    }
    let mut inner = Outer {
        kind: Fate::Ipip,
        inside: Inside::V4,
        offset: start,
        room: ip.payload,
        class: ip.class,
    };
    let mut protocol = ip.protocol;
    if udp {
        // SAFETY: as above.
        let (said, head) = unsafe {
            (
                u16::from_be(view.load(start + 4)) as usize,
                view.load::<u32>(start + UDP as usize),
            )
        };
        if said > ip.payload || said < (UDP + GUE) as usize {
            return Err(Stop::Because(Fate::Malformed));
        }
        let header = match gue(head.to_ne_bytes()) {
            Gue::Direct(number) => {
                protocol = number;
                UDP as usize
            }
            Gue::Header(number) => {
                protocol = number;
                (UDP + GUE) as usize
            }
            Gue::Unknown => return Err(Stop::Because(Fate::Unusual)),
        };
        inner.kind = Fate::Gue;
        inner.offset += header;
        inner.room = said - header;
    }
    inner.inside = match protocol {
        PROTOCOL_IPV4 => Inside::V4,
        PROTOCOL_IPV6 => Inside::V6,
        _ => return Err(Stop::Because(Fate::Unusual)),
    };
    Ok(inner)
}

/// Wants the frame to reach to the header's end.
#[inline(always)]
fn v4(view: &View) -> Ip {
    // SAFETY: the header is there.
    let words: [u32; 5] = unsafe {
        [
            view.load(ETHERNET),
            view.load(ETHERNET + 4),
            view.load(ETHERNET + 8),
            view.load(ETHERNET + 12),
            view.load(ETHERNET + 16),
        ]
    };
    let [first, second, third, ..] = words.map(u32::from_be);
    let mut sum = 0;
    let mut i = 0;
    while i < 5 {
        sum += words[i] as u64;
        i += 1;
    }
    let length = (first & 0xffff) as usize;
    let version = first >> 24;
    Ip {
        src: addr::mapped(words[3]),
        dst: addr::mapped(words[4]),
        protocol: (third >> 16) as u8,
        class: (first >> 16) as u8,
        header: IPV4 as usize,
        payload: length.wrapping_sub(IPV4 as usize) & 0xffff,
        // More-fragments flag or an offset (RFC 791, section 3.1).
        plain: version & 0xf <= 5 && second & 0x3fff == 0,
        sound: version == 0x45 && length >= IPV4 as usize && csum::fold(sum) == 0xffff,
    }
}

/// Wants the frame to reach to the header's end. Extension headers are other protocols to it: the
/// stack's.
#[inline(always)]
fn v6(view: &View) -> Ip {
    let address = |at| {
        // SAFETY: the header is there.
        unsafe {
            [
                view.load(at),
                view.load(at + 4),
                view.load(at + 8),
                view.load(at + 12),
            ]
        }
    };
    // SAFETY: as above.
    let (first, second): (u32, u32) = unsafe {
        (
            u32::from_be(view.load(ETHERNET)),
            u32::from_be(view.load(ETHERNET + 4)),
        )
    };
    Ip {
        src: address(ETHERNET + 8),
        dst: address(ETHERNET + 24),
        protocol: (second >> 8) as u8,
        class: (first >> 20) as u8,
        header: IPV6 as usize,
        payload: (second >> 16) as usize,
        plain: true,
        sound: first >> 28 == 6,
    }
}
