//! Running the programs.

use anyhow::{Context, Result, bail};
use aya::programs::{TestRun, TestRunOptions, Xdp};
use lb_common::map;

use super::Plane;

/// Bytes that the kernel keeps free before a frame.
const HEADROOM: usize = 256;

/// What an XDP program says shall become of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Dropped, and reported as the program's fault.
    Aborted,
    /// Dropped.
    Drop,
    /// Left to the kernel's stack.
    Pass,
    /// Out by the interface that it came in by.
    Tx,
    /// Out by another interface.
    Redirect,
}

/// What became of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// What shall become of it.
    pub verdict: Verdict,
    /// Its bytes after the program.
    pub frame: Vec<u8>,
}

/// `struct xdp_md` of the kernel's `linux/bpf.h`.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct XdpMd {
    data: u32,
    data_end: u32,
    data_meta: u32,
    ingress_ifindex: u32,
    rx_queue_index: u32,
    egress_ifindex: u32,
}

impl XdpMd {
    /// A frame of `length` bytes that came in by `ifindex`.
    pub(crate) fn new(length: u32, ifindex: u32) -> Self {
        Self {
            data_end: length,
            ingress_ifindex: ifindex,
            ..Self::default()
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: six integers without padding.
        unsafe { std::slice::from_raw_parts((&raw const *self).cast(), size_of::<Self>()) }
    }
}

impl Plane {
    /// Runs the forwarding program on a frame that came in by `ifindex`, an interface of the calling
    /// thread's network namespace. The frame has at least 14 bytes (the kernel takes no shorter one)
    /// and at most about 3,500.
    pub fn run(&self, ifindex: u32, frame: &[u8]) -> Result<Ran> {
        run(self.program(map::PROGRAM)?, ifindex, frame)
    }

    /// Runs the expiry program once.
    pub fn expire(&self) -> Result<()> {
        // Its packet is not looked at, but there must be one.
        let frame = [0; 64];
        self.program(map::EXPIRE_PROGRAM)?
            .test_run(TestRunOptions {
                data_in: Some(&frame),
                ..TestRunOptions::new()
            })?;
        Ok(())
    }

    fn program(&self, name: &str) -> Result<&Xdp> {
        self.ebpf
            .program(name)
            .with_context(|| format!("the object has no program {name}"))?
            .try_into()
            .map_err(Into::into)
    }
}

/// Runs a program on a frame that came in by `ifindex`.
pub(super) fn run(program: &Xdp, ifindex: u32, frame: &[u8]) -> Result<Ran> {
    // Programs may put headers before the frame.
    let mut out = vec![0; frame.len() + HEADROOM];
    let context = XdpMd::new(frame.len().try_into()?, ifindex);
    let result = program
        .test_run(TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: Some(context.bytes()),
            ..TestRunOptions::new()
        })
        .with_context(|| format!("a frame of {} bytes on interface {ifindex}", frame.len()))?;
    out.truncate(result.data_size_out as usize);
    Ok(Ran {
        verdict: verdict(result.return_value)?,
        frame: out,
    })
}

fn verdict(action: u32) -> Result<Verdict> {
    Ok(match action {
        0 => Verdict::Aborted,
        1 => Verdict::Drop,
        2 => Verdict::Pass,
        3 => Verdict::Tx,
        4 => Verdict::Redirect,
        other => bail!("the program returned {other}, which is no XDP action"),
    })
}
