//! A packet out of a frame.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result, bail, ensure};

use super::{ETHERNET, Packet, TCP, checksum, tcp_checksum};
use crate::netns::Mac;

impl Packet {
    /// Reads a frame, and fails unless all lengths and checksums in it are right. The frame may be
    /// longer than its IP packet (padding).
    pub fn parse(frame: &[u8]) -> Result<Self> {
        let (ethernet, packet) = frame
            .split_at_checked(ETHERNET)
            .context("no Ethernet header")?;
        let parsed = match number(ethernet, 12)? {
            0x0800 => parse_v4(packet),
            0x86dd => parse_v6(packet),
            other => bail!("Ethernet type {other:#06x}"),
        }?;
        Ok(Self {
            to: Mac(bytes(ethernet, 0)?),
            from: Mac(bytes(ethernet, 6)?),
            ..parsed
        })
    }
}

fn parse_v4(packet: &[u8]) -> Result<Packet> {
    let header = packet.get(..20).context("no IPv4 header")?;
    ensure!(header[0] == 0x45, "version and length {:#04x}", header[0]);
    ensure!(header[9] == TCP, "protocol {}", header[9]);
    let sum = checksum(&[header]);
    ensure!(sum == 0, "the IPv4 checksum is off by {sum:#06x}");
    let length = number(header, 2)?;
    let segment = packet
        .get(20..usize::from(length))
        .with_context(|| format!("total length {length} of {}", packet.len()))?;
    let src = Ipv4Addr::from(bytes(header, 12)?);
    let dst = Ipv4Addr::from(bytes(header, 16)?);
    Ok(Packet {
        class: header[1],
        label: number(header, 4)?.into(),
        fragment: number(header, 6)?,
        hops: header[8],
        ..parse_tcp(segment, (src, 0).into(), (dst, 0).into())?
    })
}

fn parse_v6(packet: &[u8]) -> Result<Packet> {
    let header = packet.get(..40).context("no IPv6 header")?;
    let first = u32::from_be_bytes(bytes(header, 0)?);
    ensure!(first >> 28 == 6, "version {}", first >> 28);
    ensure!(header[6] == TCP, "next header {}", header[6]);
    let length = number(header, 4)?;
    let segment = packet
        .get(40..40 + usize::from(length))
        .with_context(|| format!("payload length {length} of {}", packet.len()))?;
    let src = Ipv6Addr::from(bytes::<16>(header, 8)?);
    let dst = Ipv6Addr::from(bytes::<16>(header, 24)?);
    Ok(Packet {
        class: (first >> 20) as u8,
        label: first & 0xf_ffff,
        hops: header[7],
        ..parse_tcp(segment, (src, 0).into(), (dst, 0).into())?
    })
}

fn parse_tcp(segment: &[u8], mut src: SocketAddr, mut dst: SocketAddr) -> Result<Packet> {
    let header = segment.get(..20).context("no TCP header")?;
    let sum = tcp_checksum(src.ip(), dst.ip(), segment);
    ensure!(sum == 0, "the TCP checksum is off by {sum:#06x}");
    src.set_port(number(header, 0)?);
    dst.set_port(number(header, 2)?);
    let offset = usize::from(header[12] >> 4) * 4;
    let options = segment
        .get(20..offset)
        .with_context(|| format!("data offset {offset} of {}", segment.len()))?;
    Ok(Packet {
        seq: u32::from_be_bytes(bytes(header, 4)?),
        ack: u32::from_be_bytes(bytes(header, 8)?),
        flags: header[13],
        window: number(header, 14)?,
        urgent: number(header, 18)?,
        options: options.to_vec(),
        payload: segment[offset..].to_vec(),
        ..Packet::new(Mac([0; 6]), Mac([0; 6]), src, dst)
    })
}

fn number(bytes: &[u8], at: usize) -> Result<u16> {
    Ok(u16::from_be_bytes(self::bytes(bytes, at)?))
}

fn bytes<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    bytes
        .get(at..at + N)
        .and_then(|bytes| bytes.try_into().ok())
        .with_context(|| format!("no {N} bytes at {at}"))
}
