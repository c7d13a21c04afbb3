//! What the data path tells of flows, as the agent reads it.

use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use lb_common::event::{Event, Tally, VERSION};
use lb_common::map;

use super::load::array;
use super::{Kernel, LoadError, Mapping};

/// The reader's end of the ring buffer. There is one; it outlives the programs.
pub struct Events {
    buffer: RingBuf<MapData>,
    tally: Mapping<Tally>,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Events {
    /// Waits until many events are there, or for `limit`. A few wake nobody: look after that, too.
    pub fn wait(&self, limit: Duration) {
        let mut poll = libc::pollfd {
            fd: self.buffer.as_fd().as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let millis = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one valid descriptor. A signal ends it early, as does an error: then somebody who
        // looks too often has done so.
        unsafe { libc::poll(&raw mut poll, 1, millis) };
    }

    /// How many were written and lost since the programs were loaded.
    pub fn tally(&self) -> Tally {
        self.tally.read(0).unwrap_or_default()
    }
}

/// Events that have not been read, the oldest first; there may be more after the end.
impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            let record = self.buffer.next()?;
            if record.len() != size_of::<Event>() {
                continue;
            }
            // SAFETY: as long as an event, which is plain old data.
            let event = unsafe { record.as_ptr().cast::<Event>().read_unaligned() };
            if event.version == VERSION {
                return Some(event);
            }
        }
    }
}

impl Kernel {
    /// The events of this data plane: to whoever asks first.
    pub fn take_events(&mut self) -> Result<Events, LoadError> {
        let tally = Mapping::new(array(&self.ebpf, map::EVENT_TALLY)?, map::EVENT_TALLY)?;
        let buffer = self
            .ebpf
            .take_map(map::EVENTS)
            .ok_or(LoadError::Missing(map::EVENTS))?;
        let buffer =
            RingBuf::try_from(buffer).map_err(|error| LoadError::Loader(Box::new(error.into())))?;
        Ok(Events { buffer, tally })
    }
}
