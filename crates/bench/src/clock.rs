//! The bench's only look at the clock.

use std::time::Instant;

/// Now.
#[expect(clippy::disallowed_methods, reason = "this is the bench's clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
