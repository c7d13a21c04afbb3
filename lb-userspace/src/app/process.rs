//! What the kernel says of this process and of itself.

use std::fs;

/// Resident memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// All of it, mapped BPF maps included.
    pub(super) resident: u64,
    /// Of that, BPF maps. They are there whether or not anybody maps them.
    pub(super) maps: u64,
}

/// Zero where the kernel does not say.
pub(super) fn memory() -> Memory {
    parse(&fs::read_to_string("/proc/self/smaps").unwrap_or_default())
}

/// The kernel's release, as `uname -r` prints it.
pub(super) fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease");
    release.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// Sums up `/proc/PID/smaps`: a line that names each mapping, then lines such as `Rss: 12 kB`.
fn parse(smaps: &str) -> Memory {
    let mut memory = Memory::default();
    let mut is_map = false;
    for line in smaps.lines() {
        match line.strip_prefix("Rss:") {
            Some(size) => {
                let kilobytes = size.trim().strip_suffix(" kB").unwrap_or("0");
                let bytes = kilobytes.parse().unwrap_or(0) * 1024;
                memory.resident += bytes;
                if is_map {
                    memory.maps += bytes;
                }
            }
            // Only the first line of a mapping begins with an address.
            None if line.starts_with(|c: char| c.is_ascii_digit() || c.is_ascii_lowercase()) => {
                is_map = line.ends_with("anon_inode:bpf-map");
            }
            None => {}
        }
    }
    memory
}

#[cfg(test)]
mod tests;
