//! How often the settings were read again.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::clock;

/// Reloads since the start.
#[derive(Debug, Default)]
pub struct Reloads {
    applied: AtomicU64,
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
            self.applied.fetch_add(1, Relaxed);
            self.last_applied.store(clock::unix_time(), Relaxed);
        } else {
            self.refused.fetch_add(1, Relaxed);
        }
    }

    /// How many there were.
    #[must_use]
    pub fn counts(&self) -> ReloadCounts {
        ReloadCounts {
            applied: self.applied.load(Relaxed),
            refused: self.refused.load(Relaxed),
            last_applied: Some(self.last_applied.load(Relaxed)).filter(|&at| at > 0),
        }
    }
}
