//! Who runs first when processors are scarce: what is measured, then the bulk beside it, then the rest of the machine.

use std::process::{Command, Stdio};

use rustix::process::{Pid, setpriority_process};
use rustix::thread::gettid;

use crate::failure::{Failure, Result};

/// This thread, and what it starts from now on, before everything else on the machine, if it may; ordinary again when
/// dropped.
#[derive(Debug)]
pub(crate) struct First {
    granted: bool,
}

impl First {
    /// Asks for real-time priority.
    pub(crate) fn ask() -> Result<Self> {
        Ok(Self { granted: schedule("--rr", "1", gettid())? })
    }

    /// Whether it was given. If not, only a quiet machine gives times that mean anything.
    pub(crate) const fn granted(&self) -> bool {
        self.granted
    }
}

impl Drop for First {
    fn drop(&mut self) {
        // Going back needs no permission.
        let _ = schedule("--other", "0", gettid());
    }
}

/// Puts a thread, or a process of one, behind what is [`First`], and before everything else where the system allows it;
/// behind everything where it does not.
///
/// # Errors
/// The system refuses both.
pub(crate) fn second(id: Pid) -> Result<()> {
    /// The most favourable nice value.
    const BEFORE_OTHERS: i32 = -20;
    if schedule("--other", "0", id)? && setpriority_process(Some(id), BEFORE_OTHERS).is_ok() {
        return Ok(());
    }
    match schedule("--idle", "0", id)? {
        true => Ok(()),
        false => Err(Failure::new("chrt cannot lower a priority")),
    }
}

/// Sets a scheduling policy; false when it is refused.
fn schedule(policy: &str, priority: &str, id: Pid) -> Result<bool> {
    let id = id.as_raw_nonzero().to_string();
    let mut chrt = Command::new("chrt");
    chrt.args([policy, "--pid", priority, &id]).stderr(Stdio::null());
    let status =
        chrt.status().map_err(|error| Failure::from(error).during("chrt of util-linux is needed"))?;
    Ok(status.success())
}
