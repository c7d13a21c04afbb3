//! A memory-mapped BPF array.

use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use anyhow::{Context, Result, bail};
use aya::Ebpf;
use aya::maps::{Map, MapData};

/// All values of an array map, as the program sees them at the same moment.
#[derive(Debug)]
pub struct Mapped<T> {
    values: *mut T,
    len: u32,
}

// SAFETY: the memory is shared with the program anyway: all access is volatile, through raw pointers,
// and what is read is plain old data.
unsafe impl<T> Send for Mapped<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Mapped<T> {}

impl<T: Copy> Mapped<T> {
    /// Maps the array called `name`.
    pub(crate) fn new(ebpf: &Ebpf, name: &str) -> Result<Self> {
        // The kernel's arrays give each value a multiple of eight bytes.
        const { assert!(size_of::<T>().is_multiple_of(8)) };
        let map = ebpf.map(name);
        let Some(Map::Array(data)) = map else {
            bail!("{name} is not an array map of the object");
        };
        let info = data.info()?;
        if info.value_size() as usize != size_of::<T>() {
            bail!("values of {name} have {} bytes", info.value_size());
        }
        let len = info.max_entries();
        Self::map(data, len).with_context(|| format!("cannot map {name}"))
    }

    fn map(data: &MapData, len: u32) -> std::io::Result<Self> {
        // SAFETY: a new mapping where the kernel likes it; nothing that exists is touched.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                Self::bytes(len),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                data.fd().as_fd().as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        Ok(Self {
            values: address.cast(),
            len,
        })
    }

    /// Number of values.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is none; the kernel makes no such map.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where value `index` lies.
    pub fn pointer(&self, index: u32) -> *mut T {
        assert!(index < self.len, "value {index} of {}", self.len);
        // SAFETY: inside the mapping.
        unsafe { self.values.add(index as usize) }
    }

    /// A copy of value `index`. The program may be changing it meanwhile.
    pub fn read(&self, index: u32) -> T {
        // SAFETY: inside the mapping; `T` is a map value, so that any bytes are one.
        unsafe { self.pointer(index).read_volatile() }
    }
}

impl<T> Mapped<T> {
    fn bytes(len: u32) -> usize {
        size_of::<T>() * len as usize
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and nothing borrows from it.
        unsafe { libc::munmap(self.values.cast(), Self::bytes(self.len)) };
    }
}
