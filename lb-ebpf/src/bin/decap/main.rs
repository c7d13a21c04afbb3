//! The program of `lb decap`, on a server: takes packets out of the tunnels that they come in
//! (`forward: ipip` and `gue`) and hands them to the stack, as if they had come so.
//!
//! Linux 6.1 has tunnel devices for this; a server needs none, and no module, with this program. It
//! is an object of its own with maps of its own (`lb_common::decap`).
//!
//! A tunnel lets its sender choose the source address of what is inside, past whatever checks source
//! addresses on the way. So only packets for this very host come out: nothing is forwarded; and
//! `--from` says who may send. Anything else is left to the stack as it is, or dropped and counted.
#![no_std]
#![no_main]

mod outer;
mod view;

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{LpmTrie, PerCpuArray, lpm_trie::Key};
use aya_ebpf::programs::XdpContext;
use lb_common::addr;
use lb_common::csum;
use lb_common::decap::{FATE_COUNTERS, Fate, PREFIXES_MAX, PrefixKey};
use lb_common::tunnel::{IPV4, IPV6, decapsulated_class};

use crate::outer::{Outer, outer};
use crate::view::{ETHERNET, View, length, take_off};

#[map]
static HERE: LpmTrie<PrefixKey, u32> = LpmTrie::with_max_entries(PREFIXES_MAX, 0);
#[map]
static INSIDE: LpmTrie<PrefixKey, u32> = LpmTrie::with_max_entries(PREFIXES_MAX, 0);
#[map]
static FROM: LpmTrie<PrefixKey, u32> = LpmTrie::with_max_entries(PREFIXES_MAX, 0);
#[map]
static FATES: PerCpuArray<u64> = PerCpuArray::with_max_entries(FATE_COUNTERS, 0);

#[unsafe(no_mangle)]
static FROM_ANYWHERE: u32 = 1;

/// What a tunnel holds.
#[derive(Clone, Copy)]
pub(crate) enum Inside {
    V4,
    V6,
}

/// Why a frame stays as it is.
pub(crate) enum Stop {
    /// It is no tunnel: the stack's, not counted.
    NoTunnel,
    /// Counted; the stack's, or dropped.
    Because(Fate),
}

/// With `frags`, so that interfaces with a large MTU take it, too: headers are on the first page.
#[xdp(frags)]
fn lb_decap(ctx: XdpContext) -> u32 {
    let fate = match decap(&ctx) {
        Ok(kind) => kind,
        Err(Stop::NoTunnel) => return xdp_action::XDP_PASS,
        Err(Stop::Because(fate)) => fate,
    };
    if let Some(counter) = FATES.get_ptr_mut(fate as u32) {
        // SAFETY: a map value of this processor, which nothing interrupts.
        unsafe { *counter += 1 };
    }
    if fate.drops() {
        xdp_action::XDP_DROP
    } else {
        xdp_action::XDP_PASS
    }
}

/// Takes the tunnel off; gives which kind it was.
#[inline(always)]
fn decap(ctx: &XdpContext) -> Result<Fate, Stop> {
    let view = View::of(ctx);
    let outer = outer(&view, length(ctx))?;
    let ethertype: u16 = match outer.inside {
        Inside::V4 => inner_v4(&view, &outer)?,
        Inside::V6 => inner_v6(&view, &outer)?,
    };
    // SAFETY: the Ethernet header is there.
    let macs: [u32; 3] = unsafe { [view.load(0), view.load(4), view.load(8)] };
    if !take_off(ctx, outer.offset - ETHERNET) {
        return Err(Stop::Because(Fate::Malformed));
    }
    let view = View::of(ctx);
    if !view.has(ETHERNET) {
        return Err(Stop::Because(Fate::Malformed));
    }
    // SAFETY: there is room for an Ethernet header.
    unsafe {
        view.store(0, macs[0]);
        view.store(4, macs[1]);
        view.store(8, macs[2]);
        view.store(12, ethertype.to_be());
    }
    Ok(outer.kind)
}

/// Whether a tunnel between these ends may be taken off.
#[inline(always)]
fn permitted(src: &PrefixKey, dst: &PrefixKey) -> Result<(), Stop> {
    if HERE.get(key(dst)).is_none() {
        return Err(Stop::Because(Fate::ForOthers));
    }
    // SAFETY: a static's address is valid and aligned; volatile, as the loader sets it.
    let anywhere = unsafe { core::ptr::addr_of!(FROM_ANYWHERE).read_volatile() };
    if anywhere == 0 && FROM.get(key(src)).is_none() {
        return Err(Stop::Because(Fate::Refused));
    }
    Ok(())
}

#[inline(always)]
fn key(address: &PrefixKey) -> Key<PrefixKey> {
    Key::new(128, *address)
}

/// The inner packet fits, is for this host, and has the congestion mark that it should: its Ethernet
/// type.
#[inline(always)]
fn inner_v4(view: &View, outer: &Outer) -> Result<u16, Stop> {
    let at = outer.offset;
    if outer.room < IPV4 as usize || !view.has(at + IPV4 as usize) {
        return Err(Stop::Because(Fate::Malformed));
    }
    // SAFETY: the header is there.
    let (version, class, length, dst): (u8, u8, u16, u32) = unsafe {
        (
            view.load(at),
            view.load(at + 1),
            u16::from_be(view.load(at + 2)),
            view.load(at + 16),
        )
    };
    let header = (version & 0xf) as usize * 4;
    let length = length as usize;
    if version >> 4 != 4 || header < IPV4 as usize || length < header || length > outer.room {
        return Err(Stop::Because(Fate::Malformed));
    }
    if INSIDE.get(key(&addr::mapped(dst))).is_none() {
        return Err(Stop::Because(Fate::ForOthers));
    }
    let Some(marked) = decapsulated_class(class, outer.class) else {
        return Err(Stop::Because(Fate::Congestion));
    };
    if marked != class {
        let (old, new) = ((class as u16).to_be(), (marked as u16).to_be());
        // SAFETY: as above.
        unsafe {
            let check: u16 = view.load(at + 10);
            let delta = csum::delta(old as u64, new as u64);
            view.store(at + 1, marked);
            view.store(at + 10, csum::update(check, delta));
        }
    }
    Ok(0x0800)
}

/// [`inner_v4`] for IPv6.
#[inline(always)]
fn inner_v6(view: &View, outer: &Outer) -> Result<u16, Stop> {
    let at = outer.offset;
    if outer.room < IPV6 as usize || !view.has(at + IPV6 as usize) {
        return Err(Stop::Because(Fate::Malformed));
    }
    // SAFETY: the header is there.
    let (first, payload, dst): (u32, u16, PrefixKey) = unsafe {
        (
            u32::from_be(view.load(at)),
            u16::from_be(view.load(at + 4)),
            [
                view.load(at + 24),
                view.load(at + 28),
                view.load(at + 32),
                view.load(at + 36),
            ],
        )
    };
    if first >> 28 != 6 || payload as usize + IPV6 as usize > outer.room {
        return Err(Stop::Because(Fate::Malformed));
    }
    if INSIDE.get(key(&dst)).is_none() {
        return Err(Stop::Because(Fate::ForOthers));
    }
    let class = (first >> 20) as u8;
    let Some(marked) = decapsulated_class(class, outer.class) else {
        return Err(Stop::Because(Fate::Congestion));
    };
    if marked != class {
        let first = first & 0xf00f_ffff | (marked as u32) << 20;
        // SAFETY: as above.
        unsafe { view.store(at, first.to_be()) };
    }
    Ok(0x86dd)
}

/// The kernel wants to know; nothing here needs a GPL-only helper.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a program in which this can be reached.
    loop {}
}
