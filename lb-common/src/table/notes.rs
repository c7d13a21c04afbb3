//! A caller's working memory.

/// What a pass over a key's buckets has found so far.
///
/// In memory that the BPF verifier does not follow: kept in registers, every slot's finding would
/// multiply the paths that it walks.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Notes {
    /// First free slot of each bucket.
    pub(super) free: [u32; 2],
    /// Its word.
    pub(super) words: [u64; 2],
    /// The word of the slot that a survey proposed.
    pub(super) word: u64,
    /// Slots of the first bucket in use.
    pub(super) occupied: u32,
    /// How dispensable the best candidate is.
    pub(super) best: u32,
    /// Its index.
    pub(super) best_index: u32,
    /// Always zero.
    zero: u32,
    /// Its word.
    pub(super) best_word: u64,
}

/// Reads a note.
macro_rules! noted {
    ($notes:expr, $field:ident) => {
        // SAFETY: `Memory::notes` points to valid notes.
        unsafe { (&raw const (*$notes).$field).read_volatile() }
    };
    ($notes:expr, $field:ident[$i:expr]) => {
        // SAFETY: as above; the index is below the array's length.
        unsafe { (&raw const (*$notes).$field[$i]).read_volatile() }
    };
}

/// Writes a note.
macro_rules! note {
    ($notes:expr, $field:ident = $value:expr) => {{
        let value = $value;
        // SAFETY: `Memory::notes` points to valid notes that nobody else uses.
        unsafe { (&raw mut (*$notes).$field).write_volatile(value) }
    }};
    ($notes:expr, $field:ident[$i:expr] = $value:expr) => {{
        let value = $value;
        // SAFETY: as above; the index is below the array's length.
        unsafe { (&raw mut (*$notes).$field[$i]).write_volatile(value) }
    }};
}

pub(super) use {note, noted};
