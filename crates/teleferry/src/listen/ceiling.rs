//! Connection limits that hold exactly, whoever accepts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A limit on connections, shared by all shards. It can be changed while connections are there.
#[derive(Debug, Clone)]
pub(crate) struct Ceiling {
    permits: Arc<Semaphore>,
    limit: Arc<Mutex<Limit>>,
}

#[derive(Debug)]
struct Limit {
    limit: usize,
    /// Permits that are too many since the limit was lowered. Whoever comes by one forgets it.
    too_many: usize,
}

/// One connection's place below its listener's ceiling and the global one. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _listener: OwnedSemaphorePermit,
    _global: OwnedSemaphorePermit,
}

impl Ceiling {
    /// At most `limit` connections.
    pub(crate) fn new(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self {
            permits: Arc::new(Semaphore::new(limit)),
            limit: Arc::new(Mutex::new(Limit { limit, too_many: 0 })),
        }
    }

    /// From now on at most `limit` connections. When more are there, nobody comes in until enough of them have left.
    pub(crate) fn limit_to(&self, limit: usize) {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        let mut state = self.lock();
        if limit > state.limit {
            let more = limit - state.limit;
            let kept = more.min(state.too_many);
            state.too_many -= kept;
            self.permits.add_permits(more - kept);
        } else {
            let fewer = state.limit - limit;
            state.too_many += fewer - self.permits.forget_permits(fewer);
        }
        state.limit = limit;
    }

    fn try_take(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
            if let Some(permit) = self.rightful(permit) {
                return Some(permit);
            }
        }
    }

    async fn take(&self) -> OwnedSemaphorePermit {
        loop {
            // The semaphore is never closed; were it, waiting for ever is what a full ceiling does too.
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
                return std::future::pending().await;
            };
            if let Some(permit) = self.rightful(permit) {
                return permit;
            }
        }
    }

    /// The permit, unless it is one too many.
    fn rightful(&self, permit: OwnedSemaphorePermit) -> Option<OwnedSemaphorePermit> {
        let mut state = self.lock();
        if state.too_many == 0 {
            return Some(permit);
        }
        state.too_many -= 1;
        permit.forget();
        None
    }

    fn lock(&self) -> MutexGuard<'_, Limit> {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// A place below both ceilings, when there is one now.
    pub(crate) fn try_take(listener: &Ceiling, global: &Ceiling) -> Option<Self> {
        Some(Self { _listener: listener.try_take()?, _global: global.try_take()? })
    }

    /// Waits for a place below both ceilings.
    pub(crate) async fn take(listener: &Ceiling, global: &Ceiling) -> Self {
        // The listener's first, so that whoever waits for a full listener does not hold a global place.
        let listener = listener.take().await;
        Self { _listener: listener, _global: global.take().await }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// As many as can be had.
    fn fill(ceiling: &Ceiling) -> Vec<OwnedSemaphorePermit> {
        std::iter::from_fn(|| ceiling.try_take()).collect()
    }

    #[test]
    fn a_lowered_limit_lets_nobody_in_until_enough_have_left() {
        let ceiling = Ceiling::new(5);
        let mut taken = fill(&ceiling);
        ceiling.limit_to(2);
        for left in (2..5).rev() {
            taken.pop();
            assert!(ceiling.try_take().is_none(), "{left} are there still");
        }
        taken.pop();
        taken.extend(ceiling.try_take());
        assert_eq!(taken.len(), 2);
        assert!(ceiling.try_take().is_none());
        drop(taken);
        assert_eq!(fill(&ceiling).len(), 2);
    }

    #[test]
    fn f_03_no_place_is_lost_or_won_however_often_the_limit_changes() {
        let ceiling = Ceiling::new(4);
        let mut taken = fill(&ceiling);
        for (round, limit) in [1, 9, 3, 3, 12, 0, 7, 2, 4].into_iter().enumerate() {
            ceiling.limit_to(limit);
            taken.truncate(taken.len().saturating_sub(round % 3));
            let before = taken.len();
            taken.extend(fill(&ceiling));
            assert_eq!(taken.len(), before.max(limit), "round {round}");
        }
        drop(taken);
        assert_eq!(fill(&ceiling).len(), 4);
    }

    #[test]
    fn a_place_given_to_someone_who_went_is_counted_right() {
        let ceiling = Ceiling::new(1);
        let mut taken = fill(&ceiling);
        let mut context = Context::from_waker(Waker::noop());
        {
            let mut waiting = pin!(ceiling.take());
            assert!(matches!(waiting.as_mut().poll(&mut context), Poll::Pending));
            taken.pop();
            ceiling.limit_to(0);
        }
        assert!(ceiling.try_take().is_none(), "the limit is 0");
        ceiling.limit_to(1);
        assert_eq!(fill(&ceiling).len(), 1);
    }
}
