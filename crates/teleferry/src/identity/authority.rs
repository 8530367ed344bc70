//! The authority of a few fronts and backs: a directory with its certificate, its key, what it signed, and what it takes back.
//!
//! | File | What is in it |
//! |---|---|
//! | `ca.pem`, `ca.key` | the authority |
//! | `NAME.pem`, `NAME.key` | a certificate that it signed, the newest under that name |
//! | `revoked.pem` | the revocation list |
//! | `issued.txt` | the index: one line for each certificate that was ever signed |
//!
//! Nothing in a certificate says what it is for: a back's is seen by whoever calls it.

mod error;
mod index;
mod make;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::about::About;
use super::credentials::{Credentials, Own, Side};
use super::files::{read_certificates, read_revoked};
use crate::state;

pub use error::AuthorityError;
pub use index::Entry;
pub use make::HostError;

use index::Index;

/// An authority that was opened.
pub struct Authority {
    directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    about: About,
    index: Index,
}

/// Files that were made, by what they are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Whose certificate it is.
    pub name: String,
    /// The certificate's file.
    pub certificate: PathBuf,
    /// The key's file.
    pub key: PathBuf,
    /// When the certificate expires, in seconds since 1970.
    pub expires: i64,
}

/// What the index and the revocation list say of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What the index says.
    pub entry: Entry,
    /// Whether it was taken back.
    pub is_revoked: bool,
    /// Whether it is the newest of its name.
    pub is_newest: bool,
}

/// Whether what is there may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    /// It may not.
    Never,
    /// It may: the operator said so.
    Force,
}

impl Authority {
    /// Makes an authority in a directory.
    ///
    /// `hosts` are the names and addresses by which fronts know the first back; only what the authority is called follows from
    /// them. `now` is in seconds since 1970, here and everywhere.
    ///
    /// # Errors
    /// There is one already, or the directory cannot be written.
    pub fn make(
        directory: &Path,
        hosts: &[String],
        now: i64,
        replace: Replace,
    ) -> Result<Self, AuthorityError> {
        refuse_to_overwrite(directory, &[CA_CERTIFICATE, CA_KEY, REVOKED, index::FILE], replace)?;
        let made = make::authority(hosts, now)?;
        let written = |name: &str, text: &str, mode| {
            state::write_with(directory, name, text.as_bytes(), mode)
                .map_err(|error| AuthorityError::Write(directory.join(name), error))
        };
        written(CA_KEY, &made.key, SECRET)?;
        written(CA_CERTIFICATE, &made.certificate, PUBLIC)?;
        written(index::FILE, index::HEADING, PUBLIC)?;
        let authority = Self::open(directory)?;
        authority.write_revoked(&[], now)?;
        Ok(authority)
    }

    /// Opens the authority of a directory.
    ///
    /// # Errors
    /// There is none, or its files cannot be read.
    pub fn open(directory: &Path) -> Result<Self, AuthorityError> {
        let path = directory.join(CA_CERTIFICATE);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(AuthorityError::None(directory.to_owned()));
            }
            text => text.map_err(|error| AuthorityError::Read(path.clone(), error))?,
        };
        let certificates =
            read_certificates(&path).map_err(|error| AuthorityError::File(path.clone(), error))?;
        let about = certificates.first().and_then(About::read).filter(|about| about.is_authority);
        let about = about.ok_or_else(|| AuthorityError::Unusable(path.clone()))?;
        let key_path = directory.join(CA_KEY);
        let key =
            fs::read_to_string(&key_path).map_err(|error| AuthorityError::Read(key_path.clone(), error))?;
        let key = KeyPair::from_pem(&key).map_err(|_| AuthorityError::Unusable(key_path))?;
        let issuer = Issuer::from_ca_cert_pem(&text, key).map_err(|_| AuthorityError::Unusable(path))?;
        let index = Index::read(directory)?;
        Ok(Self { directory: directory.to_owned(), issuer, about, index })
    }

    /// When the authority itself begins to hold and when it expires, in seconds since 1970.
    #[must_use]
    pub const fn validity(&self) -> (i64, i64) {
        (self.about.not_before, self.about.not_after)
    }

    /// The authority's own certificate.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.directory.join(CA_CERTIFICATE)
    }

    /// The revocation list.
    #[must_use]
    pub fn revocation_list(&self) -> PathBuf {
        self.directory.join(REVOKED)
    }

    /// Signs a certificate with a key of its own. A back's is for all of `names` and kept under the first; a front has one name.
    ///
    /// # Errors
    /// There is one of that name, a name cannot be used, or the directory cannot be written.
    pub fn issue(
        &mut self,
        side: Side,
        names: &[String],
        now: i64,
        replace: Replace,
    ) -> Result<Made, AuthorityError> {
        let name = make::check_names(side, names)?.to_owned();
        let [certificate, key] = files(&name);
        refuse_to_overwrite(&self.directory, &[&certificate, &key], replace)?;
        let pair = KeyPair::generate().map_err(AuthorityError::Make)?;
        self.write(&key, pair.serialize_pem().as_bytes(), SECRET)?;
        self.sign(side, &name, names, &pair, now)
    }

    /// Signs a certificate anew for the key and the names that it has.
    ///
    /// # Errors
    /// There is none of that name, it was revoked, or the directory cannot be written.
    pub fn renew(&mut self, name: &str, now: i64) -> Result<Made, AuthorityError> {
        let newest = self.list()?.into_iter().rfind(|listed| listed.entry.name == name);
        let newest = newest.ok_or_else(|| AuthorityError::Unknown(name.to_owned()))?;
        if newest.is_revoked {
            return Err(AuthorityError::Revoked(name.to_owned()));
        }
        let [certificate, key] = files(name).map(|file| self.directory.join(file));
        let about = self.read(&certificate)?;
        let names = match newest.entry.side {
            Side::Front => vec![name.to_owned()],
            Side::Back => about.names,
        };
        let text = fs::read_to_string(&key).map_err(|error| AuthorityError::Read(key.clone(), error))?;
        let pair = KeyPair::from_pem(&text).map_err(|_| AuthorityError::Unusable(key))?;
        self.sign(newest.entry.side, name, &names, &pair, now)
    }

    /// Takes back every certificate that was ever signed under a name; gives how many that are.
    ///
    /// # Errors
    /// There was none, or the directory cannot be written.
    pub fn revoke(&mut self, name: &str, now: i64) -> Result<usize, AuthorityError> {
        let of_name: Vec<Vec<u8>> = self.index.of(name).map(|entry| entry.serial.clone()).collect();
        if of_name.is_empty() {
            return Err(AuthorityError::Unknown(name.to_owned()));
        }
        let mut revoked = self.revoked()?;
        let before = revoked.len();
        revoked.extend(of_name.into_iter().map(|serial| (serial, now)));
        let mut known = std::collections::HashSet::new();
        revoked.retain(|(serial, _)| known.insert(serial.clone()));
        self.write_revoked(&revoked, now)?;
        Ok(revoked.len() - before)
    }

    /// Every certificate that was ever signed, the oldest first.
    ///
    /// # Errors
    /// The revocation list cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, AuthorityError> {
        let revoked = self.revoked()?;
        let entries = self.index.entries();
        let listed = entries.iter().enumerate().map(|(at, entry)| Listed {
            is_revoked: revoked.iter().any(|(serial, _)| *serial == entry.serial),
            is_newest: !entries.iter().skip(at + 1).any(|later| later.name == entry.name),
            entry: entry.clone(),
        });
        Ok(listed.collect())
    }

    fn sign(
        &mut self,
        side: Side,
        name: &str,
        names: &[String],
        key: &KeyPair,
        now: i64,
    ) -> Result<Made, AuthorityError> {
        let signed = make::leaf(side, names, key, &self.issuer, now)?;
        let about = About::read(&CertificateDer::from(signed.der().as_ref()));
        let about = about.ok_or(AuthorityError::Make(rcgen::Error::CouldNotParseCertificate))?;
        // In the index first: what is not in it can never be taken back.
        self.index.add(Entry {
            signed: now,
            expires: about.not_after,
            side,
            name: name.to_owned(),
            serial: about.serial,
        })?;
        let [certificate, key] = files(name);
        self.write(&certificate, signed.pem().as_bytes(), PUBLIC)?;
        Ok(Made {
            name: name.to_owned(),
            certificate: self.directory.join(certificate),
            key: self.directory.join(key),
            expires: about.not_after,
        })
    }

    fn read(&self, path: &Path) -> Result<About, AuthorityError> {
        let certificates =
            read_certificates(path).map_err(|error| AuthorityError::File(path.to_owned(), error))?;
        let about = certificates.first().and_then(About::read);
        about.ok_or_else(|| AuthorityError::Unusable(path.to_owned()))
    }

    /// Numbers that were taken back, and when.
    fn revoked(&self) -> Result<Vec<(Vec<u8>, i64)>, AuthorityError> {
        let path = self.revocation_list();
        let lists = read_revoked(&path).map_err(|error| AuthorityError::File(path, error))?;
        Ok(lists.iter().flat_map(|list| make::serials(list)).collect())
    }

    fn write_revoked(&self, revoked: &[(Vec<u8>, i64)], now: i64) -> Result<(), AuthorityError> {
        let text = make::revocation_list(revoked, &self.issuer, now, self.about.not_after)?;
        self.write(REVOKED, text.as_bytes(), PUBLIC)
    }

    fn write(&self, name: &str, bytes: &[u8], mode: u32) -> Result<(), AuthorityError> {
        state::write_with(&self.directory, name, bytes, mode)
            .map_err(|error| AuthorityError::Write(self.directory.join(name), error))
    }
}

/// What a back at this host and a front know each other by, of an authority that is forgotten at once. Nothing is written.
///
/// # Errors
/// A name cannot be used.
pub fn passing(host: &str, front: &str, now: i64) -> Result<[Credentials; 2], AuthorityError> {
    let made = make::authority(&[host.to_owned()], now)?;
    let key = KeyPair::from_pem(&made.key).map_err(AuthorityError::Make)?;
    let issuer = Issuer::from_ca_cert_pem(&made.certificate, key).map_err(AuthorityError::Make)?;
    let unreadable = || AuthorityError::Make(rcgen::Error::CouldNotParseCertificate);
    let authority = CertificateDer::from_pem_slice(made.certificate.as_bytes()).map_err(|_| unreadable())?;
    let credentials = |side, name: &str| -> Result<Credentials, AuthorityError> {
        let pair = KeyPair::generate().map_err(AuthorityError::Make)?;
        let leaf = make::leaf(side, &[name.to_owned()], &pair, &issuer, now)?;
        let key = PrivateKeyDer::Pkcs8(pair.serialize_der().into());
        Ok(Credentials {
            authorities: vec![authority.clone()],
            own: Some(Own { chain: vec![leaf.der().clone()], key: Arc::new(key) }),
            revoked: Vec::new(),
        })
    };
    Ok([credentials(Side::Back, host)?, credentials(Side::Front, front)?])
}

/// The files of a certificate and its key.
fn files(name: &str) -> [String; 2] {
    [format!("{name}.pem"), format!("{name}.key")]
}

fn refuse_to_overwrite(directory: &Path, names: &[&str], replace: Replace) -> Result<(), AuthorityError> {
    let mut there = names.iter().map(|name| directory.join(name)).filter(|path| path.exists());
    match there.next() {
        Some(path) if replace == Replace::Never => Err(AuthorityError::Exists(path)),
        Some(_) | None => Ok(()),
    }
}

const CA_CERTIFICATE: &str = "ca.pem";
const CA_KEY: &str = "ca.key";
const REVOKED: &str = "revoked.pem";

/// For the owner alone.
const SECRET: u32 = 0o600;
/// For everybody to read.
const PUBLIC: u32 = 0o644;
