//! Connection limits that hold exactly, whoever accepts.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A limit on connections, shared by all shards.
#[derive(Debug, Clone)]
pub(crate) struct Ceiling(Arc<Semaphore>);

/// One connection's place below its listener's ceiling and the global one. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _listener: OwnedSemaphorePermit,
    _global: OwnedSemaphorePermit,
}

impl Ceiling {
    /// At most `limit` connections.
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS))))
    }

    fn try_take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }

    async fn take(&self) -> OwnedSemaphorePermit {
        match self.try_take() {
            Some(permit) => permit,
            // The semaphore is never closed; were it, waiting for ever is what a full ceiling does too.
            None => match Arc::clone(&self.0).acquire_owned().await {
                Ok(permit) => permit,
                Err(_) => std::future::pending().await,
            },
        }
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
