//! What a run is played on: the site, and the proxy in front of it.

mod nginx;
mod process;
mod proxy;

use std::process::Child;
use std::time::Duration;

pub(crate) use nginx::{DOMAIN, NO_NGINX, Nginx, Timers, find};
pub(crate) use process::Process;
pub(crate) use proxy::{BLOCKED, Proxy, Settings};

/// How long a process may take until it takes connections.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process that is killed when this is dropped.
#[derive(Debug)]
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
