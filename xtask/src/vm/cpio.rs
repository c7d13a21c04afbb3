//! The archive format that the kernel unpacks into its first file system: "newc" cpio, described
//! in the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.

use std::collections::BTreeSet;

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
/// Names and contents begin at multiples of this.
const ALIGNMENT: usize = 4;

/// An archive that grows in memory.
#[derive(Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    dirs: BTreeSet<String>,
}

impl Archive {
    /// Adds a directory and those above it, unless they are there already.
    pub(super) fn add_dir(&mut self, path: &str) {
        let ends = path.match_indices('/').map(|(end, _)| end);
        for end in ends.chain([path.len()]) {
            let dir = &path[..end];
            if !dir.is_empty() && self.dirs.insert(dir.to_owned()) {
                self.add_entry(dir, DIRECTORY | 0o755, &[]);
            }
        }
    }

    /// Adds a file and the directories above it. `path` has no leading slash.
    pub(super) fn add_file(&mut self, path: &str, permissions: u32, contents: &[u8]) {
        if let Some((dir, _)) = path.rsplit_once('/') {
            self.add_dir(dir);
        }
        self.add_entry(path, REGULAR | permissions, contents);
    }

    /// The whole archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.add_entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn add_entry(&mut self, name: &str, mode: u32, contents: &[u8]) {
        self.entries += 1;
        let size = u32::try_from(contents.len()).expect("files are smaller than 4 GB");
        let name_size = u32::try_from(name.len() + 1).expect("names are shorter than 4 GB");
        // inode, mode, uid, gid, links, mtime, size, device (2), special device (2), name, checksum
        let fields = [
            self.entries,
            mode,
            0,
            0,
            1,
            0,
            size,
            0,
            0,
            0,
            0,
            name_size,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(contents);
        self.align();
    }

    fn align(&mut self) {
        self.bytes
            .resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
    }
}

#[cfg(test)]
mod tests;
