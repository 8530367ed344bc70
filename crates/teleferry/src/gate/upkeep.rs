//! What the gate does by itself: lists are read anew, and what is remembered is kept for the next start.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use super::Gate;
use super::tables::{MAX_LIST_LEN, read_bounded, tell_unusable};
use crate::clock;
use crate::config::{ListSource, Snapshot};
use crate::telegram::{Http, Source as _};

/// A thread that does it until this is dropped; then it keeps what is remembered as complete.
#[derive(Debug)]
pub(crate) struct Upkeep {
    /// Its end is what the thread waits for.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Upkeep {
    /// Begins. Call it once the listeners are open: a start waits for no network.
    ///
    /// # Errors
    /// The system has no thread or no event queue to give.
    pub(crate) fn start(gate: Arc<Gate>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (stop, mut stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("gate".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = run(&gate) => {}
                    _ = &mut stopped => {}
                }
            });
            // The resolver may still be busy with a name, and cannot be interrupted.
            runtime.shutdown_background();
            gate.replay.keep(true);
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // One that panicked is over too.
            let _ = thread.join();
        }
    }
}

async fn run(gate: &Gate) {
    let mut settings = gate.settings.subscribe();
    let mut calendar = Calendar::default();
    let mut keep_at = clock::now() + KEEP;
    loop {
        let snapshot = Arc::clone(&settings.borrow_and_update());
        calendar.follow(&snapshot, clock::now());
        while let Some((name, source)) = calendar.take_due(clock::now()) {
            let pause = match read(&source, &snapshot).await {
                Ok(list) => {
                    gate.tables.take_list(&name, &source, &list);
                    snapshot.tables.get(&name).map_or(RETRY, |table| table.refresh)
                }
                Err(error) => {
                    tell_unusable(&name, &source, &*error);
                    RETRY
                }
            };
            calendar.set(name, source, clock::now() + pause);
        }
        if clock::now() >= keep_at {
            gate.replay.keep(false);
            keep_at = clock::now() + KEEP;
        }
        let next = calendar.next().map_or(keep_at, |next| next.min(keep_at));
        if rest(&mut settings, next.saturating_duration_since(clock::now())).await.is_err() {
            return;
        }
    }
}

/// Waits for the time or for new settings.
async fn rest(
    settings: &mut watch::Receiver<Arc<Snapshot>>,
    pause: Duration,
) -> Result<(), watch::error::RecvError> {
    tokio::select! {
        changed = settings.changed() => changed,
        () = sleep(pause) => Ok(()),
    }
}

async fn read(source: &ListSource, snapshot: &Snapshot) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    match source {
        ListSource::File(path) => Ok(read_bounded(path)?),
        ListSource::Url(url) => {
            let fetched = Http::new(&snapshot.telegram).get(url, MAX_LIST_LEN, None).await?;
            Ok(fetched.body)
        }
    }
}

/// When each list is to be read, by table.
#[derive(Debug, Default)]
struct Calendar(BTreeMap<String, (ListSource, Instant)>);

impl Calendar {
    /// Takes up new settings. URLs that are new are due at once; files were read when the settings were.
    fn follow(&mut self, snapshot: &Snapshot, now: Instant) {
        let sources = snapshot.tables.iter().filter_map(|(name, table)| {
            let source = table.source.as_ref()?;
            let at = match (self.0.get(name), source) {
                (Some((known, at)), _) if known == source => (*at).min(now + table.refresh),
                (_, ListSource::Url(_)) => now,
                (_, ListSource::File(_)) => now + table.refresh,
            };
            Some((name.clone(), (source.clone(), at)))
        });
        self.0 = sources.collect();
    }

    /// Takes out one that is due.
    fn take_due(&mut self, now: Instant) -> Option<(String, ListSource)> {
        let name = self.0.iter().find(|(_, (_, at))| *at <= now).map(|(name, _)| name.clone())?;
        let (source, _) = self.0.remove(&name)?;
        Some((name, source))
    }

    fn set(&mut self, name: String, source: ListSource, at: Instant) {
        self.0.insert(name, (source, at));
    }

    fn next(&self) -> Option<Instant> {
        self.0.values().map(|(_, at)| *at).min()
    }
}

/// How often what is remembered is kept. A process that ends without warning forgets no more than this.
const KEEP: Duration = Duration::from_mins(10);

/// After a list could not be read.
const RETRY: Duration = Duration::from_mins(5);
