//! What is remembered of middle proxies that failed: none of them is asked again and again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::entropy;

/// The pause after the first failure; every further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The memory of the whole process, so that shards do not knock one after the other. It is touched once a connection, and
/// has at most an entry for each published address.
#[derive(Debug, Default)]
pub(crate) struct Endpoints(Mutex<HashMap<SocketAddr, Failing>>);

/// An address whose last attempts failed.
#[derive(Debug, Clone, Copy)]
struct Failing {
    /// In a row.
    failures: u32,
    not_before: Instant,
}

impl Endpoints {
    /// Whether a connection may be tried now.
    pub(super) fn is_open(&self, address: SocketAddr, now: Instant) -> bool {
        self.lock().get(&address).is_none_or(|failing| failing.not_before <= now)
    }

    /// Takes the right to try a connection. One that failed lately is tried by one at a time in the whole process.
    pub(super) fn begin(&self, address: SocketAddr, now: Instant) -> bool {
        match self.lock().get_mut(&address) {
            Some(failing) if failing.not_before > now => false,
            Some(failing) => {
                failing.not_before = now + jittered(pause(failing.failures));
                true
            }
            None => true,
        }
    }

    /// A connection failed, or ended before it was of any use.
    pub(super) fn failed(&self, address: SocketAddr, now: Instant) {
        let mut lock = self.lock();
        let failing = lock.entry(address).or_insert(Failing { failures: 0, not_before: now });
        failing.failures = failing.failures.saturating_add(1);
        failing.not_before = now + jittered(pause(failing.failures));
    }

    /// A connection was of use: what was is forgotten.
    pub(super) fn proven(&self, address: SocketAddr) {
        self.lock().remove(&address);
    }

    /// Forgets addresses that are not published any more.
    pub(super) fn retain(&self, published: impl Fn(&SocketAddr) -> bool) {
        self.lock().retain(|address, _| published(address));
    }

    /// Those whose last attempts failed, with how many in a row.
    pub(crate) fn failing(&self) -> Vec<(SocketAddr, u32)> {
        let mut failing: Vec<_> =
            self.lock().iter().map(|(address, failing)| (*address, failing.failures)).collect();
        failing.sort_unstable();
        failing
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Failing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pause after so many failures in a row.
fn pause(failures: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST_PAUSE)
}

/// Up to a quarter more or less, so that proxies that lost their links together do not come back together.
fn jittered(pause: Duration) -> Duration {
    let [draw] = entropy::array();
    pause.mul_f64(0.75 + f64::from(draw) / 512.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 8888);

    #[test]
    fn pauses_double_up_to_half_a_minute() {
        let seconds: Vec<_> = (1..=9).map(|failures| pause(failures).as_secs_f64()).collect();
        assert_eq!(seconds, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]);
        for _ in 0..1000 {
            let jittered = jittered(Duration::from_secs(4)).as_secs_f64();
            assert!((3.0..5.0).contains(&jittered), "{jittered}");
        }
    }

    /// F-13, by the clock of the test: at most ten attempts in three seconds, however many ask.
    #[test]
    fn f_13_one_that_fails_is_tried_by_one_at_a_time_and_ever_more_seldom() {
        let (endpoints, start) = (Endpoints::default(), crate::clock::now());
        let mut attempts = 0;
        for tick in 0..30 {
            let now = start + Duration::from_millis(100) * tick;
            for _shard in 0..8 {
                if endpoints.begin(ADDRESS, now) {
                    attempts += 1;
                    endpoints.failed(ADDRESS, now);
                }
            }
        }
        assert!((3..=5).contains(&attempts), "{attempts}");
    }

    #[test]
    fn an_attempt_under_way_keeps_the_others_away() {
        let (endpoints, now) = (Endpoints::default(), crate::clock::now());
        endpoints.failed(ADDRESS, now);
        let later = now + Duration::from_secs(1);
        assert!(!endpoints.is_open(ADDRESS, now));
        assert!(endpoints.begin(ADDRESS, later));
        assert!(!endpoints.begin(ADDRESS, later));
        endpoints.proven(ADDRESS);
        assert!(endpoints.begin(ADDRESS, later) && endpoints.begin(ADDRESS, later));
    }

    #[test]
    fn addresses_that_vanish_are_forgotten() {
        let (endpoints, now) = (Endpoints::default(), crate::clock::now());
        endpoints.failed(ADDRESS, now);
        endpoints.retain(|_| false);
        assert!(endpoints.is_open(ADDRESS, now));
    }
}
