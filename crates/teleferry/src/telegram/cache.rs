//! The last good copies in the state directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::item::{Item, Piece, Refusal};
use crate::state;

/// The copies. They are read by everybody; of several processes on one directory, the one that has the lock writes them.
#[derive(Debug)]
pub(super) struct Cache {
    directory: PathBuf,
    /// Held until the process ends.
    lock: Option<File>,
}

/// Why a copy is of no use.
#[derive(Debug)]
pub(super) enum Spoilt {
    /// It cannot be read.
    Read(io::Error),
    /// It is something else.
    Refused(Refusal),
}

impl Cache {
    /// The copies in a directory, which may not be there yet.
    pub(super) fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), lock: None }
    }

    /// Where the copy of an item is.
    pub(super) fn path(&self, item: Item) -> PathBuf {
        self.directory.join(item.file())
    }

    /// The copy of an item; `None` when there is none.
    ///
    /// # Errors
    /// There is one, and it is of no use.
    pub(super) fn load(&self, item: Item) -> Result<Option<Piece>, Spoilt> {
        let file = match File::open(self.path(item)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(Spoilt::Read)?,
        };
        // One more than fits, to see that it is too long.
        let most = u64::try_from(item.limit()).unwrap_or(u64::MAX).saturating_add(1);
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes).map_err(Spoilt::Read)?;
        item.read(&bytes).map(Some).map_err(Spoilt::Refused)
    }

    /// Keeps a copy, whole or not at all. Gives false when another process keeps them.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub(super) fn store(&mut self, item: Item, bytes: &[u8]) -> io::Result<bool> {
        if !self.lock()? {
            return Ok(false);
        }
        state::write(&self.directory, item.file(), bytes)?;
        Ok(true)
    }

    /// Takes the lock unless it is ours. The process that has it may end at any time, so this is tried again and again.
    fn lock(&mut self) -> io::Result<bool> {
        if self.lock.is_some() {
            return Ok(true);
        }
        state::make_directory(&self.directory)?;
        // Its content is nobody's business, and it is never removed: another process may wait for this very file.
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(self.lock_path())?;
        match file.try_lock() {
            Ok(()) => self.lock = Some(file),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        Ok(true)
    }

    fn lock_path(&self) -> PathBuf {
        lock_file(&self.directory)
    }
}

/// The file that the process which writes a state directory has locked.
pub(crate) fn lock_file(directory: &Path) -> PathBuf {
    directory.join("lock")
}

impl std::fmt::Display for Spoilt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl std::error::Error for Spoilt {}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const CONFIG: &[u8] = b"default 2; proxy_for 2 192.0.2.2:8888;";

    #[test]
    fn copies_come_back() {
        let parent = tempfile::tempdir().expect("a directory");
        let directory = parent.path().join("state");
        let mut cache = Cache::new(&directory);
        for item in Item::ALL {
            assert!(matches!(cache.load(item), Ok(None)), "{item:?}");
        }
        assert!(cache.store(Item::Secret, &[7; 128]).expect("written"));
        assert!(cache.store(Item::Config, CONFIG).expect("written"));
        assert!(cache.store(Item::Config, CONFIG).expect("written again"));

        let later = Cache::new(&directory);
        let Ok(Some(Piece::Secret(secret))) = later.load(Item::Secret) else { panic!("no secret") };
        assert_eq!(secret.as_bytes(), [7; 128]);
        let Ok(Some(Piece::Config(config))) = later.load(Item::Config) else { panic!("no list") };
        assert_eq!(config.iter().count(), 1);
        assert!(matches!(later.load(Item::ConfigV6), Ok(None)));
    }

    #[test]
    fn a_spoilt_copy_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let cache = Cache::new(directory.path());
        let spoil = |item: Item, bytes: &[u8]| fs::write(cache.path(item), bytes).expect("written");
        spoil(Item::Secret, b"short");
        spoil(Item::Config, b"<html>");
        fs::create_dir(cache.path(Item::ConfigV6)).expect("made");
        for (item, what) in
            [(Item::Secret, "32 to 256 bytes"), (Item::Config, "web page"), (Item::ConfigV6, "directory")]
        {
            let told = cache.load(item).expect_err("spoilt").to_string();
            assert!(told.contains(what), "{told}");
        }
        spoil(Item::Secret, &[7; 1 << 20]);
        assert!(cache.load(Item::Secret).expect_err("too long").to_string().contains("has 65537"));
    }

    #[test]
    fn one_of_two_processes_writes() {
        let directory = tempfile::tempdir().expect("a directory");
        // Locks belong to open files, so two of them in one process are like two processes.
        let [mut first, mut second] = [Cache::new(directory.path()), Cache::new(directory.path())];
        assert!(first.store(Item::Config, CONFIG).expect("written"));
        assert!(!second.store(Item::Config, b"proxy_for 3 192.0.2.3:1;").expect("left alone"));
        assert_eq!(fs::read(first.path(Item::Config)).expect("there"), CONFIG);
        drop(first);
        assert!(second.store(Item::Config, CONFIG).expect("written"));
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_an_error() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("file");
        fs::write(&file, "").expect("written");
        Cache::new(&file.join("state")).store(Item::Config, CONFIG).expect_err("below a file");
    }
}
