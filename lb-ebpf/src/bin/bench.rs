//! Programs that measure [`lb_xdp`], for `cargo xtask bench`; never part of the balancer.
//!
//! BPF_PROG_TEST_RUN repeats a program on one buffer without putting it back, so a program that
//! rewrites packets would see its own output. [`bench_entry4`] and [`bench_entry6`] make the frame
//! the next client's again and tail-call what is to be measured. What that and the kernel's loop
//! cost is measured by tail-calling [`bench_floor`], and subtracted.
//!
//! In a live-frames run nothing is in the jump table, and each frame leaves as it was made: the
//! same entries are the packet generator. [`bench_floor`] is then the bare reflector, and
//! [`bench_sink`] counts what comes back.
//!
//! [`lb_xdp`]: ../lb_ebpf/fn.lb_xdp.html
#![no_std]
#![no_main]

use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, xdp_action};
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::lpm_trie::{Key, LpmTrie};
use aya_ebpf::maps::{Array, ProgramArray};
use aya_ebpf::programs::XdpContext;
use lb_common::access::{self, Node};
use lb_common::flow::FlowKey;

/// A key as arrays hold it: the kernel rounds their values up to eight bytes.
#[repr(C, align(8))]
struct Client<A>(FlowKey<A>);

/// What the packets of this run are for, in the order in which they come. The loader gives both
/// their real size.
#[map]
static KEYS4: Array<Client<u32>> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static KEYS6: Array<Client<[u64; 2]>> = Array::with_max_entries(1, BPF_F_MMAPABLE);
/// Which key is next, and how often all have been gone through: moved on by the program.
#[map]
static PROGRESS: Array<[u32; 2]> = Array::with_max_entries(1, 0);
/// How many keys there are.
#[map]
static COUNT: Array<u32> = Array::with_max_entries(1, 0);
/// The program under test, in slot 0.
#[map]
static UNDER_TEST: ProgramArray = ProgramArray::with_max_entries(1, 0);
/// Frames that came back, and when (CLOCK_MONOTONIC, in nanoseconds) the first and the last round
/// number of them was full.
#[map]
static SUNK: Array<[u64; 3]> = Array::with_max_entries(1, 0);

/// An access list.
#[map]
static LIST: Array<Node> = Array::with_max_entries(1, BPF_F_MMAPABLE);
/// Prefixes in the kernel's way.
#[map]
static LPM4: LpmTrie<u32, u32> = LpmTrie::with_max_entries(1, BPF_F_NO_PREALLOC);
#[map]
static LPM6: LpmTrie<[u64; 2], u32> = LpmTrie::with_max_entries(1, BPF_F_NO_PREALLOC);
/// Look-ups that found nothing.
#[map]
static NOT_FOUND: Array<u64> = Array::with_max_entries(1, 0);

/// Frames between two looks at the clock.
const ROUND: u64 = 1024;

/// Destination and source MAC address of the frames, as three words in memory order.
#[unsafe(no_mangle)]
static FRAME_MACS: [u32; 3] = [0; 3];

#[xdp]
fn bench_entry4(ctx: XdpContext) -> u32 {
    match restore(&ctx, &KEYS4) {
        Some(()) => call(&ctx),
        None => xdp_action::XDP_ABORTED,
    }
}

#[xdp]
fn bench_entry6(ctx: XdpContext) -> u32 {
    match restore(&ctx, &KEYS6) {
        Some(()) => call(&ctx),
        None => xdp_action::XDP_ABORTED,
    }
}

#[xdp]
fn bench_floor(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_TX
}

#[xdp]
fn bench_sink(_ctx: XdpContext) -> u32 {
    if let Some(sunk) = SUNK.get_ptr_mut(0) {
        // SAFETY: a map value; one processor does all the work.
        let [count, first, last] = unsafe { &mut *sunk };
        *count += 1;
        if count.is_multiple_of(ROUND) {
            // SAFETY: the helper has no preconditions.
            *last = unsafe { bpf_ktime_get_ns() };
            if *count == ROUND {
                *first = *last;
            }
        }
    }
    xdp_action::XDP_DROP
}

/// Looks the packet's source up in the balancer's kind of access list.
#[xdp]
fn bench_list4(ctx: XdpContext) -> u32 {
    let source: Option<u32> = source(&ctx);
    found(source.and_then(|v4| access::admits((u32::from_be(v4) as u64) << 32, 0, |i| LIST.get(i))))
}

#[xdp]
fn bench_list6(ctx: XdpContext) -> u32 {
    let source: Option<[u64; 2]> = source(&ctx);
    found(source.and_then(|[high, low]| {
        access::admits(u64::from_be(high), u64::from_be(low), |i| LIST.get(i))
    }))
}

/// The same in the kernel's kind.
#[xdp]
fn bench_lpm4(ctx: XdpContext) -> u32 {
    found(source(&ctx).map(|v4: u32| LPM4.get(Key::new(32, v4)).is_some()))
}

#[xdp]
fn bench_lpm6(ctx: XdpContext) -> u32 {
    found(source(&ctx).map(|v6: [u64; 2]| LPM6.get(Key::new(128, v6)).is_some()))
}

#[inline(always)]
fn found(found: Option<bool>) -> u32 {
    if found != Some(true)
        && let Some(count) = NOT_FOUND.get_ptr_mut(0)
    {
        // SAFETY: a map value; one run at a time.
        unsafe { *count += 1 };
    }
    xdp_action::XDP_TX
}

/// The packet's source address.
#[inline(always)]
fn source<A: Copy>(ctx: &XdpContext) -> Option<A> {
    let address = size_of::<A>();
    let header = if address == 4 { 20 } else { 40 };
    let frame = ctx.data();
    if frame + ETHERNET + header > ctx.data_end() {
        return None;
    }
    // SAFETY: the header is in the frame; any bytes are an address.
    Some(unsafe { ((frame + ETHERNET + header - 2 * address) as *const A).read_volatile() })
}

#[inline(always)]
fn call(ctx: &XdpContext) -> u32 {
    // SAFETY: this program holds nothing that would have to be dropped.
    unsafe { UNDER_TEST.tail_call(ctx, 0) };
    xdp_action::XDP_TX
}

const ETHERNET: usize = 14;
const TCP: usize = 20;

/// Writes the next key, and whatever else forwarding changes, into the frame. The acknowledgement
/// number grows with every round, as it does on a connection at work.
///
/// Each field is written with one access of its natural width. Were a field written in two parts,
/// the program under test would have to wait for both to reach the cache before it could read it.
#[inline(always)]
fn restore<A: Copy>(ctx: &XdpContext, keys: &Array<Client<A>>) -> Option<()> {
    let address = size_of::<A>();
    let v4 = address == 4;
    let header = if v4 { 20 } else { 40 };
    let transport = ETHERNET + header;
    let frame = ctx.data();
    if frame + transport + TCP > ctx.data_end() {
        return None;
    }
    let progress = PROGRESS.get_ptr_mut(0)?;
    let count = *COUNT.get(0)?;
    // SAFETY: a map value; one run at a time.
    let [number, round] = unsafe { *progress };
    let Client(key) = keys.get(number)?;
    let next = number + 1;
    let moved = if next < count {
        [next, round]
    } else {
        [0, round + 1]
    };
    // SAFETY: read before it is used; volatile, as the loader changed it.
    let macs = unsafe { (&raw const FRAME_MACS).read_volatile() };
    // SAFETY: the map value is the program's own, and the frame reaches to the end of TCP's header.
    unsafe {
        *progress = moved;
        put(frame, macs[0]);
        put(frame + 4, macs[1] as u16);
        put(frame + 6, macs[1] >> 16 | macs[2] << 16);
        put(frame + 10, (macs[2] >> 16) as u16);
        put(frame + ETHERNET + if v4 { 8 } else { 7 }, 64_u8);
        put(frame + transport - 2 * address, key.src);
        put(frame + transport - address, key.dst);
        put(frame + transport, key.ports);
        put(frame + transport + 8, round.to_be());
    }
    Some(())
}

/// # Safety
/// The field is in the frame.
#[inline(always)]
unsafe fn put<T>(at: usize, value: T) {
    // SAFETY: by the caller's promise.
    unsafe { (at as *mut T).write_volatile(value) };
}

/// The kernel wants to know; nothing here needs a GPL-only helper.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
