//! What proves a side of the link, and whom it believes.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore};
use std::time::Duration;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use super::about::{About, day};
use super::flaw::Flaw;
use super::{expires_soon, tls};

/// A side of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It calls backs.
    Front,
    /// It is called by fronts.
    Back,
}

/// What the files of one side hold. No key is ever shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The authorities that sign the other side's certificates. Empty: a front believes whom its system believes, and a back
    /// asks nobody for a certificate.
    pub authorities: Vec<CertificateDer<'static>>,
    /// What this side shows. A back always has it; a front without it needs a token.
    pub own: Option<Own>,
    /// The revocation lists of the authorities.
    pub revoked: Vec<CertificateRevocationListDer<'static>>,
}

/// A certificate and its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Own {
    /// The certificate, and those between it and the authority; never empty.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key.
    pub key: Arc<PrivateKeyDer<'static>>,
}

/// One of the certificates that have to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// What its holder is called.
    pub name: String,
    /// Whether it is what this side shows; else it is an authority's.
    pub is_own: bool,
    /// When it ceases to hold, in seconds since 1970.
    pub not_after: i64,
}

impl Certificate {
    /// What it is called in a sentence.
    #[must_use]
    pub fn title(&self) -> String {
        if self.is_own {
            format!("the certificate of `{}`", self.name)
        } else {
            format!("the authority `{}`", self.name)
        }
    }
}

impl Side {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Front => "front",
            Self::Back => "back",
        }
    }
}

impl Credentials {
    /// Finds what is wrong with them in themselves. What depends on the time of day is told by
    /// [`warnings`](Self::warnings): a clock that is wrong at the start must not keep a server from starting.
    ///
    /// # Errors
    /// The first flaw there is.
    pub fn examine(&self, side: Side) -> Result<(), Flaw> {
        let is_authority = |certificate| About::read(certificate).is_some_and(|about| about.is_authority);
        if !self.authorities.iter().all(is_authority) {
            return Err(Flaw::NoAuthority);
        }
        if !self.revoked.iter().all(|list| self.have_signed(list)) {
            return Err(Flaw::ListNotSigned);
        }
        let Some((own, about)) = self.own_and_about() else { return Ok(()) };
        if about.is_authority {
            return Err(Flaw::IsAuthority);
        }
        match side {
            Side::Front if !about.for_clients => return Err(Flaw::WrongUse),
            Side::Front if about.name().is_none() => return Err(Flaw::Nameless),
            Side::Back if !about.for_servers => return Err(Flaw::WrongUse),
            Side::Back if about.names.is_empty() => return Err(Flaw::Nameless),
            Side::Front | Side::Back => {}
        }
        tls::certified_key(own)?;
        match self.verify_own(side, own, &about) {
            // A back may well show a certificate of a public authority, and believe fronts of another one.
            Err(Flaw::NotSigned) if side == Side::Back => Ok(()),
            verdict => verdict,
        }
    }

    /// Which certificates do not hold at this time in seconds since 1970, or not much longer: sentences without a full stop.
    #[must_use]
    pub fn expiring(&self, now: i64) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some((_, about)) = self.own_and_about() {
            warnings.extend(expiry(
                &format!("the certificate of `{}`", about.name().unwrap_or("?")),
                &about,
                now,
            ));
        }
        for about in self.authorities.iter().filter_map(About::read) {
            let what = format!("the authority `{}`", about.common_name.as_deref().unwrap_or("?"));
            warnings.extend(expiry(&what, &about, now));
        }
        warnings
    }

    /// The same, and what else is worth saying of credentials that can be used.
    #[must_use]
    pub fn warnings(&self, side: Side, now: i64) -> Vec<String> {
        let mut warnings = self.expiring(now);
        let own = self.own_and_about();
        let signed = own.is_none_or(|(own, about)| self.verify_own(side, own, &about).is_ok());
        if side == Side::Back && !signed {
            warnings.push(
                "the authority of `role.tls.ca` did not sign this back's own certificate: fronts believe it only when they have no `role.tls.ca` and a public authority signed it"
                    .to_owned(),
            );
        }
        warnings
    }

    /// The own certificate and those of the authorities, as far as they can be read.
    #[must_use]
    pub fn certificates(&self) -> Vec<Certificate> {
        let certificate = |about: About, is_own| Certificate {
            name: if is_own { about.name() } else { about.common_name.as_deref() }.unwrap_or("?").to_owned(),
            is_own,
            not_after: about.not_after,
        };
        let own = self.own_and_about().map(|(_, about)| certificate(about, true));
        let authorities = self.authorities.iter().filter_map(About::read);
        own.into_iter().chain(authorities.map(|about| certificate(about, false))).collect()
    }

    /// How many certificates the revocation lists have.
    #[must_use]
    pub fn revoked_count(&self) -> usize {
        let lists = self.revoked.iter();
        let counts = lists.filter_map(|list| {
            let (_, list) = CertificateRevocationList::from_der(list.as_ref()).ok()?;
            Some(list.iter_revoked_certificates().count())
        });
        counts.sum()
    }

    /// The authorities in the form of the TLS library.
    pub(super) fn roots(&self) -> Result<Arc<RootCertStore>, Flaw> {
        let mut roots = RootCertStore::empty();
        for authority in &self.authorities {
            roots.add(authority.clone()).map_err(|_| Flaw::NoAuthority)?;
        }
        Ok(Arc::new(roots))
    }

    fn own_and_about(&self) -> Option<(&Own, About)> {
        let own = self.own.as_ref()?;
        Some((own, About::read(own.chain.first()?)?))
    }

    /// Whether one of the authorities signed a revocation list.
    fn have_signed(&self, list: &CertificateRevocationListDer<'_>) -> bool {
        let Ok((_, list)) = CertificateRevocationList::from_der(list.as_ref()) else { return false };
        self.authorities.iter().any(|authority| {
            X509Certificate::from_der(authority).is_ok_and(|(_, authority)| {
                authority.subject() == list.issuer() && list.verify_signature(authority.public_key()).is_ok()
            })
        })
    }

    /// Checks the own certificate as the other side will, but for the time of day.
    fn verify_own(&self, side: Side, own: &Own, about: &About) -> Result<(), Flaw> {
        if self.authorities.is_empty() {
            return Ok(());
        }
        let Some((leaf, between)) = own.chain.split_first() else { return Ok(()) };
        // All certificates hold at the beginning of the youngest.
        let begins = self.authorities.iter().filter_map(About::read).map(|about| about.not_before);
        let begin = begins.fold(about.not_before, i64::max);
        let then = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(begin).unwrap_or(0)));
        let verified = match side {
            Side::Front => tls::front_verifier(self)?.verify_client_cert(leaf, between, then).map(|_| ()),
            Side::Back => {
                let name = about.names.first().and_then(|name| ServerName::try_from(plain(name)).ok());
                let name = name.ok_or(Flaw::Nameless)?;
                use rustls::client::danger::ServerCertVerifier as _;
                tls::back_verifier(self)?.verify_server_cert(leaf, between, &name, &[], then).map(|_| ())
            }
        };
        use CertificateError as E;
        match verified {
            Ok(()) => Ok(()),
            // One that ended before its authority was made anew; that it has ended is told elsewhere.
            Err(rustls::Error::InvalidCertificate(E::Expired | E::ExpiredContext { .. })) => Ok(()),
            Err(rustls::Error::InvalidCertificate(E::Revoked)) => Err(Flaw::Revoked),
            Err(rustls::Error::InvalidCertificate(_)) => Err(Flaw::NotSigned),
            Err(error) => Err(Flaw::Tls(error)),
        }
    }
}

/// A host that a name with a wildcard is good for.
fn plain(name: &str) -> String {
    name.strip_prefix("*.").map_or_else(|| name.to_owned(), |rest| format!("www.{rest}"))
}

fn expiry(what: &str, about: &About, now: i64) -> Option<String> {
    let (begins, ends) = (day(about.not_before), day(about.not_after));
    if about.not_after < now {
        Some(format!(
            "{what} expired on {ends}, and nobody believes it any more: renew it (`teleferry certs renew`)"
        ))
    } else if about.not_before > now {
        Some(format!("{what} does not hold before {begins}, or this machine's clock is wrong"))
    } else if expires_soon(about.not_before, about.not_after, now) {
        Some(format!("{what} expires on {ends}: renew it (`teleferry certs renew`)"))
    } else {
        None
    }
}

impl fmt::Debug for Own {
    /// The number of certificates alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}
