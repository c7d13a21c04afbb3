//! An XDP program that passes every frame.
//!
//! A veth takes frames that XDP sends (`XDP_TX`, redirect) only if the interface at its far end
//! has an XDP program too (drivers/net/veth.c: the ring that such frames go to exists only then).
//! A physical network needs nothing of the kind.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use anyhow::{Context, Result};

use super::Namespace;

/// Keeps the program attached until it is dropped or the process dies.
#[derive(Debug)]
pub struct PassLink {
    _fd: OwnedFd,
}

impl Namespace {
    /// Attaches a program that returns `XDP_PASS` to interface `name`, in driver mode.
    pub fn attach_pass(&self, name: &str) -> Result<PassLink> {
        let ifindex = self.ifindex(name)?;
        self.run(|| {
            let program = load()?;
            link(&program, ifindex)
        })
        .map(|fd| PassLink { _fd: fd })
        .with_context(|| format!("{}: cannot attach XDP_PASS to {name}", self.label))
    }
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// The head of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
}

/// The head of `union bpf_attr` for `BPF_LINK_CREATE`.
#[repr(C)]
struct LinkAttr {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
}

fn load() -> io::Result<OwnedFd> {
    // r0 = XDP_PASS; exit
    let instructions: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, 2, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];
    let attr = LoadAttr {
        prog_type: BPF_PROG_TYPE_XDP,
        insn_cnt: instructions.len() as u32,
        insns: instructions.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
    };
    // SAFETY: `attr` is the structure of this command, and what it points to outlives the call.
    unsafe { bpf(BPF_PROG_LOAD, &attr) }
}

fn link(program: &OwnedFd, ifindex: u32) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    let attr = LinkAttr {
        prog_fd: program.as_raw_fd() as u32,
        target_ifindex: ifindex,
        attach_type: BPF_XDP,
        flags: XDP_FLAGS_DRV_MODE,
    };
    // SAFETY: `attr` is the structure of this command and holds no pointers.
    unsafe { bpf(BPF_LINK_CREATE, &attr) }
}

/// bpf(2) for the commands that return a file descriptor.
///
/// # Safety
/// `T` must be the structure that the command takes, with valid pointers in it.
unsafe fn bpf<T>(command: libc::c_int, attr: &T) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads size_of::<T>() bytes of `attr`, and takes the rest as zeroes.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<T>()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us, close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
