//! The feed as the server sees it.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tracing::warn;

use super::cache::Cache;
use super::cycle::{Cycle, Said};
use super::http::Http;
use super::item::Item;
use super::known::Known;
use crate::config::Snapshot;

/// What is known of Telegram, and soon what is new. Until it is started it asks nobody.
#[derive(Debug)]
pub struct Feed {
    settings: crate::config::Telegram,
    known: watch::Sender<Arc<Known>>,
    cache: Cache,
}

/// A feed that fetches, on a thread of its own, until this is dropped. What it made known last stays known.
#[derive(Debug)]
pub struct Fetching {
    /// Its end is what the thread waits for.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Feed {
    /// Begins with what an earlier run kept in the state directory, else with what was embedded when this was built. Needs
    /// no network.
    #[must_use]
    pub fn new(snapshot: &Snapshot) -> Self {
        let settings = snapshot.telegram.clone();
        let cache = Cache::new(&snapshot.server.state_dir);
        let known = Item::ALL
            .iter()
            .fold(Known::embedded(), |known, &item| match cache.load(item) {
                Ok(Some(piece)) => known.with(piece),
                Ok(None) => known,
                Err(error) => {
                    let file = cache.path(item);
                    warn!(file = %file.display(), %error, "a copy in the state directory is spoilt; what was built in counts until it is fetched");
                    known
                }
            })
            .with_external_ip(settings.external_ip);
        Self { settings, known: watch::Sender::new(Arc::new(known)), cache }
    }

    /// What is known, now and from now on. Borrow it for a moment only: news waits for it.
    #[must_use]
    pub fn known(&self) -> watch::Receiver<Arc<Known>> {
        self.known.subscribe()
    }

    /// Begins to fetch. Call it once the listeners are open: a start waits for no network, and is not to be seen on it.
    ///
    /// # Errors
    /// The system has no thread or no event queue to give.
    pub fn start(self) -> io::Result<Fetching> {
        let Self { settings, known, cache } = self;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (stop, mut stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("telegram".into()).spawn(move || {
            let source = Http::new(&settings);
            let cycle = Cycle { settings, source, known, cache: RefCell::new(cache), said: Said::default() };
            runtime.block_on(async {
                tokio::select! {
                    () = cycle.run() => {}
                    _ = &mut stopped => {}
                }
            });
            // The resolver may still be busy with a name, and cannot be interrupted.
            runtime.shutdown_background();
        })?;
        Ok(Fetching { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // One that panicked is over too.
            let _ = thread.join();
        }
    }
}
