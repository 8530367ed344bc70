//! What one process tells the one that takes its place: who was let in since the memory was written for it.

use std::io;
use std::time::Duration;

use teleferry_proto::replay::{REPLAY_KEY_LEN, ReplayKey};

use crate::listen::Handover;

/// Those let in before the heir takes connections, at most; 16 MiB.
const MAX_KEYS: usize = 1 << 20;
/// Keys told at once.
const BATCH: usize = 2048;
/// Said once all are told that were let in so far. Keys have another length.
const ALL: &[u8] = b"all";
/// How long the process before may take for that.
const PATIENCE: Duration = Duration::from_secs(10);

/// The process that takes this one's place.
#[derive(Debug, Default)]
pub(super) struct Heir {
    /// Those it is to be told.
    keys: Vec<ReplayKey>,
    /// The way to it, once it listens.
    way: Option<Handover>,
}

impl Heir {
    /// Somebody was let in.
    pub(super) fn tell(&mut self, key: ReplayKey) {
        match &self.way {
            None if self.keys.len() < MAX_KEYS => self.keys.push(key),
            None => {}
            // One that is gone needs nothing.
            Some(way) => drop(way.try_say(key.as_bytes())),
        }
    }

    /// Tells all of them; from now on each as it comes.
    pub(super) fn listens(&mut self, way: Handover) {
        for keys in std::mem::take(&mut self.keys).chunks(BATCH) {
            let bytes: Vec<u8> = keys.iter().flat_map(ReplayKey::as_bytes).copied().collect();
            // One that is gone needs nothing, here and below.
            let _ = way.say(&bytes);
        }
        let _ = way.say(ALL);
        self.way = Some(way);
    }
}

/// Hears of those whom the process before let in, until it has told all; those that come later are for another thread.
///
/// # Errors
/// It says nothing for a while. One that is gone is no error: it has told all it had to.
pub(super) fn hear_all(before: &Handover, mut remember: impl FnMut(ReplayKey)) -> io::Result<()> {
    while let Some(said) = before.hear(Some(PATIENCE))? {
        if said == ALL {
            break;
        }
        keys(&said).for_each(&mut remember);
    }
    Ok(())
}

/// Hears of the later ones, until that process is gone.
pub(super) fn hear_later(before: &Handover, mut remember: impl FnMut(ReplayKey)) {
    while let Ok(Some(said)) = before.hear(None) {
        keys(&said).for_each(&mut remember);
    }
}

fn keys(said: &[u8]) -> impl Iterator<Item = ReplayKey> {
    said.as_chunks::<REPLAY_KEY_LEN>().0.iter().copied().map(ReplayKey::from_bytes)
}
