//! How long the cover site takes to answer a hello, as somebody sees it who comes through us. Our own answer to a client
//! takes as long: else one look at the clock tells a client from a visitor.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::site::Wanted;

/// Times that are remembered of each kind, the newest ones.
const KEPT: usize = 128;
/// What is longer counts as this: no client waits longer.
const LONGEST: Duration = Duration::from_secs(1);
/// Kinds of question at each of the site's places.
const KINDS: usize = 4;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Question {
    /// Which of the site's places.
    pub(super) wanted: Wanted,
    /// Whether the hello offers the hybrid key exchange: a server that takes it has more to do.
    pub(super) hybrid: bool,
    /// Whether the site was called before the hello was whole, so that no dialling is in the time.
    pub(super) called: bool,
}

/// The times that the site took, by question.
#[derive(Debug, Clone)]
pub(crate) struct Latencies(Arc<[Mutex<Times>]>);

/// The newest times, in nanoseconds.
#[derive(Debug, Default)]
struct Times {
    /// The oldest first.
    by_age: VecDeque<u32>,
    /// The shortest first.
    by_length: Vec<u32>,
}

impl Latencies {
    /// Nothing is known of a site with this many places.
    pub(super) fn of(places: usize) -> Self {
        Self((0..places * KINDS).map(|_| Mutex::default()).collect())
    }

    /// Remembers a time, in place of the oldest.
    pub(crate) fn note(&self, question: Question, took: Duration) {
        if let Some(mut times) = self.times(question) {
            // Below the longest, which fits.
            times.push(took.min(LONGEST).as_nanos() as u32);
        }
    }

    /// A time that is distributed as those that are remembered; `None` when none is. `random` says which.
    pub(crate) fn draw(&self, question: Question, random: u32) -> Option<Duration> {
        self.times(question)?.draw(random)
    }

    /// Everything that is remembered, to be kept.
    pub(super) fn to_lists(&self) -> Vec<Vec<u32>> {
        self.0.iter().map(|times| lock(times).by_age.iter().copied().collect()).collect()
    }

    /// Takes up what was kept, where nothing is known yet.
    pub(super) fn restore(&self, lists: &[Vec<u32>]) {
        for (times, list) in self.0.iter().zip(lists) {
            let mut times = lock(times);
            if times.by_age.is_empty() {
                let longest = LONGEST.as_nanos() as u32;
                list.iter().for_each(|nanos| times.push((*nanos).min(longest)));
            }
        }
    }

    fn times(&self, question: Question) -> Option<MutexGuard<'_, Times>> {
        let Question { wanted, hybrid, called } = question;
        let kind = usize::from(hybrid) * 2 + usize::from(called);
        self.0.get(wanted.index() * KINDS + kind).map(lock)
    }
}

impl Times {
    fn push(&mut self, nanos: u32) {
        if self.by_age.len() >= KEPT
            && let Some(oldest) = self.by_age.pop_front()
        {
            self.by_length.remove(self.place(oldest));
        }
        self.by_age.push_back(nanos);
        self.by_length.insert(self.place(nanos), nanos);
    }

    /// Where this one stands by length, or would.
    fn place(&self, nanos: u32) -> usize {
        self.by_length.partition_point(|known| *known < nanos)
    }

    /// Between two neighbours any time is as likely as another, so that no time comes up again and again.
    fn draw(&self, random: u32) -> Option<Duration> {
        let last = self.by_length.len().checked_sub(1)?;
        let place = f64::from(random) / (f64::from(u32::MAX) + 1.0) * last as f64;
        let below = *self.by_length.get(place as usize)?;
        let above = *self.by_length.get((place as usize + 1).min(last))?;
        let nanos = f64::from(below) + f64::from(above - below) * place.fract();
        Some(Duration::from_nanos(nanos as u64))
    }
}

/// A thread that panicked elsewhere leaves times that are whole.
fn lock(times: &Mutex<Times>) -> MutexGuard<'_, Times> {
    times.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: Question = Question { wanted: Wanted::nth(0), hybrid: true, called: false };

    fn micros(n: u64) -> Duration {
        Duration::from_micros(n)
    }

    /// Evenly spread over all that may be drawn.
    fn draws(latencies: &Latencies) -> Vec<Duration> {
        let random = (0..1000_u32).map(|n| n * (u32::MAX / 1000));
        random.filter_map(|random| latencies.draw(QUESTION, random)).collect()
    }

    #[test]
    fn draws_are_spread_as_the_times_are() {
        let latencies = Latencies::of(1);
        assert_eq!(latencies.draw(QUESTION, 7), None);
        latencies.note(QUESTION, micros(250));
        assert_eq!(latencies.draw(QUESTION, u32::MAX), Some(micros(250)));
        for n in [300, 200, 260] {
            latencies.note(QUESTION, micros(n));
        }
        let drawn = draws(&latencies);
        assert_eq!(drawn.len(), 1000);
        assert!(drawn.iter().all(|time| (micros(200)..=micros(300)).contains(time)));
        // A third of them in each gap: 200, 250, 260, 300.
        let in_gap = drawn.iter().filter(|time| (micros(250)..micros(260)).contains(*time)).count();
        assert!((320..=346).contains(&in_gap), "{in_gap}");
    }

    #[test]
    fn the_newest_count_and_none_is_longer_than_the_longest() {
        let latencies = Latencies::of(1);
        for _ in 0..1000 {
            latencies.note(QUESTION, Duration::from_secs(9));
        }
        assert!(draws(&latencies).iter().all(|time| *time == LONGEST));
        for n in 0..KEPT as u64 {
            latencies.note(QUESTION, micros(n % 7));
        }
        assert!(draws(&latencies).iter().all(|time| *time <= micros(6)));
        let kept: usize = latencies.to_lists().iter().map(Vec::len).sum();
        assert_eq!(kept, KEPT);
    }

    #[test]
    fn questions_have_nothing_to_do_with_each_other() {
        let latencies = Latencies::of(2);
        latencies.note(QUESTION, micros(1));
        for other in [
            Question { hybrid: false, ..QUESTION },
            Question { called: true, ..QUESTION },
            Question { wanted: Wanted::nth(1), ..QUESTION },
            Question { wanted: Wanted::nth(2), ..QUESTION },
        ] {
            assert_eq!(latencies.draw(other, 1), None, "{other:?}");
        }
    }

    #[test]
    fn what_was_kept_is_taken_up_where_nothing_is_known() {
        let (before, after) = (Latencies::of(1), Latencies::of(1));
        before.note(QUESTION, micros(5));
        before.note(Question { called: true, ..QUESTION }, micros(3));
        after.note(QUESTION, micros(9));
        after.restore(&before.to_lists());
        assert_eq!(after.draw(QUESTION, 0), Some(micros(9)));
        assert_eq!(after.draw(Question { called: true, ..QUESTION }, 0), Some(micros(3)));
        after.restore(&[]);
    }
}
