//! Reads certificates, keys and revocation lists: PEM, with whatever text around it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use super::about::About;

/// Why a file cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum FileError {
    /// The system does not give it.
    Read(io::Error),
    /// It is larger than such files are.
    TooLarge,
    /// It is not PEM, or broken off.
    NotPem,
    /// It has no such thing in it.
    Nothing(Content),
    /// What it calls one cannot be understood.
    Garbage(Content),
}

/// What a file should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Certificates.
    Certificate,
    /// A private key.
    Key,
    /// A revocation list.
    RevocationList,
}

/// The certificates of a file, at least one.
///
/// # Errors
/// There are none, or they cannot be read.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let certificates: Vec<CertificateDer<'static>> = read_all(path, Content::Certificate)?;
    if certificates.iter().any(|certificate| About::read(certificate).is_none()) {
        return Err(FileError::Garbage(Content::Certificate));
    }
    Ok(certificates)
}

/// The first private key of a file.
///
/// # Errors
/// There is none, or it cannot be read. Nothing of the file is repeated.
pub fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, FileError> {
    let mut keys: Vec<PrivateKeyDer<'static>> = read_all(path, Content::Key)?;
    Ok(keys.swap_remove(0))
}

/// The revocation lists of a file, at least one.
///
/// # Errors
/// There are none, or they cannot be read.
pub fn read_revoked(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, FileError> {
    let lists: Vec<CertificateRevocationListDer<'static>> = read_all(path, Content::RevocationList)?;
    let whole = |list: &CertificateRevocationListDer<'_>| {
        CertificateRevocationList::from_der(list.as_ref()).is_ok_and(|(rest, _)| rest.is_empty())
    };
    if lists.iter().all(whole) { Ok(lists) } else { Err(FileError::Garbage(Content::RevocationList)) }
}

/// Everything of one kind that a file holds; never empty.
fn read_all<T: PemObject>(path: &Path, content: Content) -> Result<Vec<T>, FileError> {
    let mut text = Vec::new();
    let file = File::open(path).map_err(FileError::Read)?;
    file.take(LARGEST + 1).read_to_end(&mut text).map_err(FileError::Read)?;
    if text.len() as u64 > LARGEST {
        return Err(FileError::TooLarge);
    }
    let all: Result<Vec<T>, pem::Error> = T::pem_slice_iter(&text).collect();
    let all = all.map_err(|_| FileError::NotPem)?;
    if all.is_empty() { Err(FileError::Nothing(content)) } else { Ok(all) }
}

/// Whether anybody on this machine may read a file that holds a secret, or change it. Its group is the service's.
#[must_use]
pub fn may_be_read_by_others(path: &Path) -> bool {
    path.metadata().is_ok_and(|about| about.mode() & 0o007 != 0)
}

/// Room for a revocation list of a hundred thousand certificates, in bytes.
const LARGEST: u64 = 4 << 20;

impl fmt::Display for FileError {
    /// Fits behind the name of the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "cannot be read: {error}"),
            Self::TooLarge => write!(f, "is larger than {} MiB", LARGEST >> 20),
            Self::NotPem => f.write_str("is not PEM, or broken off"),
            Self::Nothing(content) => write!(f, "holds no {content} in PEM"),
            Self::Garbage(content) => write!(f, "holds a {content} that cannot be understood"),
        }
    }
}

impl std::error::Error for FileError {}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificate",
            Self::Key => "private key",
            Self::RevocationList => "revocation list",
        })
    }
}
