//! The one room with unsafe code: what promises about descriptors have to be made by hand.
#![allow(unsafe_code, reason = "this is the room that may")]

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Sockets that systemd passed and nobody took yet. `None`: not looked at yet.
static ACTIVATED: Mutex<Option<Vec<(String, OwnedFd)>>> = Mutex::new(None);

/// The sockets that systemd opened for us under a name (`FileDescriptorName=`). Each is given once.
///
/// # Errors
/// There is none of that name, or it was taken already.
pub(crate) fn activated(name: &str) -> io::Result<Vec<OwnedFd>> {
    let mut slot = ACTIVATED.lock().unwrap_or_else(PoisonError::into_inner);
    let passed = match &mut *slot {
        Some(passed) => passed,
        empty => empty.insert(receive()?),
    };
    let (ours, rest) = std::mem::take(passed).into_iter().partition(|(found, _)| found == name);
    *passed = rest;
    let ours: Vec<(String, OwnedFd)> = ours;
    if ours.is_empty() {
        let message = format!("systemd passed no socket named \"{name}\"");
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    }
    Ok(ours.into_iter().map(|(_, fd)| fd).collect())
}

/// Watches a listening descriptor for connections.
///
/// # Errors
/// The runtime has no room for it.
pub(crate) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open and stays the same descriptor for as long as it lives, which is as long as the result.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

/// Gives memory that was freed back to the system. glibc keeps it otherwise when anything that is still in use stands
/// behind it. Takes some milliseconds after a large ebb.
pub(crate) fn return_free_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time from any thread; it takes the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Raises the limit on open descriptors to the highest that this process may have; gives it. `None`: there is no limit.
pub(crate) fn raise_descriptor_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

fn receive() -> io::Result<Vec<(String, OwnedFd)>> {
    let passed = sd_notify::listen_fds_with_names()?;
    Ok(passed.map(|(fd, name)| (name, own(fd))).collect())
}

fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: systemd passed this descriptor to this process (LISTEN_PID is ours), and it is read from the environment
    // once, under the lock, so nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
