//! Asks a running agent.

use std::io::{self, Read, Write};
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

/// Sends `request` and returns the document, as the agent wrote it.
pub fn ask(path: &Path, request: &Request) -> Result<Vec<u8>, Error> {
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
    let mut document = Vec::new();
    let read = stream.read_to_end(&mut document);
    if let Ok(Refusal { error }) = serde_json::from_slice(&document) {
        return Err(Error::Refused(error));
    }
    sent.and(read).map_err(failed)?;
    if document.is_empty() {
        return Err(failed(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(document)
}
