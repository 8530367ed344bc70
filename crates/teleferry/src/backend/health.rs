//! What is known of the data centres' addresses: those that failed lately are tried last, and somebody looks where nobody
//! was lately.

use std::collections::HashMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::entropy;
use crate::observe::Direct;

/// How long a failure puts an address behind the others.
const MEMORY: Duration = Duration::from_secs(60);

/// How long it is believed what was seen of an address, a quarter more or less.
const BELIEVED: Duration = Duration::from_secs(240);

/// What the whole process remembers. It is touched once a connection, and has at most an entry for each address in the book.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<HashMap<SocketAddr, Seen>>);

/// What was last seen of an address.
#[derive(Debug)]
struct Seen {
    when: Instant,
    /// Until then it is believed.
    until: Instant,
    /// What was wrong.
    error: Option<String>,
}

impl Health {
    /// A failure: not reachable, or silent.
    pub(crate) fn failed(&self, address: SocketAddr, error: &dyn Display, now: Instant) {
        self.lock().insert(address, Seen::new(now, Some(error.to_string())));
    }

    /// The address answered a request: forgets what was.
    pub(crate) fn answered(&self, address: SocketAddr, now: Instant) {
        self.lock().insert(address, Seen::new(now, None));
    }

    /// The address took a connection. That does not make up for a silence of a moment ago.
    pub(crate) fn connected(&self, address: SocketAddr, now: Instant) {
        let mut seen = self.lock();
        if !seen.get(&address).is_some_and(|seen| seen.failed_lately(now)) {
            seen.insert(address, Seen::new(now, None));
        }
    }

    /// Moves addresses that failed lately behind the others.
    pub(crate) fn sort(&self, addresses: &mut [SocketAddr], now: Instant) {
        let seen = self.lock();
        if !seen.is_empty() {
            addresses.sort_by_key(|address| seen.get(address).is_some_and(|seen| seen.failed_lately(now)));
        }
    }

    /// Which of a data centre's addresses is to be looked at: none while one is known to work, else the first of which
    /// nothing is known.
    pub(crate) fn doubtful(&self, addresses: &[SocketAddr], now: Instant) -> Option<SocketAddr> {
        let seen = self.lock();
        let believed = |address| seen.get(address).filter(|seen| seen.until > now);
        if addresses.iter().any(|address| believed(address).is_some_and(|seen| seen.error.is_none())) {
            return None;
        }
        addresses.iter().find(|address| believed(address).is_none()).copied()
    }

    /// Whether one of a data centre's addresses works, and what the last one that failed said.
    pub(crate) fn direct(&self, addresses: &[SocketAddr]) -> (Direct, Option<String>) {
        let lock = self.lock();
        let seen: Vec<_> = addresses.iter().filter_map(|address| lock.get(address)).collect();
        let direct = if seen.iter().any(|seen| seen.error.is_none()) {
            Direct::Reachable
        } else if seen.len() < addresses.len() || addresses.is_empty() {
            Direct::Unknown
        } else {
            Direct::Unreachable
        };
        let last = seen.into_iter().filter(|seen| seen.error.is_some()).max_by_key(|seen| seen.when);
        (direct, last.and_then(|seen| seen.error.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn new(now: Instant, error: Option<String>) -> Self {
        Self { when: now, until: now + entropy::jittered(BELIEVED), error }
    }

    fn failed_lately(&self, now: Instant) -> bool {
        self.error.is_some() && now.saturating_duration_since(self.when) < MEMORY
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const fn address(last: u8) -> SocketAddr {
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)), 443)
    }

    const BOTH: [SocketAddr; 2] = [address(1), address(2)];

    #[test]
    fn addresses_that_failed_lately_come_last() {
        let (health, now) = (Health::default(), crate::clock::now());
        let order = |now| {
            let mut addresses = BOTH;
            health.sort(&mut addresses, now);
            addresses
        };
        health.failed(BOTH[0], &"refused", now);
        assert_eq!(order(now), [BOTH[1], BOTH[0]]);
        health.connected(BOTH[0], now);
        assert_eq!(order(now), [BOTH[1], BOTH[0]], "it may be silent again");
        assert_eq!(order(now + MEMORY), BOTH);
        health.answered(BOTH[0], now);
        assert_eq!(order(now), BOTH);
    }

    #[test]
    fn nobody_looks_while_one_address_is_known_to_work() {
        let (health, now) = (Health::default(), crate::clock::now());
        assert_eq!(health.doubtful(&BOTH, now), Some(BOTH[0]));
        health.failed(BOTH[0], &"refused", now);
        assert_eq!(health.doubtful(&BOTH, now), Some(BOTH[1]));
        health.connected(BOTH[1], now);
        assert_eq!(health.doubtful(&BOTH, now), None);
        let soonest = now + BELIEVED.mul_f64(0.75) - Duration::from_secs(1);
        assert_eq!(health.doubtful(&BOTH, soonest), None);
        let latest = now + BELIEVED.mul_f64(1.25);
        assert!(health.doubtful(&BOTH, latest).is_some());
        // A client was there.
        health.answered(BOTH[1], latest);
        assert_eq!(health.doubtful(&BOTH, latest), None);
    }

    /// By the clock of the test: an hour without any answer, looked at every second.
    #[test]
    fn addresses_that_are_dead_are_looked_at_every_few_minutes() {
        let (health, start) = (Health::default(), crate::clock::now());
        let looks = (0..3600)
            .filter(|&second| {
                let now = start + Duration::from_secs(second);
                let address = health.doubtful(&BOTH, now);
                address.inspect(|&address| health.failed(address, &"refused", now)).is_some()
            })
            .count();
        assert!((24..=42).contains(&looks), "{looks}");
    }

    #[test]
    fn a_data_centre_is_reachable_by_any_of_its_addresses() {
        let (health, now) = (Health::default(), crate::clock::now());
        assert_eq!(health.direct(&BOTH), (Direct::Unknown, None));
        health.failed(BOTH[0], &"refused", now);
        assert_eq!(health.direct(&BOTH), (Direct::Unknown, Some("refused".into())));
        health.failed(BOTH[1], &"no route", now + Duration::from_secs(1));
        assert_eq!(health.direct(&BOTH), (Direct::Unreachable, Some("no route".into())));
        health.connected(BOTH[0], now + MEMORY);
        assert_eq!(health.direct(&BOTH), (Direct::Reachable, Some("no route".into())));
        assert_eq!(health.direct(&[]), (Direct::Unknown, None));
    }
}
