//! The only place that reads the clock.
#![allow(clippy::disallowed_methods, reason = "this is the room that may")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Now, on the clock that never goes back.
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970; 0 when the machine's clock stands before that.
#[must_use]
pub fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
