//! The instrument's only looks at the clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

#[expect(clippy::disallowed_methods, reason = "this measures, so it reads the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970, as hellos carry them.
#[expect(clippy::disallowed_methods, reason = "a hello carries the time")]
pub(crate) fn unix_time() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as u32
}
