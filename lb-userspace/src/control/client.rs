//! Asks a running agent.

use std::io::{self, BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::protocol::{Refusal, Request};

/// No answer from the agent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens there.
    #[error("no agent answers on {}: is `lb run` running?", .0.display())]
    NotRunning(PathBuf),
    /// The socket's mode and group keep this user out.
    #[error("{}: permission denied: see `control.mode` and `control.group`", .0.display())]
    Forbidden(PathBuf),
    /// The connection failed later.
    #[error("{}: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The agent said why not.
    #[error("{0}")]
    Refused(String),
}

/// The agent's limit on standing still is shorter: this is for one that hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes read at once.
const BUFFER: usize = 256 * 1024;

/// Sends `request` and returns the document, as the agent wrote it.
pub fn ask(path: &Path, request: &Request) -> Result<Vec<u8>, Error> {
    let mut document = Vec::new();
    ask_by_line(path, request, &mut |line| {
        document.extend_from_slice(line);
        ControlFlow::Continue(())
    })?;
    Ok(document)
}

/// Sends `request` and hands on the document line by line, ends of lines included, until `each`
/// breaks off: a list of a million flows need not fit into memory.
pub fn ask_by_line(
    path: &Path,
    request: &Request,
    each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<(), Error> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            Error::NotRunning(path.to_owned())
        }
        io::ErrorKind::PermissionDenied => Error::Forbidden(path.to_owned()),
        _ => Error::Io {
            path: path.to_owned(),
            source,
        },
    };
    let mut stream = UnixStream::connect(path).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let mut line = serde_json::to_vec(request).map_err(|error| failed(error.into()))?;
    line.push(b'\n');
    // An agent that turns this client away closes without reading; its reason is still there.
    let sent = stream.write_all(&line);
    let mut stream = BufReader::with_capacity(BUFFER, stream);
    let mut line = Vec::new();
    let mut sent = Some(sent);
    loop {
        line.clear();
        let read = stream.read_until(b'\n', &mut line);
        if let Some(sent) = sent.take() {
            if let Ok(Refusal { error }) = serde_json::from_slice(&line) {
                return Err(Error::Refused(error));
            }
            sent.map_err(failed)?;
            if let Ok(0) = read {
                return Err(failed(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        if read.map_err(failed)? == 0 || each(&line).is_break() {
            return Ok(());
        }
    }
}
