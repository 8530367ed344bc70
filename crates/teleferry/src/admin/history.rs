//! A day in samples, for the page's picture of clients over time.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock;
use crate::reading::Reading;

/// Between two samples.
pub(super) const STEP: Duration = Duration::from_secs(60);
/// A day of them: 46 KiB.
const SAMPLES: usize = 24 * 60;

/// The last day, a sample a minute.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<VecDeque<Sample>>);

/// How it was at one moment.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
pub struct Sample {
    /// The moment, in seconds since 1970.
    pub at: u64,
    /// Clients' sessions that were open.
    pub clients: u64,
    /// Bytes to clients since the start.
    pub sent: u64,
    /// Visitors that were refused since the start.
    pub refused: u64,
}

impl History {
    /// Keeps how it is now; the oldest sample goes when there are too many.
    pub(super) fn keep(&self, reading: &Reading) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() == SAMPLES {
            samples.pop_front();
        }
        samples.push_back(Sample {
            at: clock::unix_time(),
            clients: reading.sessions(),
            sent: reading.listeners.iter().map(|listener| listener.counts.to_client).sum(),
            refused: reading.strangers().values().sum(),
        });
    }

    /// Every sample, the oldest first.
    pub(super) fn samples(&self) -> Vec<Sample> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}
