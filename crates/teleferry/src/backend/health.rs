//! Addresses of data centres that failed lately are tried last.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a failure is remembered.
const MEMORY: Duration = Duration::from_secs(60);

/// What one shard remembers. At most as many entries as there are addresses in the book.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failed: RefCell<HashMap<SocketAddr, Instant>>,
}

impl Health {
    /// Remembers a failure: not reachable, or silent.
    pub(crate) fn failed(&self, address: SocketAddr, now: Instant) {
        self.failed.borrow_mut().insert(address, now);
    }

    /// The address answered: forgets what was.
    pub(crate) fn answered(&self, address: SocketAddr) {
        let mut failed = self.failed.borrow_mut();
        if !failed.is_empty() {
            failed.remove(&address);
        }
    }

    /// Moves addresses that failed lately behind the others.
    pub(crate) fn sort(&self, addresses: &mut [SocketAddr], now: Instant) {
        let failed = self.failed.borrow();
        if !failed.is_empty() {
            addresses.sort_by_key(|address| {
                failed.get(address).is_some_and(|&when| now.duration_since(when) < MEMORY)
            });
        }
    }
}
