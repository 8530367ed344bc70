//! Which processor runs what: the measured process alone on one, everything else on the others.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::failure::Result;

/// The division of the processors that this process may use.
pub(crate) struct Division {
    relay: CpuSet,
    load: CpuSet,
}

impl Division {
    /// The last processor for relays, the others for the load. With one processor alone both share it.
    pub(crate) fn of_this_machine() -> Result<Self> {
        let all = sched_getaffinity(None).map_err(std::io::Error::from)?;
        let mut numbers: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)).collect();
        let last = numbers.pop().unwrap_or(0);
        if numbers.is_empty() {
            numbers.push(last);
        }
        Ok(Self { relay: set(&[last]), load: set(&numbers) })
    }

    /// Starts something that inherits the relays' processor.
    pub(crate) fn on_relay_side<T>(&self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        pin(&self.relay)?;
        let started = start();
        pin(&self.load)?;
        started
    }

    /// Moves this thread, and what it starts from now on, to the load's processors.
    pub(crate) fn enter_load_side(&self) -> Result<()> {
        pin(&self.load)
    }
}

fn pin(cpus: &CpuSet) -> Result<()> {
    Ok(sched_setaffinity(None, cpus).map_err(std::io::Error::from)?)
}

fn set(numbers: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    for number in numbers {
        set.set(*number);
    }
    set
}
