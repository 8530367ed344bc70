//! The token that proves over TCP that somebody may change things.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use tracing::warn;

use crate::config::Snapshot;
use crate::reading::Observer;

/// Shorter ones could be guessed.
const SHORTEST: usize = 16;
/// More than any token has, in bytes.
const LONGEST: u64 = 4096;

/// The token in force. It is read when the server starts and after every reload.
#[derive(Debug)]
pub(super) struct TokenFile {
    observer: Observer,
    /// The settings for which it was read, and the reloads until then.
    known: Mutex<(u64, Option<Token>)>,
}

/// The token's bytes. Nobody is shown them.
struct Token(Vec<u8>);

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

    /// Compares without telling by its time how much was right.
    pub(super) fn check(&self, given: Option<&[u8]>) -> Proof {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut known);
        match (&known.1, given) {
            (None, _) => Proof::Impossible,
            (Some(token), Some(given)) if verify_slices_are_equal(&token.0, given).is_ok() => Proof::Given,
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
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let file = File::open(path).map_err(named)?;
    if file.metadata().map_err(named)?.mode() & 0o077 != 0 {
        warn!(file = %path.display(), "others on this machine may read the admin token: chmod 600 the file");
    }
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text).map_err(named)?;
    let token = text.trim_ascii();
    let printable = token.iter().all(u8::is_ascii_graphic);
    if token.len() < SHORTEST || !printable {
        let what = format!("a token has {SHORTEST} printable characters or more, and no spaces");
        return Err(named(io::Error::new(io::ErrorKind::InvalidData, what)));
    }
    Ok(Token(token.to_vec()))
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_and_printable() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        for (text, good) in [
            ("0123456789abcdef\n", true),
            ("", false),
            ("0123456789abcde", false),
            ("0123456789 abcdef", false),
        ] {
            std::fs::write(&path, text).expect("written");
            let read = read(&path);
            assert_eq!(read.is_ok(), good, "{text:?}");
            let told = format!("{read:?}");
            assert!(!told.contains("0123"), "{told}");
        }
    }
}
