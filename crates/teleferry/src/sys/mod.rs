//! The one room with unsafe code: what promises about descriptors have to be made by hand.
#![allow(unsafe_code, reason = "this is the room that may")]

use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::ioctl::{Getter, Opcode, ioctl};
use rustix::mm::{Advice, madvise};
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

/// Bytes that a TCP socket has taken from us and not sent yet; 0 where the system does not tell.
pub(crate) fn unsent(socket: BorrowedFd<'_>) -> usize {
    /// `SIOCOUTQNSD`: what was written and was never sent; bytes on their way do not count.
    const SIOCOUTQNSD: Opcode = 0x894b;
    // SAFETY: for this request the kernel writes one C `int`.
    let unsent = unsafe { ioctl(socket, Getter::<SIOCOUTQNSD, i32>::new()) };
    unsent.map_or(0, |bytes| usize::try_from(bytes).unwrap_or(0))
}

/// Bytes that a TCP socket has taken from us and whose other end has not said that they came; `None` where the system does
/// not tell, and for other sockets.
pub(crate) fn unacknowledged(socket: BorrowedFd<'_>) -> Option<u64> {
    /// `SIOCOUTQ`: what was written and not acknowledged.
    const SIOCOUTQ: Opcode = 0x5411;
    // SAFETY: for this request the kernel writes one C `int`.
    let bytes = unsafe { ioctl(socket, Getter::<SIOCOUTQ, i32>::new()) };
    bytes.ok().and_then(|bytes| u64::try_from(bytes).ok())
}

/// What the system knows of the way that a TCP connection takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Way {
    /// Segments that the other end's system has, also those behind a lost one. After the last number comes zero.
    pub(crate) delivered: u32,
    /// Segments that came here behind a lost one. After the last number comes zero.
    pub(crate) early: u32,
    /// For how long silence is nothing unusual: the time to there and back, and four times what it varies by (RFC 6298).
    pub(crate) round_trip: Duration,
}

/// Asks for the way that a TCP connection takes; `None` where the system does not tell, and for other sockets. Linux before
/// 5.4 counts no segments.
pub(crate) fn way(socket: BorrowedFd<'_>) -> Option<Way> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = size_of::<libc::tcp_info>().try_into().ok()?;
    let place = info.as_mut_ptr().cast();
    // SAFETY: the kernel writes at most `len` bytes there, which is what `info` has, and only during the call.
    let done = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, place, &raw mut len)
    };
    if done != 0 {
        return None;
    }
    // SAFETY: it is made of integers alone, and all of it is zero or what the kernel wrote.
    let info = unsafe { info.assume_init() };
    let micros = u64::from(info.tcpi_rtt) + 4 * u64::from(info.tcpi_rttvar);
    Some(Way {
        delivered: info.tcpi_delivered,
        early: info.tcpi_rcv_ooopack,
        round_trip: Duration::from_micros(micros),
    })
}

/// Has the allocator keep up to a megabyte of freed memory at the end of what a thread has. Left to itself, glibc gives the
/// system every buffer of bulk as soon as it is free, to get it back, page for page, for the next one. What it keeps there
/// stays: [`return_free_memory`] takes holes, and of threads other than the first nothing at the end.
pub(crate) fn reuse_freed_memory() {
    #[cfg(target_env = "gnu")]
    for (parameter, bytes) in [(libc::M_MMAP_THRESHOLD, 192 << 10), (libc::M_TRIM_THRESHOLD, 1 << 20)] {
        // SAFETY: it changes two numbers of the allocator, under its own lock. Where it does not, nothing is lost.
        unsafe { libc::mallopt(parameter, bytes) };
    }
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

/// Takes code and constants, which stand in files, out of the process's memory. What is used comes back at its next use, 16
/// pages at a time; what only the start needed (parsing, the command line) stays out, which is some 2 MiB.
///
/// # Errors
/// The system does not tell where they are. Nothing has changed.
pub(crate) fn forget_files() -> io::Result<()> {
    for range in unwritten_mappings(&std::fs::read_to_string("/proc/self/smaps")?) {
        // SAFETY: nothing was ever written to this private mapping of a file, and nobody may write to it: what is read there
        // next is what was there before.
        unsafe { madvise(range.start as *mut _, range.len(), Advice::LinuxDontNeed) }?;
    }
    Ok(())
}

/// The addresses in an `smaps` where a file stands as it is: private, not writable, and without a page of our own (those of
/// constants that the linker moved, for example).
fn unwritten_mappings(smaps: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut current = None;
    for line in smaps.lines() {
        match line.split_ascii_whitespace().collect::<Vec<_>>()[..] {
            ["Anonymous:", "0", "kB"] => found.extend(current.take()),
            [range, rights, _, _, inode, _, ..] => {
                let file = matches!(rights, "r--p" | "r-xp") && inode != "0";
                current = file.then(|| addresses(range)).flatten();
            }
            _ => {}
        }
    }
    found
}

fn addresses(range: &str) -> Option<Range<usize>> {
    let (start, end) = range.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    Some(address(start)?..address(end)?)
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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn only_files_that_nobody_wrote_to_are_found() {
        let found = |rights: &str, inode: u32, anonymous: u32| {
            unwritten_mappings(&format!(
                "1000-3000 {rights} 001d9000 fe:00 {inode} /usr/bin/a name\nRss: 8 kB\nAnonymous: {anonymous} kB\nVmFlags: rd mr\n"
            ))
        };
        assert_eq!(found("r-xp", 7, 0).pop(), Some(0x1000..0x3000));
        assert_eq!(found("r--p", 7, 0).pop(), Some(0x1000..0x3000));
        for rights in ["rw-p", "rwxp", "r-xs", "---p"] {
            assert!(found(rights, 7, 0).is_empty(), "{rights}");
        }
        assert!(found("r-xp", 0, 0).is_empty(), "not a file");
        assert!(found("r--p", 7, 4).is_empty(), "a page of our own");
        assert!(unwritten_mappings("Anonymous: 0 kB\nnonsense").is_empty());
    }

    #[test]
    fn what_was_forgotten_is_there_when_it_is_used() {
        static MOVED: [&str; 2] = ["constants that the linker", "moved"];
        forget_files().expect("the system tells");
        assert_eq!(MOVED.join(" "), "constants that the linker moved");
    }

    #[test]
    fn the_way_of_a_connection_is_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let mut near = TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let (mut far, _) = listener.accept().expect("accepted");
        let before = way(near.as_fd()).expect("TCP");
        near.write_all(&[1; 100]).expect("written");
        far.read_exact(&mut [0; 100]).expect("read");
        // What comes back acknowledges it.
        far.write_all(&[1]).expect("written");
        near.read_exact(&mut [0]).expect("read");
        let after = way(near.as_fd()).expect("TCP");
        assert_eq!((after.delivered, after.early), (before.delivered + 1, 0));
        assert!(after.round_trip > Duration::ZERO);
        let (other, _) = UnixStream::pair().expect("a pair");
        assert_eq!(way(other.as_fd()), None);
    }
}
