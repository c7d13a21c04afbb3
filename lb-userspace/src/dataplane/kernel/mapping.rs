//! BPF arrays in the agent's own memory.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use aya::Pod;
use aya::maps::MapData;

use super::LoadError;

/// All values of an array map, as the program sees them at the same moment: reading them takes no
/// system call. The memory stays until the last mapping is gone, even if the map does not.
#[derive(Debug)]
pub struct Mapping<T> {
    values: *mut T,
    len: u32,
}

// SAFETY: the memory is shared with the program anyway: all access is volatile, through raw pointers,
// and what is read is plain old data.
unsafe impl<T> Send for Mapping<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Mapping<T> {}

impl<T: Pod> Mapping<T> {
    /// Maps an array made with `BPF_F_MMAPABLE`.
    pub fn new(map: &MapData, name: &'static str) -> Result<Self, LoadError> {
        let failed = |source| LoadError::Mapping { map: name, source };
        let info = map
            .info()
            .map_err(|error| failed(io::Error::other(error.to_string())))?;
        if info.value_size() as usize != size_of::<T>() {
            return Err(failed(io::Error::other(format!(
                "values have {} bytes instead of {}",
                info.value_size(),
                size_of::<T>()
            ))));
        }
        let len = info.max_entries();
        // SAFETY: a new mapping where the kernel likes it; nothing that exists is touched.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                Self::stride() * len as usize,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.fd().as_fd().as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(failed(io::Error::last_os_error()));
        }
        Ok(Self {
            values: address.cast(),
            len,
        })
    }

    /// A copy of value `index`. The program may be changing it meanwhile.
    pub fn read(&self, index: u32) -> Option<T> {
        // SAFETY: inside the mapping; any bytes are a value of a `Pod`.
        Some(unsafe { self.pointer(index)?.read_volatile() })
    }

    /// Writes value `index`; `false` beyond the last.
    pub(super) fn write(&self, index: u32, value: T) -> bool {
        match self.pointer(index) {
            // SAFETY: inside the mapping.
            Some(pointer) => unsafe {
                pointer.write_volatile(value);
                true
            },
            None => false,
        }
    }
}

impl<T> Mapping<T> {
    /// Bytes from one value to the next: the kernel gives each a multiple of eight.
    const fn stride() -> usize {
        size_of::<T>().next_multiple_of(8)
    }

    /// Number of values.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there are none; the kernel makes no such map.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where value `index` lies, if there is one.
    pub fn pointer(&self, index: u32) -> Option<*mut T> {
        // SAFETY: inside the mapping.
        (index < self.len).then(|| unsafe {
            self.values
                .cast::<u8>()
                .add(Self::stride() * index as usize)
                .cast()
        })
    }
}

impl<T> Drop for Mapping<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this address and length, and nothing of it is borrowed.
        unsafe { libc::munmap(self.values.cast(), Self::stride() * self.len as usize) };
    }
}
