//! The real data plane: the XDP programs in the kernel, their maps and counters.
//!
//! Programs and links belong to this process and are not pinned: when it ends, however it ends, the
//! kernel detaches the program and frees the maps, and nothing is left on the interfaces.

mod attach;
mod decap;
mod error;
mod events;
mod flows;
mod load;
mod mapping;
mod maps;
mod offload;
mod sources;

use std::io;
use std::time::Duration;

use aya::Ebpf;
use aya::programs::{ProgramError, TestRun, TestRunOptions, Xdp};
use lb_common::access::Node;
use lb_common::event::Tally;
use lb_common::flow::Bucket;
use lb_common::map;
use lb_common::service::Counts;
use lb_common::table::{SWEEP_BUCKETS, Sweep};

use crate::dataplane::GaugeId;
use crate::dataplane::ids::Id;
pub use attach::{AttachError, Attached, Mode, attach};
pub use decap::Decap;
pub use error::{LoadError, ReadError};
pub use events::Events;
pub use flows::{FlowFilter, FlowRecord, FlowTables, now};
pub use load::load_programs;
pub use mapping::Mapping;
pub use sources::{Ban, Sources};

/// In this time expiry looks at every flow once.
const ROUND: Duration = Duration::from_secs(10);

/// Smallest frame that the kernel takes for a test run: an Ethernet header.
const EXPIRY_FRAME: [u8; 14] = [0; 14];

/// The programs, loaded; attached to interfaces with [`Kernel::attach`].
#[derive(Debug)]
pub struct Kernel {
    ebpf: Ebpf,
    interfaces: Vec<Attached>,
    flows: FlowTables,
    counts: Mapping<Counts>,
    gauges: Mapping<u64>,
    ring: Mapping<u32>,
    sweep: Mapping<Sweep>,
    access: Mapping<Node>,
    sources: Sources,
    /// Length of [`map::SERVICE_DROPS`].
    service_ids: u32,
    event_tally: Mapping<Tally>,
    /// Part of a run that expiry still owes.
    expiry_debt: Duration,
}

/// A flow table, for `lb show info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// Entries that it has room for; a flow takes two.
    pub slots: u64,
    /// Entries in use when expiry last came to the table's end.
    pub used: u64,
    /// Memory, in bytes.
    pub bytes: u64,
}

/// A loaded program, for `lb show info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramInfo {
    /// Its name.
    pub name: &'static str,
    /// Instructions that the verifier walked; Linux says so from 5.16 on.
    pub verified_instructions: Option<u32>,
}

impl Kernel {
    /// The flow tables, to read without asking anybody.
    pub fn flows(&self) -> &FlowTables {
        &self.flows
    }

    /// What sources have opened, to read without asking anybody.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Active flows of a server or of a service.
    pub fn gauge(&self, id: GaugeId) -> u64 {
        self.gauges.read(id.number().into()).unwrap_or_default()
    }

    /// The interfaces that the program is attached to.
    pub fn interfaces(&self) -> &[Attached] {
        &self.interfaces
    }

    /// The IPv4 table, then the IPv6 table.
    pub fn tables(&self) -> [TableInfo; 2] {
        let sweep = self.sweep.read(0).unwrap_or_default();
        let info = |buckets: u32, bytes: usize, used: u32| TableInfo {
            slots: u64::from(buckets) * u64::from(lb_common::flow::BUCKET_SLOTS),
            used: used.into(),
            bytes: u64::from(buckets) * bytes as u64,
        };
        let v4 = self.flows.v4().len();
        let v6 = self.flows.v6().len();
        [
            info(v4, size_of::<Bucket<u32>>(), sweep.used[0]),
            info(v6, size_of::<Bucket<[u64; 2]>>(), sweep.used[1]),
        ]
    }

    /// Flows that were told of, and that could not be.
    pub fn event_tally(&self) -> Tally {
        self.event_tally.read(0).unwrap_or_default()
    }

    /// The loaded programs.
    pub fn programs(&self) -> Vec<ProgramInfo> {
        let info = |name| ProgramInfo {
            name,
            verified_instructions: self
                .ebpf
                .program(name)
                .and_then(|program| program.info().ok())
                .and_then(|info| info.verified_instruction_count()),
        };
        map::PROGRAMS.map(info).into()
    }

    /// Lets the expiry program look at its share of the flow table for `elapsed`, the time since it
    /// was last asked to: so that a round takes [`ROUND`].
    pub fn expire(&mut self, elapsed: Duration) -> Result<(), ReadError> {
        let buckets = self.flows.v4().len().max(self.flows.v6().len());
        let runs = buckets.div_ceil(SWEEP_BUCKETS).max(1);
        let per_run = ROUND / runs;
        self.expiry_debt = (self.expiry_debt + elapsed).min(ROUND);
        let due = self.expiry_debt.as_nanos() / per_run.as_nanos().max(1);
        let Ok(repeat @ 1..) = u32::try_from(due) else {
            return Ok(());
        };
        self.expiry_debt -= per_run * repeat;
        let program = self
            .ebpf
            .program(map::EXPIRE_PROGRAM)
            .and_then(|program| <&Xdp>::try_from(program).ok())
            .ok_or(ReadError::Missing(map::EXPIRE_PROGRAM))?;
        let run = program.test_run(TestRunOptions {
            data_in: Some(&EXPIRY_FRAME),
            repeat,
            ..TestRunOptions::default()
        });
        match run {
            // A signal came: the next run goes on where this one stopped.
            Err(ProgramError::SyscallError(error))
                if error.io_error.kind() == io::ErrorKind::Interrupted => {}
            result => {
                result.map_err(ReadError::Expiry)?;
            }
        }
        Ok(())
    }
}
