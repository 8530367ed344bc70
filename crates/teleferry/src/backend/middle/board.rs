//! What the pools of all shards have, for those who look from outside.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use teleferry_proto::dc::DcId;

/// One notice for each published data centre; pools write when something changes.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<BTreeMap<DcId, Notice>>);

/// What is known of the middle proxies of one data centre.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Notice {
    /// Links that take clients, by shard.
    ready: BTreeMap<usize, usize>,
    /// Why the last link failed.
    pub(crate) last_error: Option<String>,
}

impl Board {
    /// A shard has so many links that take clients.
    pub(super) fn tell(&self, dc: DcId, shard: usize, ready: usize) {
        self.lock().entry(dc).or_default().ready.insert(shard, ready);
    }

    /// A link failed.
    pub(super) fn failed(&self, dc: DcId, error: String) {
        self.lock().entry(dc).or_default().last_error = Some(error);
    }

    /// A shard has no pool for it any more.
    pub(super) fn forget(&self, dc: DcId, shard: usize) {
        let mut lock = self.lock();
        if let Some(notice) = lock.get_mut(&dc) {
            notice.ready.remove(&shard);
            if notice.ready.is_empty() {
                lock.remove(&dc);
            }
        }
    }

    /// All notices.
    pub(crate) fn read(&self) -> BTreeMap<DcId, Notice> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<DcId, Notice>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notice {
    /// Links that take clients, on all shards.
    pub(crate) fn ready(&self) -> usize {
        self.ready.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_add_up_and_the_last_one_takes_the_notice_down() {
        let (board, dc) = (Board::default(), DcId::new(-4));
        board.tell(dc, 0, 2);
        board.tell(dc, 1, 1);
        board.tell(dc, 0, 1);
        board.failed(dc, "refused".into());
        let notice = board.read().remove(&dc).expect("a notice");
        assert_eq!((notice.ready(), notice.last_error.as_deref()), (2, Some("refused")));
        board.forget(dc, 0);
        assert_eq!(board.read()[&dc].ready(), 1);
        board.forget(dc, 1);
        assert!(board.read().is_empty());
    }
}
