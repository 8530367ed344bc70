//! Why an authority cannot do what it is asked for.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::make::HostError;
use crate::identity::FileError;

/// Why an authority cannot do what it is asked for.
#[derive(Debug)]
#[non_exhaustive]
pub enum AuthorityError {
    /// The directory has none.
    None(PathBuf),
    /// A file is there already, and nobody said that it may be replaced.
    Exists(PathBuf),
    /// A file cannot be read.
    Read(PathBuf, io::Error),
    /// A file cannot be written.
    Write(PathBuf, io::Error),
    /// A file of certificates or the revocation list cannot be used.
    File(PathBuf, FileError),
    /// A file holds something else than it should.
    Unusable(PathBuf),
    /// A line of the index cannot be understood.
    Index(PathBuf, usize),
    /// A name cannot be used.
    Name(String, HostError),
    /// Nothing was signed under this name.
    Unknown(String),
    /// The certificate of this name was revoked.
    Revoked(String),
    /// The library cannot make it.
    Make(rcgen::Error),
}

impl fmt::Display for AuthorityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None(directory) => write!(
                f,
                "there is no authority in {}: make one with `teleferry certs init --name HOST`, or name its directory with --dir",
                directory.display()
            ),
            Self::Exists(path) => write!(
                f,
                "{} is there already, and nothing was changed (--force replaces it; `teleferry certs renew` only makes a certificate last longer)",
                path.display()
            ),
            Self::Read(path, error) => write!(f, "{} cannot be read: {error}", path.display()),
            Self::Write(path, error) => write!(f, "{} cannot be written: {error}", path.display()),
            Self::File(path, error) => write!(f, "{} {error}", path.display()),
            Self::Unusable(path) => write!(f, "{} holds something else than it should", path.display()),
            Self::Index(path, line) => write!(f, "line {line} of {} cannot be understood", path.display()),
            Self::Name(name, error) => write!(f, "`{name}` {error}"),
            Self::Unknown(name) => {
                write!(f, "no certificate was made for `{name}` (`teleferry certs list` shows all)")
            }
            Self::Revoked(name) => write!(
                f,
                "the certificate of `{name}` was revoked: make a new one with `teleferry certs issue {name} --force`"
            ),
            Self::Make(error) => write!(f, "the certificate cannot be made: {error}"),
        }
    }
}

impl std::error::Error for AuthorityError {}
