//! The auth keys that one data centre has made.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::mtproto::Session;

/// Keys that are remembered; the oldest is forgotten first.
const CAPACITY: usize = 16_384;

/// Keys by their number on the wire.
#[derive(Default)]
pub(super) struct Keys(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    by_id: HashMap<u64, Arc<Session>>,
    oldest_first: VecDeque<u64>,
}

impl Keys {
    pub(super) fn get(&self, id: u64) -> Option<Arc<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).by_id.get(&id).cloned()
    }

    pub(super) fn insert(&self, session: Session) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.oldest_first.len() == CAPACITY
            && let Some(oldest) = inner.oldest_first.pop_front()
        {
            inner.by_id.remove(&oldest);
        }
        let id = session.id();
        if inner.by_id.insert(id, Arc::new(session)).is_none() {
            inner.oldest_first.push_back(id);
        }
    }
}
