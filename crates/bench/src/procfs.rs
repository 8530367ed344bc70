//! What the kernel tells of a process: processor time, memory, descriptors.

use std::fs;
use std::io;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Pid;

/// A process that is being watched.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    id: Pid,
    directory: PathBuf,
}

impl Process {
    pub(crate) fn new(id: Pid) -> Self {
        Self { id, directory: PathBuf::from(format!("/proc/{}", id.as_raw_nonzero())) }
    }

    /// Its number.
    pub(crate) const fn id(&self) -> Pid {
        self.id
    }

    /// Processor time of all its threads that live, user and kernel. Exact while they sleep.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        let mut nanoseconds = 0;
        for thread in fs::read_dir(self.directory.join("task"))? {
            match fs::read_to_string(thread?.path().join("schedstat")) {
                Ok(text) => nanoseconds += schedstat(&text).ok_or_else(|| unreadable("schedstat"))?,
                // A thread may end while we look.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Waits until it has nothing more to do, and gives its processor time.
    ///
    /// # Errors
    /// It has ended, or never comes to rest.
    pub(crate) async fn settled(&self) -> io::Result<Duration> {
        settled(std::slice::from_ref(self)).await
    }

    /// Its proportional share of memory, in bytes.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) fn memory(&self) -> io::Result<u64> {
        self.rollup("Pss:")
    }

    /// The part of it that stands in no file: not code, of which some is mapped whenever something is done for the first time.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) fn own_memory(&self) -> io::Result<u64> {
        self.rollup("Pss_Anon:")
    }

    fn rollup(&self, name: &str) -> io::Result<u64> {
        let text = fs::read_to_string(self.directory.join("smaps_rollup"))?;
        kilobytes(&text, name).ok_or_else(|| unreadable("smaps_rollup"))
    }

    /// How many descriptors it has open.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) fn descriptors(&self) -> io::Result<usize> {
        Ok(fs::read_dir(self.directory.join("fd"))?.count())
    }
}

/// Processor time of several processes together.
///
/// # Errors
/// One has ended.
pub(crate) fn cpu(processes: &[Process]) -> io::Result<Duration> {
    processes.iter().map(Process::cpu).sum()
}

/// Waits until none of them has anything more to do, and gives their processor time.
///
/// # Errors
/// One has ended, or they never come to rest.
pub(crate) async fn settled(processes: &[Process]) -> io::Result<Duration> {
    /// What a process that has nothing to do takes in a pause: its ticks.
    const IDLE: Duration = Duration::from_micros(300);
    const PAUSE: Duration = Duration::from_millis(40);
    const TRIES: usize = 250;
    let mut before = cpu(processes)?;
    for _ in 0..TRIES {
        tokio::time::sleep(PAUSE).await;
        let now = cpu(processes)?;
        if now.saturating_sub(before) < IDLE * processes.len() as u32 {
            return Ok(now);
        }
        before = now;
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "a process never comes to rest"))
}

/// How many connections of this machine lead to this address.
///
/// # Errors
/// The kernel does not say.
pub(crate) fn connections_to(address: SocketAddrV4) -> io::Result<usize> {
    Ok(established_to(&fs::read_to_string("/proc/net/tcp")?, address))
}

/// Lines of `/proc/net/tcp` in state 01 with this remote address, which is written as the machine's numbers are.
fn established_to(table: &str, address: SocketAddrV4) -> usize {
    let remote = format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port());
    let leads_there = |line: &&str| {
        let mut columns = line.split_whitespace().skip(2);
        columns.next() == Some(&remote) && columns.next() == Some("01")
    };
    table.lines().filter(leads_there).count()
}

/// The first number: nanoseconds on a processor.
fn schedstat(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// The line with this name and a number of kB, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// The processor's name in `/proc/cpuinfo`.
pub(crate) fn cpu_model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim())
}

fn unreadable(file: &str) -> io::Error {
    io::Error::other(format!("/proc/PID/{file} is not written as expected"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn connections_are_counted_by_where_they_lead() {
        let table = "  sl  local_address rem_address   st tx_queue\n\
             0: 0100007F:1F90 00000000:0000 0A 0\n\
             1: 0100007F:C350 0100007F:1F90 01 0\n\
             2: 0100007F:1F90 0100007F:C350 01 0\n\
             3: 0100007F:C351 0100007F:1F90 06 0\n";
        assert_eq!(established_to(table, "127.0.0.1:8080".parse().unwrap()), 1);
        assert_eq!(established_to(table, "127.0.0.1:8081".parse().unwrap()), 0);
    }

    #[test]
    fn the_first_number_of_schedstat_counts() {
        assert_eq!(schedstat("123456 78 9\n"), Some(123_456));
        assert_eq!(schedstat(""), None);
    }

    #[test]
    fn memory_is_found_among_its_likes() {
        let text = "55d0-7ffc ---p 0 00:00 0 [rollup]\nRss:   4096 kB\nPss:   3000 kB\nPss_Dirty:  8 kB\nPss_Anon:   700 kB\n";
        assert_eq!(kilobytes(text, "Pss:"), Some(3000 << 10));
        assert_eq!(kilobytes(text, "Pss_Anon:"), Some(700 << 10));
        assert_eq!(kilobytes("Rss: 1 kB\nPss_Dirty: 8 kB\n", "Pss:"), None);
    }

    #[test]
    fn the_processor_has_a_name() {
        assert_eq!(cpu_model("processor : 0\nmodel name\t: Some CPU @ 3 GHz\n"), Some("Some CPU @ 3 GHz"));
        assert_eq!(cpu_model("processor : 0\n"), None);
    }

    #[test]
    fn this_process_can_be_watched() {
        let this = Process::new(rustix::process::getpid());
        assert!(this.memory().unwrap() > 0);
        assert!(this.descriptors().unwrap() > 2);
        this.cpu().unwrap();
    }
}
