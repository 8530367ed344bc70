//! How long to wait before the next attempt.

use std::time::Duration;

use crate::entropy;

/// After the first failure.
const FIRST: Duration = Duration::from_secs(5);
/// After many.
const LONGEST: Duration = Duration::from_mins(10);

/// The pauses between attempts that fail: they double. And what was said of the failure.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    said: Option<String>,
}

impl Backoff {
    /// An attempt failed, and `told` says how. Gives the pause, never longer than `usual`, and whether to tell it: it is
    /// told once, until it changes.
    pub(super) fn failed(&mut self, told: String, usual: Duration) -> (Duration, bool) {
        let pause = FIRST.saturating_mul(2u32.saturating_pow(self.failures)).min(LONGEST).min(usual);
        self.failures = self.failures.saturating_add(1);
        let news = self.said.as_ref() != Some(&told);
        self.said = Some(told);
        (jittered(pause), news)
    }

    /// An attempt succeeded. Gives whether one had failed before, which was told.
    pub(super) fn succeeded(&mut self) -> bool {
        self.failures = 0;
        self.said.take().is_some()
    }
}

/// The pause, a tenth more or less, so that machines that were started together do not ask together for ever.
pub(super) fn jittered(pause: Duration) -> Duration {
    let [random] = entropy::array();
    // From 90 to 110 percent.
    pause.mul_f64(0.9 + 0.2 * f64::from(random) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::default();
        let mut pauses = |usual| {
            let pauses: Vec<Duration> = (0..40).map(|_| backoff.failed("no".to_owned(), usual).0).collect();
            backoff.succeeded();
            pauses
        };
        let about = |pause: Duration, seconds: u64| {
            let exact = Duration::from_secs(seconds);
            assert!(pause >= exact * 9 / 10 && pause <= exact * 11 / 10, "{pause:?} is not about {exact:?}");
        };
        for _ in 0..2 {
            let hourly = pauses(Duration::from_hours(1));
            for (&pause, seconds) in hourly.iter().zip([5, 10, 20, 40, 80, 160, 320, 600, 600]) {
                about(pause, seconds);
            }
            about(hourly[39], 600);
        }
        for pause in pauses(Duration::from_secs(3)) {
            about(pause, 3);
        }
    }

    #[test]
    fn a_failure_is_told_once_until_it_changes() {
        let mut backoff = Backoff::default();
        let mut told = |what: &str| backoff.failed(what.to_owned(), Duration::from_secs(1)).1;
        assert_eq!([told("a"), told("a"), told("b"), told("b"), told("a")], [true, false, true, false, true]);
        assert!(backoff.succeeded());
        assert!(!backoff.succeeded());
        assert!(backoff.failed("a".to_owned(), Duration::from_secs(1)).1);
    }
}
