//! The memory of first flights on disk: versioned and checksummed, written whole or not at all.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use teleferry_proto::replay::{REPLAY_KEY_LEN, ReplayKey};

use crate::state;

/// What an earlier process remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remembered {
    /// When it was written, in seconds since 1970.
    pub(super) written: u64,
    /// Written at the end of that process: nothing came after it.
    pub(super) complete: bool,
    /// How long ago the newer generation began, when it was written.
    pub(super) age: Duration,
    /// The newer generation and the older one.
    pub(super) lists: [Vec<ReplayKey>; 2],
}

/// Why a file is of no use.
#[derive(Debug)]
pub(super) enum Spoilt {
    /// It cannot be read.
    Read(io::Error),
    /// Its checksum does not fit, or it has been cut off.
    Checksum,
    /// Another version of this program wrote it.
    Version,
}

/// Where it is in the state directory.
pub(super) fn path(directory: &Path) -> PathBuf {
    directory.join(NAME)
}

/// Reads it; `None` when there is none.
///
/// # Errors
/// There is one, and it is of no use.
pub(super) fn load(directory: &Path) -> Result<Option<Remembered>, Spoilt> {
    match fs::read(path(directory)) {
        // A place where no directory can be is told when something is to be kept there.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(Spoilt::Read(error)),
        Ok(bytes) => parse(&bytes).map(Some),
    }
}

/// Writes it in place of the one before.
///
/// # Errors
/// The directory cannot be written.
pub(super) fn store(directory: &Path, remembered: &Remembered) -> io::Result<()> {
    state::write(directory, NAME, &bytes(remembered))
}

/// All numbers little-endian: magic, version, flags (4 bytes), time of writing (8), age in seconds (8), the two lengths
/// (8 each), the keys, CRC-32 of everything before.
fn bytes(remembered: &Remembered) -> Vec<u8> {
    let Remembered { written, complete, age, lists } = remembered;
    let keys: usize = lists.iter().map(Vec::len).sum();
    let mut bytes = Vec::with_capacity(HEAD_LEN + keys * REPLAY_KEY_LEN + 4);
    bytes.extend(MAGIC);
    bytes.extend(u32::from(*complete).to_le_bytes());
    let lengths = lists.each_ref().map(|list| list.len() as u64);
    for number in [*written, age.as_secs()].into_iter().chain(lengths) {
        bytes.extend(number.to_le_bytes());
    }
    for key in lists.iter().flatten() {
        bytes.extend(key.as_bytes());
    }
    let checksum = crc32fast::hash(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

fn parse(bytes: &[u8]) -> Result<Remembered, Spoilt> {
    let (magic, _) = bytes.split_first_chunk::<8>().ok_or(Spoilt::Checksum)?;
    if magic != MAGIC {
        return Err(Spoilt::Version);
    }
    let (body, checksum) = bytes.split_last_chunk::<4>().ok_or(Spoilt::Checksum)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
        return Err(Spoilt::Checksum);
    }
    let (head, keys) = body.split_at_checked(HEAD_LEN).ok_or(Spoilt::Checksum)?;
    let number = |at: usize| {
        let field = head.get(at..at + 8).and_then(|field| field.try_into().ok()).unwrap_or_default();
        u64::from_le_bytes(field)
    };
    let (keys, rest) = keys.as_chunks::<REPLAY_KEY_LEN>();
    let newer = usize::try_from(number(28)).unwrap_or(usize::MAX);
    let older = usize::try_from(number(36)).unwrap_or(usize::MAX);
    let (first, second) = keys.split_at_checked(newer).ok_or(Spoilt::Checksum)?;
    if !rest.is_empty() || second.len() != older {
        return Err(Spoilt::Checksum);
    }
    let list = |keys: &[[u8; REPLAY_KEY_LEN]]| keys.iter().copied().map(ReplayKey::from_bytes).collect();
    Ok(Remembered {
        written: number(12),
        complete: head.get(8) == Some(&1),
        age: Duration::from_secs(number(20)),
        lists: [list(first), list(second)],
    })
}

/// The name and the version of the format.
const MAGIC: &[u8; 8] = b"tfreply1";

const HEAD_LEN: usize = 44;

const NAME: &str = "replay.bin";

impl fmt::Display for Spoilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Checksum => f.write_str("it is damaged"),
            Self::Version => f.write_str("another version wrote it"),
        }
    }
}

impl std::error::Error for Spoilt {}

#[cfg(test)]
mod tests {
    use super::*;

    fn remembered() -> Remembered {
        let key = |n: u8| ReplayKey::from_bytes([n; REPLAY_KEY_LEN]);
        Remembered {
            written: 1_763_845_200,
            complete: true,
            age: Duration::from_secs(77),
            lists: [vec![key(1), key(2)], vec![key(3)]],
        }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let directory = tempfile::tempdir().expect("a directory");
        assert!(load(directory.path()).expect("nothing is no error").is_none());
        let empty = Remembered { lists: [vec![], vec![]], complete: false, ..remembered() };
        for one in [remembered(), empty] {
            store(directory.path(), &one).expect("written");
            assert_eq!(load(directory.path()).expect("whole"), Some(one));
        }
    }

    #[test]
    fn every_damage_is_noticed() {
        let whole = bytes(&remembered());
        assert_eq!(parse(&whole).ok(), Some(remembered()));
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(parse(&changed).is_err(), "byte {at}");
            assert!(parse(&whole[..at]).is_err(), "cut at {at}");
        }
        assert!(parse(&[whole.as_slice(), &[0]].concat()).is_err(), "longer");
        assert!(matches!(parse(&[b"tfreply2".as_slice(), &whole[8..]].concat()), Err(Spoilt::Version)));
    }
}
