//! Why the kernel did not do what it was asked.

use std::io;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;

/// The programs could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The process may not.
    #[error(
        "loading the XDP program is not permitted: run lb as root (or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON)"
    )]
    NotPermitted,
    /// The kernel was built without BPF.
    #[error(
        "this kernel has no BPF (CONFIG_BPF_SYSCALL); lb needs Linux 6.1 or newer with BPF and XDP"
    )]
    NoBpf,
    /// A map does not fit into memory.
    #[error(
        "map {map} could not be made, there is not enough memory for it: lower dataplane.flow_capacity"
    )]
    NoMemory {
        /// The map.
        map: String,
    },
    /// The kernel's verifier refused a program: our fault, or a kernel older than 6.1.
    #[error(
        "the kernel refuses program {program}: {source}. lb needs Linux 6.1 or newer; on such a kernel this is a bug, please report it with these lines: {log}"
    )]
    Refused {
        /// The program.
        program: &'static str,
        /// What the kernel said.
        source: io::Error,
        /// The end of the verifier's log.
        log: String,
    },
    /// A map cannot be mapped into the agent's memory.
    #[error("map {map} cannot be mapped into memory: {source}")]
    Mapping {
        /// The map.
        map: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The object inside lb is not what it should be: our fault.
    #[error("the BPF object has no {0} (a bug, please report it)")]
    Missing(&'static str),
    /// No random numbers.
    #[error("the kernel gives no random numbers: {0}")]
    Random(#[source] io::Error),
    /// A map that is filled before anything runs.
    #[error(transparent)]
    Fill(crate::dataplane::MapError),
    /// Anything else that the loader met.
    #[error("loading the BPF object: {0}")]
    Loader(#[source] Box<EbpfError>),
}

impl From<EbpfError> for LoadError {
    fn from(error: EbpfError) -> Self {
        match &error {
            EbpfError::MapError(MapError::CreateError { name, io_error })
            | EbpfError::ProgramError(ProgramError::MapError(MapError::CreateError {
                name,
                io_error,
            })) => match io_error.raw_os_error() {
                Some(libc::EPERM | libc::EACCES) => Self::NotPermitted,
                Some(libc::ENOSYS) => Self::NoBpf,
                Some(libc::ENOMEM | libc::E2BIG) => Self::NoMemory { map: name.clone() },
                _ => Self::Loader(Box::new(error)),
            },
            _ => Self::Loader(Box::new(error)),
        }
    }
}

/// Lines at the end of the verifier's log that are shown: they say what it refused.
const LOG_LINES: usize = 6;

impl LoadError {
    /// Why `program` was not loaded.
    pub(super) fn of_program(program: &'static str, error: ProgramError) -> Self {
        match error {
            ProgramError::LoadError {
                io_error,
                verifier_log,
            } => {
                let log = verifier_log.to_string();
                if log.trim().is_empty() && io_error.raw_os_error() == Some(libc::EPERM) {
                    return Self::NotPermitted;
                }
                let lines: Vec<_> = log.lines().filter(|line| !line.is_empty()).collect();
                let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
                Self::Refused {
                    program,
                    source: io_error,
                    log: last.join(" | "),
                }
            }
            other => Self::from(EbpfError::from(other)),
        }
    }
}

/// Counters could not be read, or expiry not run.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The kernel's fault.
    #[error("map {map}: reading failed: {source}")]
    Map {
        /// The map.
        map: &'static str,
        /// What the kernel said.
        source: MapError,
    },
    /// The kernel's fault.
    #[error("running the expiry program failed: {0}")]
    Expiry(#[source] ProgramError),
    /// A bug.
    #[error("the BPF object has no {0} (a bug, please report it)")]
    Missing(&'static str),
}
