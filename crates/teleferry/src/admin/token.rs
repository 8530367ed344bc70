//! The token that proves over TCP that somebody may change things.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::warn;

use crate::config::Snapshot;
use crate::identity::{Token, may_be_read_by_others};
use crate::reading::Observer;

/// The token in force. It is read when the server starts and after every reload.
#[derive(Debug)]
pub(super) struct TokenFile {
    observer: Observer,
    /// The settings for which it was read, and the reloads until then.
    known: Mutex<(u64, Option<Token>)>,
}

/// Whether a request proves that it comes from somebody who may change things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// It does.
    Given,
    /// It does not, or it is another token.
    Wrong,
    /// There is no token that could be given.
    Impossible,
}

impl TokenFile {
    /// Reads the token that the settings name.
    ///
    /// # Errors
    /// The file cannot be read, or holds no token.
    pub(super) fn open(observer: Observer) -> io::Result<Self> {
        let token = read_named(&observer.snapshot())?;
        let reloads = observer.reloads().counts().applied;
        Ok(Self { observer, known: Mutex::new((reloads, token)) })
    }

    /// Reads it again after every reload; ends with the server.
    pub(super) async fn follow(&self) {
        let mut reloads = self.observer.reloads().follow();
        while reloads.changed().await.is_ok() {
            self.refresh(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Compares what was given with the token in force.
    pub(super) fn check(&self, given: Option<&[u8]>) -> Proof {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut known);
        match (&known.1, given) {
            (None, _) => Proof::Impossible,
            (Some(token), Some(given)) if token.is(given) => Proof::Given,
            (Some(_), _) => Proof::Wrong,
        }
    }

    /// After a reload that was not seen yet the file is read again. One that is of no use then leaves nothing that could be given.
    fn refresh(&self, (known, token): &mut (u64, Option<Token>)) {
        let reloads = self.observer.reloads().counts().applied;
        if *known == reloads {
            return;
        }
        *known = reloads;
        let snapshot: Arc<Snapshot> = self.observer.snapshot();
        *token = read_named(&snapshot).unwrap_or_else(|error| {
            warn!("the admin token cannot be used, so that nothing can be changed over TCP: {error}");
            None
        });
    }
}

fn read_named(snapshot: &Snapshot) -> io::Result<Option<Token>> {
    snapshot.admin.token_file.as_deref().map(read).transpose()
}

fn read(path: &Path) -> io::Result<Token> {
    if may_be_read_by_others(path) {
        warn!(file = %path.display(), "others on this machine may read the admin token: chmod o= the file");
    }
    Token::read(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}
