//! One process for each state directory: a second one would write over what the first keeps.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::make_directory;

/// The file in the state directory.
const NAME: &str = "lock";

/// The right to keep state in a directory, until it is dropped. It belongs to the open file, so it goes on for as long as any
/// process has that: a process hands it to the one that takes its place.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

/// Why a directory is not ours.
#[derive(Debug)]
pub enum LockError {
    /// Another process has it.
    Taken {
        /// The state directory.
        directory: PathBuf,
        /// That process, if it has said who it is.
        process: Option<u32>,
    },
    /// It cannot be locked at all.
    System(io::Error),
}

impl Lock {
    /// Takes the directory, which is made if it is not there.
    ///
    /// # Errors
    /// Another process has it, or it cannot be written.
    pub(crate) fn take(directory: &Path) -> Result<Self, LockError> {
        make_directory(directory).map_err(LockError::System)?;
        let path = directory.join(NAME);
        let opened =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = opened.map_err(LockError::System)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path }),
            Err(TryLockError::WouldBlock) => {
                let mut said = String::new();
                let process = (&mut file).take(16).read_to_string(&mut said).ok();
                let process = process.and_then(|_| said.trim().parse().ok());
                Err(LockError::Taken { directory: directory.to_owned(), process })
            }
            Err(TryLockError::Error(error)) => Err(LockError::System(error)),
        }
    }

    /// One that another process had for the same directory.
    pub(crate) fn adopt(directory: &Path, file: OwnedFd) -> Self {
        Self { file: file.into(), path: directory.join(NAME) }
    }

    /// The file that is locked.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Says whose it is, for others to read.
    pub(crate) fn sign(&self) {
        let mut file = &self.file;
        let signing = file.set_len(0).and_then(|()| file.rewind());
        // The lock holds without.
        let _ = signing.and_then(|()| writeln!(file, "{}", std::process::id()));
    }

    /// The same lock once more.
    pub(crate) fn lend(&self) -> io::Result<OwnedFd> {
        Ok(self.file.try_clone()?.into())
    }
}

/// The file that is locked for a directory.
pub(crate) fn lock_path(directory: &Path) -> PathBuf {
    directory.join(NAME)
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { directory, process } => {
                write!(f, "another process ")?;
                if let Some(process) = process {
                    write!(f, "({process}) ")?;
                }
                write!(
                    f,
                    "keeps its state in {}: stop it, or give this one a server.state_dir of its own (`teleferry ctl upgrade` replaces a running process)",
                    directory.display()
                )
            }
            Self::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LockError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_one_process_s_until_its_last_copy_of_the_lock_goes() {
        let directory = tempfile::tempdir().expect("a directory");
        let directory = directory.path().join("state");
        let lock = Lock::take(&directory).expect("nobody has it");
        lock.sign();
        let taken = || match Lock::take(&directory) {
            Err(LockError::Taken { process, .. }) => process,
            other => panic!("{other:?}"),
        };
        assert_eq!(taken(), Some(std::process::id()));
        let handed_over = Lock::adopt(&directory, lock.lend().expect("lent"));
        assert_eq!(handed_over.path(), lock.path());
        drop(lock);
        assert_eq!(taken(), Some(std::process::id()), "the other copy holds it");
        drop(handed_over);
        Lock::take(&directory).expect("nobody has it any more");
    }

    #[test]
    fn where_nothing_can_be_written_nothing_is_locked() {
        assert!(matches!(Lock::take(Path::new("/dev/null/nowhere")), Err(LockError::System(_))));
    }
}
