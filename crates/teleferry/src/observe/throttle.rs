//! A log line that a stranger can cause must not flood the log.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long one line stands for all of its kind.
const QUIET: Duration = Duration::from_secs(10);

/// Lets one line through in ten seconds, and counts those that were kept back in between.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    last: Cell<Option<Instant>>,
    kept_back: Cell<u64>,
}

impl Throttle {
    /// `Some(n)`: say it, and that it happened `n` times more since it was last said. `None`: keep quiet.
    pub(crate) fn pass(&self, now: Instant) -> Option<u64> {
        match self.last.get() {
            Some(last) if now.duration_since(last) < QUIET => {
                self.kept_back.set(self.kept_back.get() + 1);
                None
            }
            _ => {
                self.last.set(Some(now));
                Some(self.kept_back.take())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_in_ten_seconds() {
        let throttle = Throttle::default();
        let start = crate::clock::now();
        assert_eq!(throttle.pass(start), Some(0));
        assert_eq!(throttle.pass(start + Duration::from_secs(1)), None);
        assert_eq!(throttle.pass(start + Duration::from_secs(9)), None);
        assert_eq!(throttle.pass(start + Duration::from_secs(11)), Some(2));
        assert_eq!(throttle.pass(start + Duration::from_secs(22)), Some(0));
    }
}
