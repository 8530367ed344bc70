//! What the kernel tells of the proxy's process.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::failure::{Failure, Result};

/// A process that is being watched.
#[derive(Debug, Clone)]
pub(crate) struct Process(PathBuf);

impl Process {
    pub(super) fn new(id: u32) -> Self {
        Self(PathBuf::from(format!("/proc/{id}")))
    }

    /// Processor time of all its threads.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for thread in fs::read_dir(self.0.join("task"))? {
            // A thread may end while we look.
            let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            nanoseconds += schedstat(&text).ok_or_else(|| unreadable("schedstat"))?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Its resident memory now, in bytes.
    pub(crate) fn memory(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    fn status(&self, line: &str) -> Result<u64> {
        let text = fs::read_to_string(self.0.join("status"))?;
        kibibytes(&text, line).map(|value| value << 10).ok_or_else(|| unreadable("status"))
    }
}

/// The first number: nanoseconds on a processor.
fn schedstat(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn unreadable(file: &str) -> Failure {
    Failure::new(format!("/proc/PID/{file} is not written as expected"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_can_be_watched() {
        let this = Process::new(std::process::id());
        assert!(this.memory().unwrap() > 0);
        this.cpu().unwrap();
    }

    #[test]
    fn a_line_of_status_is_found_by_its_name() {
        assert_eq!(kibibytes("VmHWM:\t  12 kB\nVmRSS:\t   7 kB\n", "VmRSS:"), Some(7));
        assert_eq!(kibibytes("VmRSS: many\n", "VmRSS:"), None);
    }
}
