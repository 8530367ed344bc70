//! The feed as the server sees it.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
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
use crate::config::{ExternalIp, Mode, Snapshot, Telegram};

/// What is known of Telegram, and soon what is new. Until it [follows](Self::follow) settings it asks nobody.
#[derive(Debug)]
pub struct Feed {
    known: watch::Sender<Arc<Known>>,
    state_dir: PathBuf,
    /// What is followed now, and the thread that does.
    fetching: Option<(Telegram, Fetching)>,
}

/// A thread that fetches until this is dropped. What it made known last stays known.
#[derive(Debug)]
struct Fetching {
    /// Its end is what the thread waits for.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Feed {
    /// Begins with what an earlier run kept in the state directory, else with what was embedded when this was built. Needs
    /// no network.
    #[must_use]
    pub fn new(snapshot: &Snapshot) -> Self {
        let state_dir = snapshot.server.state_dir.clone();
        let cache = Cache::new(&state_dir);
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
            .with_external_ip(snapshot.telegram.external_ip);
        Self { known: watch::Sender::new(Arc::new(known)), state_dir, fetching: None }
    }

    /// What is known, now and from now on. Borrow it for a moment only: news waits for it.
    #[must_use]
    pub fn known(&self) -> watch::Receiver<Arc<Known>> {
        self.known.subscribe()
    }

    /// Fetches as these settings say from now on, and everything at once when what they say of it is new; nothing in direct
    /// mode. Call it once the listeners are open: a start waits for no network, and is not to be seen on it.
    ///
    /// # Errors
    /// The system has no thread or no event queue to give; nothing is fetched any more.
    pub fn follow(&mut self, settings: &Telegram) -> io::Result<()> {
        if settings.mode == Mode::Direct {
            self.fetching = None;
            return Ok(());
        }
        let followed = self.fetching.as_ref().map(|(followed, _)| followed);
        if followed.is_some_and(|followed| asks_the_same(followed, settings)) {
            return Ok(());
        }
        let external_ip = settings.external_ip;
        if followed.is_some_and(|followed| followed.external_ip != external_ip) || self.fetching.is_none() {
            self.tell_external_ip(external_ip);
        }
        // The old thread ends first, so that what it found last does not overwrite what is new.
        self.fetching = None;
        self.fetching = Some((settings.clone(), self.start(settings.clone())?));
        Ok(())
    }

    fn tell_external_ip(&self, external_ip: ExternalIp) {
        self.known.send_if_modified(|known| {
            let news = known.external_ip() != external_ip;
            if news {
                *known = Arc::new(Known::clone(known).with_external_ip(external_ip));
            }
            news
        });
    }

    fn start(&self, settings: Telegram) -> io::Result<Fetching> {
        let (known, cache) = (self.known.clone(), Cache::new(&self.state_dir));
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

/// Whether two settings fetch the same in the same way. Mind the address: that others are configured counts too.
fn asks_the_same(a: &Telegram, b: &Telegram) -> bool {
    let of = |settings: &Telegram| {
        let urls = [&settings.proxy_secret_url, &settings.proxy_config_url, &settings.proxy_config_v6_url];
        (urls.map(Clone::clone), settings.ip_lookup.clone(), settings.external_ip, settings.prefer)
    };
    let pace = |settings: &Telegram| (settings.refresh, settings.http_timeout, settings.connect_timeout);
    of(a) == of(b) && pace(a) == pace(b)
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
