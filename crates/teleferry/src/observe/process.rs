//! What the system says of this process.

use std::fs;

/// What the system says of this process; `None` where it does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ProcessReading {
    /// Descriptors that are open.
    pub open_descriptors: Option<u64>,
    /// Descriptors that may be open.
    pub max_descriptors: Option<u64>,
    /// Memory that is resident, in bytes.
    pub resident_bytes: Option<u64>,
    /// Time that processors spent on it, in seconds.
    pub cpu_seconds: Option<f64>,
}

impl ProcessReading {
    /// What the system says now. Linux alone tells.
    #[must_use]
    pub fn now() -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        Self {
            open_descriptors: fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64),
            max_descriptors: limit.current,
            resident_bytes: fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident),
            cpu_seconds: fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu),
        }
    }
}

/// `VmRSS:     3456 kB`, where a kB is 1024 bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Fields 14 and 15 in hundredths of a second; the second field may hold anything but ends with the last `)`.
fn cpu(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some((user + system) as f64 / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_writes_is_read() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t    3456 kB\n"), Some(3456 << 10));
        assert_eq!(resident("Name:\tx\n"), None);
        let stat = "1 (a) b) S 1 1 1 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0";
        assert_eq!(cpu(stat), Some(3.0));
        assert_eq!(cpu("1 (x"), None);
    }

    #[test]
    fn a_running_process_has_memory_and_descriptors() {
        let now = ProcessReading::now();
        assert!(now.open_descriptors.is_some_and(|open| open > 2), "{now:?}");
        assert!(now.resident_bytes.is_some_and(|bytes| bytes > 100_000), "{now:?}");
    }
}
