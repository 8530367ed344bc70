//! An exact set that forgets: two generations, the older one goes as a whole.

use std::collections::HashSet;
use std::mem;
use std::time::Duration;

use teleferry_proto::replay::ReplayKey;

/// A set of keys. One that is inserted is remembered for the longest age at least, and for twice that at most; sooner only
/// the oldest are forgotten when there are too many. Costs a look-up in two hash tables, and memory only for what is in it.
#[derive(Debug)]
pub(super) struct Generations {
    /// Those inserted since `began`, and those before.
    current: HashSet<ReplayKey>,
    previous: HashSet<ReplayKey>,
    /// When the current generation began.
    began: Duration,
    limits: Limits,
    /// Keys that were forgotten to make room.
    evicted: u64,
}

/// How much a set remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Keys in one generation.
    pub(super) generation: usize,
    /// How long a generation grows.
    pub(super) max_age: Duration,
}

impl Generations {
    /// An empty set. All times count from one moment.
    pub(super) fn new(limits: Limits, now: Duration) -> Self {
        Self { current: HashSet::new(), previous: HashSet::new(), began: now, limits, evicted: 0 }
    }

    /// From now on remembers so much.
    pub(super) const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Remembers a key. False: it is in the set already.
    pub(super) fn insert(&mut self, key: ReplayKey, now: Duration) -> bool {
        self.age(now);
        if self.previous.contains(&key) || !self.current.insert(key) {
            return false;
        }
        if self.current.len() > self.limits.generation {
            self.evicted += self.previous.len() as u64;
            self.turn_over(now);
        }
        true
    }

    /// Forgets what is older than the longest age.
    pub(super) fn age(&mut self, now: Duration) {
        let age = now.saturating_sub(self.began);
        if age >= self.limits.max_age.saturating_mul(2) {
            self.turn_over(now);
        }
        if age >= self.limits.max_age {
            self.turn_over(now);
        }
    }

    fn turn_over(&mut self, now: Duration) {
        self.previous = mem::take(&mut self.current);
        self.began = now;
    }

    /// How many keys are in it.
    pub(super) fn len(&self) -> usize {
        self.current.len() + self.previous.len()
    }

    /// How many keys were forgotten to make room.
    pub(super) const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Adds all keys to two lists, the newer generation's to the first. Gives the age of the newer generation.
    pub(super) fn copy_to(&self, lists: &mut [Vec<ReplayKey>; 2], now: Duration) -> Duration {
        let [current, previous] = lists;
        current.extend(&self.current);
        previous.extend(&self.previous);
        now.saturating_sub(self.began)
    }

    /// Puts keys back that an earlier process remembered; its newer generation began `age` ago.
    pub(super) fn restore(&mut self, lists: [Vec<ReplayKey>; 2], age: Duration, now: Duration) {
        let [current, previous] = lists;
        self.current.extend(previous);
        self.turn_over(now);
        self.current.extend(current);
        // One that is older than this process's clock is taken as younger: it is remembered for longer.
        self.began = now.saturating_sub(age);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const LIMITS: Limits = Limits { generation: 10, max_age: HOUR };

    fn key(n: u128) -> ReplayKey {
        ReplayKey::from_bytes(n.to_be_bytes())
    }

    #[test]
    fn what_was_inserted_is_known_and_nothing_else() {
        let mut set = Generations::new(Limits { generation: 100_000, ..LIMITS }, HOUR);
        for n in 0..10_000 {
            assert!(set.insert(key(n), HOUR), "{n}");
        }
        for n in 0..10_000 {
            assert!(!set.insert(key(n), HOUR), "{n}");
        }
        assert_eq!((set.len(), set.evicted()), (10_000, 0));
    }

    #[test]
    fn keys_are_remembered_for_the_longest_age_and_not_for_ever() {
        for at in [0, 30, 59] {
            let mut set = Generations::new(LIMITS, HOUR);
            let inserted = HOUR + Duration::from_secs(at * 60);
            assert!(set.insert(key(1), inserted));
            // Others come all the time, or nobody does.
            assert!(set.insert(key(2), inserted + HOUR / 2));
            assert!(!set.insert(key(1), inserted + HOUR), "still known");
            assert!(set.insert(key(1), inserted + 2 * HOUR), "forgotten");
        }
        let mut set = Generations::new(LIMITS, HOUR);
        assert!(set.insert(key(1), HOUR));
        set.age(HOUR * 3);
        assert_eq!((set.len(), set.evicted()), (0, 0), "age is no eviction");
    }

    #[test]
    fn the_newest_stay_when_there_are_too_many() {
        let mut set = Generations::new(LIMITS, HOUR);
        for n in 0..1000 {
            assert!(set.insert(key(n), HOUR));
            assert!(set.len() <= 21, "{}", set.len());
        }
        for n in 990..1000 {
            assert!(!set.insert(key(n), HOUR), "{n}");
        }
        assert_eq!(set.evicted(), 1000 - set.len() as u64);
        assert!(set.insert(key(1), HOUR), "an old one is gone");
    }

    #[test]
    fn restored_keys_are_as_old_as_they_were() {
        let mut set = Generations::new(LIMITS, 5 * HOUR);
        set.restore([vec![key(1)], vec![key(2)]], HOUR / 2, 5 * HOUR);
        for n in [1, 2] {
            assert!(!set.insert(key(n), 5 * HOUR), "{n}");
        }
        assert!(set.insert(key(2), 5 * HOUR + HOUR / 2), "the older generation goes half an hour later");
        assert!(!set.insert(key(1), 5 * HOUR + HOUR / 2));
    }
}
