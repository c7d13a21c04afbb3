//! Packets in tunnels: wrapped, and unwrapped with every outer length and checksum verified.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result, bail, ensure};

use super::{ETHERNET, checksum, fix_ip_checksum};
use crate::netns::Mac;

const IPV4: u8 = 4;
const IPV6: u8 = 41;
const UDP: u8 = 17;
/// GUE's port.
pub const GUE_PORT: u16 = 6080;

/// What is around a tunnelled packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Ethernet address of whoever sends the frame.
    pub from: Mac,
    /// Ethernet address of whom it is sent to.
    pub to: Mac,
    /// Outer source.
    pub src: IpAddr,
    /// Outer destination, of the same family.
    pub dst: IpAddr,
    /// IPv4's type of service, IPv6's traffic class.
    pub class: u8,
    /// IPv4's identification, IPv6's flow label.
    pub label: u32,
    /// IPv4's flags and fragment offset; not in IPv6.
    pub fragment: u16,
    /// TTL or hop limit.
    pub hops: u8,
    /// GUE's UDP source port and whether there is a UDP checksum; `None` for IP in IP.
    pub gue: Option<(u16, bool)>,
}

impl Tunnel {
    /// IP in IP, as a balancer of ours makes it but for what varies with the flow.
    pub fn ipip(from: Mac, to: Mac, src: IpAddr, dst: IpAddr) -> Self {
        Self {
            from,
            to,
            src,
            dst,
            class: 0,
            label: 0,
            fragment: 0x4000,
            hops: 64,
            gue: None,
        }
    }

    /// The same with GUE from this port; with a UDP checksum over IPv6.
    pub fn gue(self, port: u16) -> Self {
        Self {
            gue: Some((port, self.src.is_ipv6())),
            ..self
        }
    }

    /// Where the inner packet begins in the frame.
    pub fn offset(&self) -> usize {
        let ip = if self.src.is_ipv4() { 20 } else { 40 };
        ETHERNET + ip + if self.gue.is_some() { 8 } else { 0 }
    }

    /// Puts the packet of a frame into the tunnel.
    pub fn wrap(&self, frame: &[u8]) -> Vec<u8> {
        self.wrap_after(&[], frame)
    }

    /// [`Self::wrap`] with bytes between the outer headers and the packet.
    pub fn wrap_after(&self, between: &[u8], frame: &[u8]) -> Vec<u8> {
        let inner = &frame[ETHERNET..];
        let protocol = match (self.gue, inner[0] >> 4) {
            (Some(_), _) => UDP,
            (None, 4) => IPV4,
            (None, _) => IPV6,
        };
        let payload = inner.len() + between.len() + if self.gue.is_some() { 8 } else { 0 };
        let mut out = Vec::new();
        out.extend(self.to.0);
        out.extend(self.from.0);
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                out.extend(0x0800_u16.to_be_bytes());
                out.extend([0x45, self.class]);
                out.extend((payload as u16 + 20).to_be_bytes());
                out.extend((self.label as u16).to_be_bytes());
                out.extend(self.fragment.to_be_bytes());
                out.extend([self.hops, protocol, 0, 0]);
                out.extend(src.octets());
                out.extend(dst.octets());
                fix_ip_checksum(&mut out);
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                out.extend(0x86dd_u16.to_be_bytes());
                let first = 6 << 28 | u32::from(self.class) << 20 | self.label;
                out.extend(first.to_be_bytes());
                out.extend((payload as u16).to_be_bytes());
                out.extend([protocol, self.hops]);
                out.extend(src.octets());
                out.extend(dst.octets());
            }
            (src, dst) => panic!("{src} and {dst} are not of one family"),
        }
        let start = out.len();
        if let Some((port, _)) = self.gue {
            out.extend(port.to_be_bytes());
            out.extend(GUE_PORT.to_be_bytes());
            out.extend((payload as u16).to_be_bytes());
            out.extend([0, 0]);
        }
        out.extend(between);
        out.extend(inner);
        if let Some((_, true)) = self.gue {
            let sum = match udp_sum(self.src, self.dst, &out[start..]) {
                0 => 0xffff,
                sum => sum,
            };
            out[start + 6..start + 8].copy_from_slice(&sum.to_be_bytes());
        }
        out
    }

    /// Reads the outer headers of a frame, and fails unless all lengths and checksums in them are
    /// right. Gives the packet inside in a frame of the same Ethernet addresses.
    pub fn unwrap(frame: &[u8]) -> Result<(Self, Vec<u8>)> {
        let packet = frame.get(ETHERNET..).context("no Ethernet header")?;
        let (header, protocol, payload, mut tunnel) = match packet.first().map(|byte| byte >> 4) {
            Some(4) => outer_v4(packet)?,
            Some(6) => outer_v6(packet)?,
            version => bail!("version {version:?}"),
        };
        let ethertype = if header == 20 { [8, 0] } else { [0x86, 0xdd] };
        ensure!(frame[12..14] == ethertype, "type {:x?}", &frame[12..14]);
        tunnel.to = Mac(frame[..6].try_into()?);
        tunnel.from = Mac(frame[6..12].try_into()?);
        let inner = match protocol {
            IPV4 | IPV6 => payload,
            UDP => {
                ensure!(payload.len() > 8, "no UDP header");
                let field = |at| u16::from_be_bytes([payload[at], payload[at + 1]]);
                ensure!(field(2) == GUE_PORT, "port {}", field(2));
                let length = usize::from(field(4));
                ensure!(length == payload.len(), "{length} of {}", payload.len());
                if field(6) != 0 {
                    let sum = udp_sum(tunnel.src, tunnel.dst, payload);
                    ensure!(sum == 0, "the UDP checksum is off by {sum:#06x}");
                }
                tunnel.gue = Some((field(0), field(6) != 0));
                &payload[8..]
            }
            other => bail!("protocol {other}"),
        };
        let ethertype: [u8; 2] = match (inner[0] >> 4, protocol) {
            (4, IPV4 | UDP) => [8, 0],
            (6, IPV6 | UDP) => [0x86, 0xdd],
            (version, protocol) => bail!("version {version} in protocol {protocol}"),
        };
        let bare = [&frame[..12], &ethertype, inner].concat();
        Ok((tunnel, bare))
    }
}

/// Length of the header, what follows it by number and bytes, and the header's fields.
type Outer<'a> = (usize, u8, &'a [u8], Tunnel);

fn outer_v4(packet: &[u8]) -> Result<Outer<'_>> {
    let header = packet.get(..20).context("no IPv4 header")?;
    ensure!(header[0] == 0x45, "version and length {:#04x}", header[0]);
    let sum = checksum(&[header]);
    ensure!(sum == 0, "the outer IPv4 checksum is off by {sum:#06x}");
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let payload = packet.get(20..length).context("longer than the frame")?;
    let address = |at| -> Result<IpAddr> {
        let bytes: [u8; 4] = header[at..at + 4].try_into()?;
        Ok(Ipv4Addr::from(bytes).into())
    };
    let nobody = Mac([0; 6]);
    let tunnel = Tunnel {
        class: header[1],
        label: u16::from_be_bytes([header[4], header[5]]).into(),
        fragment: u16::from_be_bytes([header[6], header[7]]),
        hops: header[8],
        ..Tunnel::ipip(nobody, nobody, address(12)?, address(16)?)
    };
    Ok((20, header[9], payload, tunnel))
}

fn outer_v6(packet: &[u8]) -> Result<Outer<'_>> {
    let header = packet.get(..40).context("no IPv6 header")?;
    let first = u32::from_be_bytes(header[..4].try_into()?);
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let payload = packet
        .get(40..40 + length)
        .context("longer than the frame")?;
    let address = |at| -> Result<IpAddr> {
        let bytes: [u8; 16] = header[at..at + 16].try_into()?;
        Ok(Ipv6Addr::from(bytes).into())
    };
    let nobody = Mac([0; 6]);
    let tunnel = Tunnel {
        class: (first >> 20) as u8,
        label: first & 0xf_ffff,
        hops: header[7],
        ..Tunnel::ipip(nobody, nobody, address(8)?, address(24)?)
    };
    Ok((40, header[6], payload, tunnel))
}

/// The UDP checksum of a datagram as it is, its checksum field taken in too.
fn udp_sum(src: IpAddr, dst: IpAddr, datagram: &[u8]) -> u16 {
    let length = (datagram.len() as u32).to_be_bytes();
    let rest = [0, 0, 0, UDP];
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            checksum(&[&src.octets(), &dst.octets(), &rest, &length, datagram])
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            checksum(&[&src.octets(), &dst.octets(), &length, &rest, datagram])
        }
        (src, dst) => panic!("{src} and {dst} are not of one family"),
    }
}
