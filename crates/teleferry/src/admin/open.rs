//! Opening what those who watch connect to.

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use socket2::{Domain, SockAddr, Socket, Type};
use tracing::warn;

use crate::config::MAY_READ;
use crate::state;

/// Connections that may wait in the kernel.
const BACKLOG: i32 = 128;

/// Why those who watch cannot be served.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// `admin.http` cannot be opened.
    Http {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// `admin.token_file` cannot be used.
    Token(io::Error),
}

/// The control socket. Its file goes when this is dropped.
#[derive(Debug)]
pub(super) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Another process answers there now.
    left: AtomicBool,
}

impl ControlSocket {
    /// Opens it, or says in the log why there is none.
    pub(super) fn open_or_tell(path: &Path) -> Option<Self> {
        match Self::open(path) {
            Ok(socket) => Some(socket),
            Err(error) => {
                warn!(
                    "there is no control socket, so that `teleferry ctl` cannot reach this process: {} cannot be opened: {error}",
                    path.display()
                );
                None
            }
        }
    }

    fn open(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            state::make_directory(directory)?;
        }
        remove_stale(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        // Nobody can connect before it listens, so nobody connects with other rights.
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(Self::new(socket.into(), path))
    }

    /// One that is open at this place.
    pub(super) fn new(listener: UnixListener, path: &Path) -> Self {
        Self { listener, path: path.to_owned(), left: AtomicBool::new(false) }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Another process answers there now: the file stays.
    pub(super) fn leave(&self) {
        self.left.store(true, Relaxed);
    }

    /// The socket for a runtime.
    pub(super) fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if !self.left.load(Relaxed) {
            // Gone already, or the directory is: there is nothing to do about it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a socket that a process left behind; one that somebody answers on stays.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of that name"))
        }
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process answers there")),
            Err(_) => fs::remove_file(path),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Opens the address for tools.
pub(super) fn http(address: SocketAddr) -> Result<std::net::TcpListener, OpenError> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // A restart does not wait for the connections of the process before.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    open().map_err(|error| OpenError::Http { address, error })
}

/// Whether only this machine can connect to it.
pub(super) fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { address, error } => {
                write!(
                    f,
                    "admin.http cannot open {address}: {error} (choose another port, or leave the key out)"
                )
            }
            Self::Token(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                write!(f, "admin.token_file cannot be used: {error} ({MAY_READ})")
            }
            Self::Token(error) => write!(f, "admin.token_file cannot be used: {error}"),
        }
    }
}

impl std::error::Error for OpenError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_for_its_owner_replaces_a_stale_one_and_leaves_a_live_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ctl.sock");
        drop(UnixListener::bind(&path).expect("bound"));
        assert!(path.exists(), "it is left behind");
        let socket = ControlSocket::open(&path).expect("the stale one is replaced");
        let mode = fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let error = ControlSocket::open(&path).expect_err("somebody answers there");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        assert!(!path.exists(), "nothing is left behind");
        fs::write(&path, "mine").expect("written");
        ControlSocket::open(&path).expect_err("no file is removed that is no socket");
        assert_eq!(fs::read(&path).expect("there"), b"mine");
    }
}
