//! The data path's clock.

/// Nanoseconds in a tick: 2^20, so that the program shifts instead of dividing.
pub const TICK_NANOS: u64 = 1 << 20;

/// A moment as flow entries record it: `CLOCK_MONOTONIC` in ticks of 2^20 ns (about 1.05 ms),
/// modulo 2^32. It wraps after 52 days; no timeout may exceed half of that.
#[inline(always)]
pub const fn tick(nanos: u64) -> u32 {
    (nanos >> 20) as u32
}

/// Ticks in so many seconds, rounded up.
pub const fn ticks(seconds: u32) -> u32 {
    let nanos = seconds as u64 * 1_000_000_000;
    nanos.div_ceil(TICK_NANOS) as u32
}

/// Ticks from `then` to `now`; zero where `then` is the later (another processor's clock read).
#[inline(always)]
pub const fn since(now: u32, then: u32) -> u32 {
    let age = now.wrapping_sub(then);
    if age > u32::MAX / 2 { 0 } else { age }
}

#[cfg(test)]
mod tests;
