//! What outlives a listener's settings: its counters and its ceiling.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::Ceiling;
use crate::observe::{Counts, ListenerCounters};

/// What belongs to the name of a listener, for as long as it or one of its clients is there.
#[derive(Debug)]
pub(crate) struct Account {
    /// The listener's name.
    pub(crate) name: String,
    /// The ceiling of its connections.
    pub(crate) ceiling: Ceiling,
    /// What it counts, by shard.
    pub(crate) counters: Vec<Arc<ListenerCounters>>,
}

/// The accounts of all listeners by name. A listener that goes and comes back finds its account while a client of it is
/// there still, so that nothing is counted twice or forgotten.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<BTreeMap<String, Weak<Account>>>);

impl Registry {
    /// The account of a name, a new one when there is none.
    pub(crate) fn account(&self, name: &str, shards: usize, max_connections: usize) -> Arc<Account> {
        let mut accounts = self.lock();
        accounts.retain(|_, account| account.strong_count() > 0);
        if let Some(known) = accounts.get(name).and_then(Weak::upgrade) {
            return known;
        }
        let account = Arc::new(Account {
            name: name.to_owned(),
            ceiling: Ceiling::new(max_connections),
            counters: (0..shards).map(|_| Arc::default()).collect(),
        });
        accounts.insert(name.to_owned(), Arc::downgrade(&account));
        account
    }

    /// What was counted for a name, summed over the shards; `None` when there is no such listener.
    pub(crate) fn counts(&self, name: &str) -> Option<Counts> {
        let account = self.lock().get(name).and_then(Weak::upgrade)?;
        let mut counts = Counts::default();
        account.counters.iter().for_each(|shard| counts.add(shard));
        Some(counts)
    }

    /// The names that are counted for.
    pub(crate) fn names(&self) -> Vec<String> {
        let accounts = self.lock();
        let there = accounts.iter().filter(|(_, account)| account.strong_count() > 0);
        there.map(|(name, _)| name.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Weak<Account>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_lives_as_long_as_somebody_needs_it() {
        let registry = Registry::default();
        let account = registry.account("main", 2, 5);
        account.counters[1].accepted.add(3);
        let again = registry.account("main", 2, 5);
        assert!(Arc::ptr_eq(&account, &again));
        drop(account);
        assert_eq!(registry.counts("main").expect("there").accepted, 3);
        assert_eq!(registry.names(), ["main"]);
        drop(again);
        assert_eq!(registry.counts("main"), None);
        assert_eq!(registry.names(), [""; 0]);
        assert_eq!(registry.account("main", 2, 5).counters.len(), 2);
    }
}
