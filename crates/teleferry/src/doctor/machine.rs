//! Limits and memory of this machine.

use std::fs;

use super::running::Running;
use super::unit::Unit;
use super::{Finding, Subject};
use crate::config::Snapshot;
use crate::process::{carried_by, descriptors_for};
use crate::sys;

/// Bytes that a connection takes at most while it is idle, with its part of the kernel's.
const CONNECTION: u64 = 8 << 10;

/// Descriptors, memory and threads.
pub(super) fn examine(subject: &Subject<'_>, running: &Running, unit: Option<&Unit>) -> Vec<Finding> {
    let snapshot = subject.snapshot;
    let mut findings = vec![descriptors(snapshot, limit(running, unit))];
    let memory = Memory::now(running.process());
    findings.extend(memory.map(|memory| memory.judge(snapshot)));
    findings.extend(workers(snapshot));
    findings
}

/// The descriptor limit of the running process, else of the service, else what this command could have.
fn limit(running: &Running, unit: Option<&Unit>) -> Option<u64> {
    let of_process = running.process().and_then(|process| {
        let limits = fs::read_to_string(format!("/proc/{process}/limits")).ok()?;
        max_open_files(&limits)
    });
    of_process.or_else(|| unit.and_then(Unit::descriptors)).or_else(sys::raise_descriptor_limit)
}

/// The limit in force; none when there is no limit.
fn max_open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A limit that carries fewer connections than this is met soon: an app has several.
const FEW: usize = 2000;

/// Whether the descriptor limit carries what is configured.
fn descriptors(snapshot: &Snapshot, limit: Option<u64>) -> Finding {
    let wanted = snapshot.server.max_connections;
    match limit.map(|limit| carried_by(snapshot, limit)) {
        Some(carried) if carried < wanted => {
            let found = format!(
                "the descriptor limit carries {carried} connections, server.max_connections is {wanted}"
            );
            let meaning = "further clients wait until others leave";
            let advice = format!(
                "raise LimitNOFILE or ulimit -n to {} (where the unit says so already, the machine's host sets a lower one), or set server.max_connections to {carried}",
                descriptors_for(snapshot)
            );
            // The default is more than most proxies ever see.
            if carried < FEW {
                Finding::wrong("descriptors", found, meaning, &advice)
            } else {
                Finding::advice("descriptors", found, meaning, &advice)
            }
        }
        _ => Finding::fine("descriptors", format!("the limit carries {wanted} connections")),
    }
}

/// In bytes.
#[derive(Debug)]
struct Memory {
    /// What the machine has, or this container may take.
    total: u64,
    /// What nobody uses.
    available: u64,
    /// What the running process takes.
    resident: Option<u64>,
}

impl Memory {
    fn now(process: Option<i32>) -> Option<Self> {
        let text = fs::read_to_string("/proc/meminfo").ok()?;
        let limit = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
        let limit = limit.and_then(|text| text.trim().parse().ok()).unwrap_or(u64::MAX);
        let status = process.and_then(|process| fs::read_to_string(format!("/proc/{process}/status")).ok());
        Some(Self {
            total: kilobytes(&text, "MemTotal:")?.min(limit),
            available: kilobytes(&text, "MemAvailable:")?.min(limit),
            resident: status.and_then(|status| kilobytes(&status, "VmRSS:")),
        })
    }

    fn judge(&self, snapshot: &Snapshot) -> Finding {
        let queues = snapshot.limits.memory as u64;
        let connections = snapshot.server.max_connections as u64 * CONNECTION;
        let worst = queues.saturating_add(connections);
        let taken =
            self.resident.map_or_else(String::new, |bytes| format!(", the process takes {} MiB", mib(bytes)));
        let has = format!("{} MiB, of which {} are free{taken}", mib(self.total), mib(self.available));
        if self.available < self.total / 20 {
            return Finding::wrong(
                "memory",
                format!("this machine has {has}"),
                "the system may end the proxy at any time to have memory for others",
                "see who takes it (ps aux --sort=-rss | head), add memory or swap, or lower limits.memory",
            );
        }
        if worst > self.total {
            let fits = mib(self.total / 4).max(16);
            return Finding::advice(
                "memory",
                format!("this machine has {has}; full queues and connections could take {} MiB", mib(worst)),
                "at the worst moment the system would end the proxy",
                &format!(
                    "set limits.memory to \"{fits}MiB\" and server.max_connections to {}",
                    (self.total / 4 / CONNECTION).max(256)
                ),
            );
        }
        Finding::fine("memory", format!("this machine has {has}"))
    }
}

const fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// More threads than processors only take turns.
fn workers(snapshot: &Snapshot) -> Option<Finding> {
    let cores = std::thread::available_parallelism().ok()?.get();
    let workers = snapshot.server.workers;
    (workers > cores).then(|| {
        Finding::advice(
            "workers",
            format!("server.workers is {workers}, and this machine has {cores} processors"),
            "threads take turns on one processor, which slows all clients a little",
            "leave server.workers out: one thread a processor is the default",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::doctor::Level;

    fn snapshot(rest: &str) -> Snapshot {
        config::for_tests(&format!(
            "{rest}\n[[listen]]\naddress = \"127.0.0.1:443\"\nsecret = \"8f1d5b0c4e3a49719c2b7d60a5e4f312\"\ndomain = \"a.example\"\n"
        ))
    }

    #[test]
    fn descriptors_must_carry_the_connections() {
        let snapshot = snapshot("[server]\nworkers = 1\nmax_connections = 10000");
        assert_eq!(descriptors(&snapshot, Some(1024)).level, Level::Mend);
        assert_eq!(descriptors(&snapshot, Some(descriptors_for(&snapshot))).level, Level::Ok);
        assert_eq!(descriptors(&snapshot, Some(descriptors_for(&snapshot) - 1)).level, Level::Advice);
        assert_eq!(descriptors(&snapshot, None).level, Level::Ok);
    }

    #[test]
    fn memory_must_carry_the_queues() {
        let snapshot = snapshot("[server]\nmax_connections = 1000\n[limits]\nmemory = \"512MiB\"");
        let level = |total: u64, available: u64| {
            Memory { total: total << 20, available: available << 20, resident: None }.judge(&snapshot).level
        };
        assert_eq!(level(2048, 1024), Level::Ok);
        assert_eq!(level(400, 200), Level::Advice);
        assert_eq!(level(2048, 50), Level::Mend);
    }

    #[test]
    fn what_the_system_writes_is_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \nMax open files            4096                 1048576              files     \n";
        assert_eq!(max_open_files(limits), Some(4096));
        assert_eq!(max_open_files("Max open files unlimited unlimited files"), None);
        assert_eq!(kilobytes("MemTotal:  2048 kB\n", "MemTotal:"), Some(2 << 20));
        assert!(Memory::now(None).is_some_and(|memory| memory.total > memory.available));
    }
}
