//! The memory of first flights: one that came before is a recording, whoever sends it.
//!
//! One for the whole process, cut in many parts with a lock each: a handshake holds one of them for a look-up or two. From
//! one start to the next it is kept in the state directory.

mod file;
mod generations;
mod heir;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use teleferry_proto::replay::ReplayKey;
use tracing::{info, warn};

use crate::clock;
use crate::config;
use crate::listen::Handover;
use file::Remembered;
use generations::{Generations, Limits};
use heir::Heir;

/// Which first flights there were.
#[derive(Debug)]
pub(crate) struct Replay {
    parts: Arc<[Mutex<Generations>]>,
    enabled: AtomicBool,
    persist: AtomicBool,
    directory: PathBuf,
    /// When this process began.
    start: Instant,
    /// Hellos of these times, in seconds since 1970, may have come to an earlier process, and nobody remembers.
    forgotten: Range<u64>,
    /// That it cannot be kept was said.
    said: AtomicBool,
    /// Another process keeps it now.
    left: AtomicBool,
    /// It takes this one's place, and is told whom we let in.
    heir: Mutex<Option<Heir>>,
    has_heir: AtomicBool,
}

/// How much is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplayCounts {
    /// First flights that are remembered now.
    pub entries: u64,
    /// First flights that were forgotten early to make room: `replay.capacity` is too small for so many clients.
    pub evicted: u64,
}

/// What came of a look into the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recall {
    /// It is new, and remembered from now on.
    New,
    /// It came before.
    Known,
    /// It may have come to an earlier process, whose memory is lost.
    Lost,
}

impl Replay {
    /// Begins with what an earlier process kept in the state directory.
    pub(crate) fn new(settings: &config::Replay, directory: &Path) -> Self {
        let limits = limits(settings);
        let mut replay = Self {
            parts: (0..PARTS).map(|_| Mutex::new(Generations::new(limits, BEFORE))).collect(),
            enabled: AtomicBool::new(settings.enabled),
            persist: AtomicBool::new(settings.persist),
            directory: directory.to_owned(),
            start: clock::now(),
            forgotten: 0..0,
            said: AtomicBool::new(false),
            left: AtomicBool::new(false),
            heir: Mutex::default(),
            has_heir: AtomicBool::new(false),
        };
        if settings.enabled {
            replay.forgotten = replay.recall();
        }
        replay
    }

    /// Takes up what an earlier process kept. Gives the times of the hellos that it cannot tell of.
    fn recall(&self) -> Range<u64> {
        let now = clock::unix_time();
        if !self.persist.load(Relaxed) {
            return 0..now;
        }
        match file::load(&self.directory) {
            // The first start: there was nothing to record.
            Ok(None) => 0..0,
            Ok(Some(remembered)) => {
                let gap = if remembered.complete { 0..0 } else { remembered.written..now };
                self.restore(remembered, now);
                gap
            }
            Err(error) => {
                let file = file::path(&self.directory);
                warn!(file = %file.display(), %error, "the memory of earlier handshakes is of no use; hellos from before this start are refused");
                0..now
            }
        }
    }

    fn restore(&self, remembered: Remembered, now: u64) {
        let Remembered { written, age, lists, .. } = remembered;
        let age = age.saturating_add(Duration::from_secs(now.saturating_sub(written)));
        let mut parts: Vec<[Vec<ReplayKey>; 2]> = (0..PARTS).map(|_| Default::default()).collect();
        for (generation, list) in lists.into_iter().enumerate() {
            for key in list {
                parts[part_of(key)][generation].push(key);
            }
        }
        for (part, lists) in self.parts.iter().zip(parts) {
            lock(part).restore(lists, age, BEFORE);
        }
    }

    /// Looks whether a proven hello came before, and remembers it; of two at once, one is new. `unix_time` is the time
    /// that it claims.
    pub(crate) fn hello(&self, key: ReplayKey, unix_time: u32) -> Recall {
        if self.enabled.load(Relaxed) && self.forgotten.contains(&u64::from(unix_time)) {
            return Recall::Lost;
        }
        self.header(key)
    }

    /// Looks whether a proven header came before, and remembers it; of two at once, one is new.
    pub(crate) fn header(&self, key: ReplayKey) -> Recall {
        if !self.enabled.load(Relaxed) {
            return Recall::New;
        }
        let mut part = lock(&self.parts[part_of(key)]);
        if !part.insert(key, self.now()) {
            return Recall::Known;
        }
        // Under the part's lock: either the heir is told, or what is written for it has the key.
        if self.has_heir.load(Relaxed)
            && let Some(heir) = &mut *self.heir()
        {
            heir.tell(key);
        }
        Recall::New
    }

    /// Takes up new settings. What is remembered stays so.
    pub(crate) fn configure(&self, settings: &config::Replay) {
        self.enabled.store(settings.enabled, Relaxed);
        self.persist.store(settings.persist, Relaxed);
        for part in self.parts.iter() {
            lock(part).set_limits(limits(settings));
        }
    }

    /// Forgets what is too old, and keeps the rest for the next start; `complete` when nothing comes any more. Takes the
    /// time of writing a file.
    pub(crate) fn keep(&self, complete: bool) {
        let (mut lists, mut age) = ([Vec::new(), Vec::new()], Duration::MAX);
        for part in self.parts.iter() {
            let mut part = lock(part);
            part.age(self.now());
            if self.persist.load(Relaxed) {
                // Parts turn over at different times; by the youngest of them nothing is forgotten too early.
                age = age.min(part.copy_to(&mut lists, self.now()));
            }
        }
        if !self.enabled.load(Relaxed) || !self.persist.load(Relaxed) || self.left.load(Relaxed) {
            return;
        }
        let remembered = Remembered { written: clock::unix_time(), complete, age, lists };
        match file::store(&self.directory, &remembered) {
            Ok(()) => {
                if self.said.swap(false, Relaxed) {
                    info!("the memory of handshakes can be kept again");
                }
            }
            Err(error) => {
                if !self.said.swap(true, Relaxed) {
                    let file = file::path(&self.directory);
                    warn!(file = %file.display(), %error, "the memory of handshakes cannot be kept for the next start");
                }
            }
        }
    }

    /// Keeps it for a process that takes this one's place, and does not write over what that one keeps from then on.
    pub(crate) fn leave(&self) {
        *self.heir() = Some(Heir::default());
        self.has_heir.store(true, Relaxed);
        self.keep(false);
        self.left.store(true, Relaxed);
    }

    /// The process that takes this one's place listens: it is told who was let in since [`leave`](Self::leave), and will be.
    pub(crate) fn hand_on(&self, way: Handover) {
        if let Some(heir) = &mut *self.heir() {
            heir.listens(way);
        }
    }

    /// Hears of those whom the process before let in since it wrote its memory; of late ones in the background, until it is
    /// gone.
    ///
    /// # Errors
    /// It does not tell all of them in time, or the system has no thread to give.
    pub(crate) fn inherit(&self, before: Handover) -> io::Result<()> {
        let (parts, start) = (Arc::clone(&self.parts), self.start);
        let remember = move |key| {
            lock(&parts[part_of(key)]).insert(key, now_since(start));
        };
        heir::hear_all(&before, &remember)?;
        let hearing = std::thread::Builder::new().name("heir".into());
        hearing.spawn(move || heir::hear_later(&before, remember)).map(drop)
    }

    fn heir(&self) -> MutexGuard<'_, Option<Heir>> {
        self.heir.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No process took this one's place after all.
    pub(crate) fn stay(&self) {
        self.has_heir.store(false, Relaxed);
        *self.heir() = None;
        self.left.store(false, Relaxed);
    }

    /// How much is remembered.
    pub(crate) fn counts(&self) -> ReplayCounts {
        self.parts.iter().fold(ReplayCounts::default(), |sum, part| {
            let part = lock(part);
            ReplayCounts { entries: sum.entries + part.len() as u64, evicted: sum.evicted + part.evicted() }
        })
    }

    /// The time on the clock of the generations.
    fn now(&self) -> Duration {
        now_since(self.start)
    }
}

fn now_since(start: Instant) -> Duration {
    BEFORE + clock::now().duration_since(start)
}

fn limits(settings: &config::Replay) -> Limits {
    Limits { generation: (settings.capacity / 2 / PARTS).max(1), max_age: settings.max_age }
}

fn part_of(key: ReplayKey) -> usize {
    let [.., last] = *key.as_bytes();
    usize::from(last) % PARTS
}

/// A thread that panicked elsewhere leaves a set that is whole.
fn lock(part: &Mutex<Generations>) -> MutexGuard<'_, Generations> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Parts with a lock each: many more than threads, and small enough that one grows in less than a millisecond.
const PARTS: usize = 64;

/// Where this process begins on the clock of the generations: what an earlier one remembered is from before.
const BEFORE: Duration = Duration::from_secs(10 * 365 * 86_400);

#[cfg(test)]
mod tests;
