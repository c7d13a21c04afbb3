//! Congestion marks across a tunnel (RFC 6040).
//!
//! Going in, the outer header gets the inner one's whole traffic class: routers on the way treat
//! the packet as they would have treated it, and may mark it (RFC 6040, section 4.1, normal mode).
//! Coming out, the mark is kept and the outer DSCP forgotten (RFC 2983, section 3.1).

/// The bits of a traffic class that are about congestion.
const ECN: u8 = 0b11;
/// The sender does not know about it.
const NOT_ECT: u8 = 0b00;
const ECT_0: u8 = 0b10;
const ECT_1: u8 = 0b01;
/// Congestion was met.
const CE: u8 = 0b11;

/// The inner packet's traffic class (IPv4's type of service) after the outer header with class
/// `outer` is gone; `None`: the packet is to be dropped, since its sender understands no mark and a
/// loss is the only way to tell it (RFC 6040, section 4.2, figure 4).
#[inline(always)]
pub const fn decapsulated_class(inner: u8, outer: u8) -> Option<u8> {
    let mark = match (inner & ECN, outer & ECN) {
        (NOT_ECT, CE) => return None,
        (NOT_ECT, _) => NOT_ECT,
        (_, CE) => CE,
        (ECT_0, ECT_1) => ECT_1,
        (mark, _) => mark,
    };
    Some(inner & !ECN | mark)
}
