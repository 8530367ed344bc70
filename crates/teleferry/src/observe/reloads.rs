//! How often the settings were read again.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::watch;

use crate::clock;

/// Reloads since the start.
#[derive(Debug, Default)]
pub struct Reloads {
    applied: watch::Sender<u64>,
    refused: AtomicU64,
    /// In seconds since 1970; 0: never.
    last_applied: AtomicU64,
}

/// The same, as it is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReloadCounts {
    /// Those whose settings are in force.
    pub applied: u64,
    /// Those after which everything stayed as it was.
    pub refused: u64,
    /// When settings were last applied, in seconds since 1970.
    pub last_applied: Option<u64>,
}

impl Reloads {
    /// Counts one.
    pub fn count(&self, applied: bool) {
        if applied {
            self.last_applied.store(clock::unix_time(), Relaxed);
            self.applied.send_modify(|applied| *applied += 1);
        } else {
            self.refused.fetch_add(1, Relaxed);
        }
    }

    /// Sees every further reload that is applied.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// How many there were.
    #[must_use]
    pub fn counts(&self) -> ReloadCounts {
        ReloadCounts {
            applied: *self.applied.borrow(),
            refused: self.refused.load(Relaxed),
            last_applied: Some(self.last_applied.load(Relaxed)).filter(|&at| at > 0),
        }
    }
}
