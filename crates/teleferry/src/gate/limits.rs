//! How much may come at once: connections that are proving themselves, and new ones from one network.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use ipnet::IpNet;

use crate::clock;
use crate::config::{self, subnet_v4, subnet_v6};

/// Connections that are proving themselves, in the whole process.
#[derive(Debug)]
pub(super) struct Handshakes {
    limit: AtomicUsize,
    count: AtomicUsize,
}

/// A connection's place among them. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Handshake(Arc<Handshakes>);

impl Handshakes {
    pub(super) const fn new(limits: &config::Limits) -> Self {
        Self { limit: AtomicUsize::new(limits.handshakes), count: AtomicUsize::new(0) }
    }

    pub(super) fn follow(&self, limits: &config::Limits) {
        self.limit.store(limits.handshakes, Relaxed);
    }

    /// How many there are now.
    pub(super) fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// A place, when there is one.
    pub(super) fn begin(self: &Arc<Self>) -> Option<Handshake> {
        let limit = self.limit.load(Relaxed);
        let taken = self.count.try_update(Relaxed, Relaxed, |count| (count < limit).then_some(count + 1));
        taken.ok().map(|_| Handshake(Arc::clone(self)))
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Relaxed);
    }
}

/// New connections by network, second by second.
#[derive(Debug)]
pub(super) struct Arrivals {
    limit: AtomicUsize,
    start: Instant,
    parts: Box<[Mutex<Second>]>,
    hasher: RandomState,
}

/// What came within a second.
#[derive(Debug, Default)]
struct Second {
    number: u64,
    networks: HashMap<IpNet, usize>,
}

impl Arrivals {
    pub(super) fn new(limits: &config::Limits) -> Self {
        Self {
            limit: AtomicUsize::new(limits.new_per_second),
            start: clock::now(),
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn follow(&self, limits: &config::Limits) {
        self.limit.store(limits.new_per_second, Relaxed);
    }

    /// Whether one more may come from an address now.
    pub(super) fn admit(&self, address: IpAddr) -> bool {
        self.admit_at(address, clock::now())
    }

    fn admit_at(&self, address: IpAddr, now: Instant) -> bool {
        let limit = self.limit.load(Relaxed);
        if limit == 0 {
            return true;
        }
        let network = match address.to_canonical() {
            IpAddr::V4(v4) => subnet_v4(v4, 24),
            IpAddr::V6(v6) => subnet_v6(v6, 56),
        };
        let Some(network) = network else { return true };
        let part = &self.parts[self.hasher.hash_one(network) as usize % PARTS];
        let mut second = part.lock().unwrap_or_else(PoisonError::into_inner);
        let number = now.duration_since(self.start).as_secs();
        if second.number != number {
            second.number = number;
            second.networks.clear();
        }
        // Whoever comes from so many networks is not held up by this.
        if second.networks.len() >= NETWORKS && !second.networks.contains_key(&network) {
            return true;
        }
        let count = second.networks.entry(network).or_default();
        *count += 1;
        *count <= limit
    }
}

/// Parts with a lock each: more than threads.
const PARTS: usize = 64;

/// Networks that a part knows of one second, at most: with all parts some four megabytes.
const NETWORKS: usize = 1024;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    fn limits(handshakes: usize, new_per_second: usize) -> config::Limits {
        config::Limits { handshakes, new_per_second, ..config::Limits::default() }
    }

    #[test]
    fn places_are_exact_and_given_back() {
        let handshakes = Arc::new(Handshakes::new(&limits(2, 0)));
        let (first, second) = (handshakes.begin().expect("a place"), handshakes.begin().expect("a place"));
        assert!(handshakes.begin().is_none());
        drop(first);
        let third = handshakes.begin().expect("a place");
        handshakes.follow(&limits(1, 0));
        drop((second, third));
        let _fourth = handshakes.begin().expect("a place");
        assert!(handshakes.begin().is_none(), "the new limit counts");
    }

    #[test]
    fn each_network_has_its_own_second() {
        let arrivals = Arrivals::new(&limits(1, 3));
        let at = |address: &str, seconds: f64| {
            arrivals
                .admit_at(address.parse().expect(address), arrivals.start + Duration::from_secs_f64(seconds))
        };
        for (address, admitted) in [
            ("192.0.2.1", true),
            ("192.0.2.77", true),
            ("::ffff:192.0.2.200", true),
            ("192.0.2.1", false),
            ("192.0.3.1", true),
            ("2001:db8:0:1::1", true),
            ("2001:db8:0:ff::1", true),
            ("2001:db8:0:2::1", true),
            ("2001:db8:0:3::1", false),
            ("2001:db8:0:100::1", true),
        ] {
            assert_eq!(at(address, 0.5), admitted, "{address}");
        }
        assert!(at("192.0.2.1", 1.1) && at("2001:db8::1", 1.9));
        arrivals.follow(&limits(1, 0));
        assert!((0..100).all(|_| at("192.0.2.1", 1.1)), "no limit");
    }

    #[test]
    fn the_table_is_bounded() {
        let arrivals = Arrivals::new(&limits(1, 1));
        for n in 0..200_000_u32 {
            assert!(arrivals.admit_at(Ipv4Addr::from(n << 8).into(), arrivals.start), "{n}");
        }
        for part in &arrivals.parts {
            assert!(part.lock().expect("no panic").networks.len() <= NETWORKS);
        }
    }
}
