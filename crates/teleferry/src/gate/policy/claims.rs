//! Counts of connections by what they have in common.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Value;
use crate::config::PolicyKey;

/// What is counted by: the keys, and the listeners that count at all. Rules that agree in it share their counts, and a rule
/// that a reload leaves as it is keeps them.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Basis {
    pub(super) keys: Vec<PolicyKey>,
    pub(super) listeners: Option<Vec<String>>,
}

/// Connections that have these values in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Group {
    pub(super) basis: Arc<Basis>,
    pub(super) values: Vec<Value>,
}

/// The counts of all groups. A group without connections is not there.
#[derive(Debug)]
pub(crate) struct Counters {
    parts: Box<[Mutex<HashMap<Group, usize>>]>,
    hasher: RandomState,
}

/// A connection's share in a count. Given back when dropped, whatever the rules are by then.
#[derive(Debug)]
pub(crate) struct Claim {
    counters: Arc<Counters>,
    group: Group,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self { parts: (0..PARTS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    /// Counts a connection in, unless its group would have more than `limit` then.
    pub(super) fn claim(self: &Arc<Self>, group: Group, limit: usize) -> Option<Claim> {
        let mut part = self.part(&group);
        let count = part.get(&group).copied().unwrap_or_default();
        if count >= limit {
            return None;
        }
        part.insert(group.clone(), count + 1);
        drop(part);
        Some(Claim { counters: Arc::clone(self), group })
    }

    /// How many groups have connections, and how many shares are taken in all.
    pub(crate) fn totals(&self) -> (usize, usize) {
        self.parts.iter().map(lock).fold((0, 0), |(groups, claims), part| {
            (groups + part.len(), claims + part.values().sum::<usize>())
        })
    }

    fn part(&self, group: &Group) -> MutexGuard<'_, HashMap<Group, usize>> {
        lock(&self.parts[self.hasher.hash_one(group) as usize % PARTS])
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut part = self.counters.part(&self.group);
        if let Some(count) = part.get_mut(&self.group) {
            *count -= 1;
            if *count == 0 {
                part.remove(&self.group);
            }
        }
    }
}

/// A thread that panicked elsewhere leaves a map that is whole.
fn lock(part: &Mutex<HashMap<Group, usize>>) -> MutexGuard<'_, HashMap<Group, usize>> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Parts with a lock each: more than threads.
const PARTS: usize = 64;
