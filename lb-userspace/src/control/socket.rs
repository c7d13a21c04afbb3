//! The unix socket's file: its path, its permissions, and what is left of an agent that died.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group};
use tokio::net::UnixListener;

use crate::config;

/// The socket could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody answers there.
    #[error("{}: another agent answers on this control socket", .0.display())]
    InUse(PathBuf),
    /// Something else has that path.
    #[error("{}: exists and is not a socket, so it is not replaced", .0.display())]
    NotASocket(PathBuf),
    /// The kernel said no.
    #[error("{}: {action}: {source}", path.display())]
    Io {
        /// The socket, or the directory it is in.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// A listening control socket. Dropping it removes the file, unless another agent's is there now.
#[derive(Debug)]
pub struct Socket {
    pub(super) listener: UnixListener,
    file: SocketFile,
}

impl Socket {
    /// Listens as `config` says. The file of an agent that is gone is replaced.
    ///
    /// The socket is made beside its path and moved there once it has its permissions, so there is
    /// no moment at which others may connect, or at which the path is missing.
    pub fn bind(config: &config::Control) -> Result<Self, Error> {
        let path = &config.socket;
        let group = config.group.as_deref().and_then(group_id);
        if let Some(directory) = path.parent() {
            let mut make = DirBuilder::new();
            make.recursive(true)
                .mode(0o755)
                .create(directory)
                .map_err(failed(directory, "making the directory"))?;
        }
        refuse_occupied(path)?;

        let mut beside = path.clone().into_os_string();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        // Of an earlier process with this id, if any.
        let _ = fs::remove_file(&beside);
        let listener = UnixListener::bind(&beside).map_err(failed(path, "listening"))?;
        let mut file = SocketFile {
            inode: inode(&beside),
            path: beside,
        };
        fs::set_permissions(&file.path, Permissions::from_mode(config.mode))
            .map_err(failed(path, "setting its mode"))?;
        nix::unistd::chown(&file.path, None, group)
            .map_err(|errno| failed(path, "setting its group")(errno.into()))?;
        fs::rename(&file.path, path).map_err(failed(path, "putting it in place"))?;
        file.path.clone_from(path);
        Ok(Self { listener, file })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.file.path
    }
}

/// The file, removed when dropped.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: Option<u64>,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.inode.is_some() && inode(&self.path) == self.inode {
            // It is gone already, or its directory is: either way there is nothing left to do.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path)
        .map(|metadata| metadata.ino())
        .ok()
}

fn failed(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Io {
        path,
        action,
        source,
    }
}

/// A group that does not exist keeps its members out, and is no reason not to balance.
fn group_id(name: &str) -> Option<Gid> {
    match Group::from_name(name) {
        Ok(Some(group)) => Some(group.gid),
        _ => {
            tracing::warn!("control.group: this host has no group {name}: root alone may ask");
            None
        }
    }
}

/// Whoever accepts connections at `path`, or might, keeps it.
fn refuse_occupied(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(path, "looking at it")(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(Error::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        _ => Err(Error::InUse(path.to_owned())),
    }
}

#[cfg(test)]
mod tests;
