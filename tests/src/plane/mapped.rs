//! A memory-mapped BPF array, for tests: what is not there is the test's mistake.

use anyhow::{Result, bail};
use aya::Ebpf;
use aya::maps::Map;
use lb_userspace::dataplane::kernel::Mapping;

/// All values of an array map, as the program sees them at the same moment.
#[derive(Debug)]
pub struct Mapped<T>(Mapping<T>);

impl<T: aya::Pod> Mapped<T> {
    /// Maps the array called `name`.
    pub(crate) fn new(ebpf: &Ebpf, name: &'static str) -> Result<Self> {
        let Some(Map::Array(data)) = ebpf.map(name) else {
            bail!("{name} is not an array map of the object");
        };
        Ok(Self(Mapping::new(data, name)?))
    }
}

impl<T> Mapped<T> {
    /// Number of values.
    pub fn len(&self) -> u32 {
        self.0.len()
    }

    /// Whether there is none; the kernel makes no such map.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where value `index` lies.
    pub fn pointer(&self, index: u32) -> *mut T {
        let len = self.len();
        let pointer = self.0.pointer(index);
        pointer.unwrap_or_else(|| panic!("value {index} of {len}"))
    }
}

impl<T: aya::Pod> Mapped<T> {
    /// A copy of value `index`. The program may be changing it meanwhile.
    pub fn read(&self, index: u32) -> T {
        // SAFETY: inside the mapping; any bytes are a value of a `Pod`.
        unsafe { self.pointer(index).read_volatile() }
    }
}
