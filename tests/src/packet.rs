//! TCP packets: built from their fields, and read back with every checksum verified.
//!
//! Checksums are computed here from scratch and in another way than in the program under test.

mod parse;
#[cfg(test)]
mod tests;
pub mod tunnel;

use std::net::{IpAddr, SocketAddr};

use crate::netns::Mac;

/// Bytes of an Ethernet header.
pub const ETHERNET: usize = 14;
/// TCP's protocol number.
const TCP: u8 = 6;

/// One TCP segment in one IP packet in one Ethernet frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Ethernet address of whoever sends the frame.
    pub from: Mac,
    /// Ethernet address of whom it is sent to.
    pub to: Mac,
    /// Source address and port.
    pub src: SocketAddr,
    /// Destination address and port, of the same family.
    pub dst: SocketAddr,
    /// IPv4's type of service, IPv6's traffic class.
    pub class: u8,
    /// IPv4's identification, IPv6's flow label (20 bits).
    pub label: u32,
    /// IPv4's flags and fragment offset; not in IPv6.
    pub fragment: u16,
    /// TTL or hop limit.
    pub hops: u8,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Flags, as in `lb_common::tcp`.
    pub flags: u8,
    /// Receive window.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// TCP options, a multiple of four bytes.
    pub options: Vec<u8>,
    /// Data.
    pub payload: Vec<u8>,
}

impl Packet {
    /// An empty segment without flags.
    pub fn new(from: Mac, to: Mac, src: SocketAddr, dst: SocketAddr) -> Self {
        Self {
            from,
            to,
            src,
            dst,
            class: 0,
            label: 0,
            fragment: 0x4000,
            hops: 64,
            seq: 0,
            ack: 0,
            flags: 0,
            window: 0xfaf0,
            urgent: 0,
            options: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// The same segment with these flags.
    pub fn flags(mut self, flags: u8) -> Self {
        self.flags = flags;
        self
    }

    /// The same segment at this sequence number.
    pub fn seq(mut self, seq: u32) -> Self {
        self.seq = seq;
        self
    }

    /// The same segment with this acknowledgement number.
    pub fn ack(mut self, ack: u32) -> Self {
        self.ack = ack;
        self
    }

    /// The same segment with this data.
    pub fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = payload.into();
        self
    }

    /// The same segment with this TTL or hop limit.
    pub fn hops(mut self, hops: u8) -> Self {
        self.hops = hops;
        self
    }

    /// Length of its IP packet.
    pub fn ip_length(&self) -> usize {
        self.ip_header() + self.tcp_length()
    }

    /// Where the TCP header starts in the frame.
    pub fn transport(&self) -> usize {
        ETHERNET + self.ip_header()
    }

    /// The frame's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut frame = Vec::with_capacity(ETHERNET + self.ip_length());
        frame.extend(self.to.0);
        frame.extend(self.from.0);
        match (self.src.ip(), self.dst.ip()) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                frame.extend(0x0800_u16.to_be_bytes());
                frame.extend([0x45, self.class]);
                frame.extend((self.ip_length() as u16).to_be_bytes());
                frame.extend((self.label as u16).to_be_bytes());
                frame.extend(self.fragment.to_be_bytes());
                frame.extend([self.hops, TCP, 0, 0]);
                frame.extend(src.octets());
                frame.extend(dst.octets());
                fix_ip_checksum(&mut frame);
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                frame.extend(0x86dd_u16.to_be_bytes());
                let first = 6 << 28 | u32::from(self.class) << 20 | self.label & 0xf_ffff;
                frame.extend(first.to_be_bytes());
                frame.extend((self.tcp_length() as u16).to_be_bytes());
                frame.extend([TCP, self.hops]);
                frame.extend(src.octets());
                frame.extend(dst.octets());
            }
            (src, dst) => panic!("{src} and {dst} are not of one family"),
        }
        let start = frame.len();
        frame.extend(self.src.port().to_be_bytes());
        frame.extend(self.dst.port().to_be_bytes());
        frame.extend(self.seq.to_be_bytes());
        frame.extend(self.ack.to_be_bytes());
        assert!(self.options.len().is_multiple_of(4) && self.options.len() <= 40);
        frame.push(((20 + self.options.len()) as u8) << 2);
        frame.push(self.flags);
        frame.extend(self.window.to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(self.urgent.to_be_bytes());
        frame.extend(&self.options);
        frame.extend(&self.payload);
        let sum = tcp_checksum(self.src.ip(), self.dst.ip(), &frame[start..]);
        frame[start + 16..start + 18].copy_from_slice(&sum.to_be_bytes());
        frame
    }

    fn ip_header(&self) -> usize {
        if self.src.is_ipv4() { 20 } else { 40 }
    }

    fn tcp_length(&self) -> usize {
        20 + self.options.len() + self.payload.len()
    }
}

/// Gives an IPv4 header without options the right checksum again.
pub fn fix_ip_checksum(frame: &mut [u8]) {
    frame[ETHERNET + 10..ETHERNET + 12].fill(0);
    let sum = checksum(&[&frame[ETHERNET..ETHERNET + 20]]);
    frame[ETHERNET + 10..ETHERNET + 12].copy_from_slice(&sum.to_be_bytes());
}

/// The TCP checksum of a segment as it is, its checksum field taken in too: zero, if that is right;
/// what belongs there, if it is zero.
fn tcp_checksum(src: IpAddr, dst: IpAddr, segment: &[u8]) -> u16 {
    let length = (segment.len() as u32).to_be_bytes();
    let rest = [0, 0, 0, TCP];
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            checksum(&[&src.octets(), &dst.octets(), &rest, &length, segment])
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            checksum(&[&src.octets(), &dst.octets(), &length, &rest, segment])
        }
        (src, dst) => panic!("{src} and {dst} are not of one family"),
    }
}

/// RFC 1071, word for word: all parts but the last are of even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        for word in part.chunks(2) {
            sum += u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0));
            if sum > 0xffff {
                sum -= 0xffff;
            }
        }
    }
    !(sum as u16)
}
