//! The time in a hello must be near ours: an older one may be a recording.

use std::time::Duration;

/// How far a client's clock may be off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClockWindow {
    /// Behind ours.
    pub(crate) past: Duration,
    /// Ahead of ours.
    pub(crate) future: Duration,
}

impl ClockWindow {
    /// Whether a hello of this time may pass now; both in seconds since 1970.
    pub(crate) const fn admits(&self, hello: u32, now: u64) -> bool {
        let hello = hello as u64;
        if hello <= now { now - hello <= self.past.as_secs() } else { hello - now <= self.future.as_secs() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f_05_ten_minutes_back_and_twenty_ahead() {
        let window = ClockWindow { past: Duration::from_secs(600), future: Duration::from_secs(1200) };
        let now = 1_763_845_200;
        for (hello, admitted) in [
            (now, true),
            (now - 600, true),
            (now - 601, false),
            (now + 1200, true),
            (now + 1201, false),
            // The vectors: a clock that counts from boot, and one that is not −1.
            (0, false),
            (100, false),
            (now + 3600, false),
            (u64::from(u32::MAX), false),
        ] {
            assert_eq!(window.admits(hello as u32, now), admitted, "{hello}");
        }
    }
}
