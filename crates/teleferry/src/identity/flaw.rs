//! What can be wrong with credentials that could be read.

use std::fmt;

/// What is wrong with credentials in themselves, whoever the other side is.
#[derive(Debug)]
#[non_exhaustive]
pub enum Flaw {
    /// The key is not the certificate's.
    KeyMismatch,
    /// The key is of a kind that TLS does not use here.
    KeyUnusable,
    /// The certificate is an authority's: it signs others and proves nobody.
    IsAuthority,
    /// The certificate says for whom it is neither as a host nor as a subject.
    Nameless,
    /// The certificate is for servers and stands on a front, or for clients and stands on a back.
    WrongUse,
    /// The authority did not sign the certificate.
    NotSigned,
    /// The revocation list has the certificate.
    Revoked,
    /// What stands in the authority's place is no authority's certificate.
    NoAuthority,
    /// The authority did not sign the revocation list.
    ListNotSigned,
    /// The TLS library cannot use them.
    Tls(rustls::Error),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeyMismatch => "the key is not the certificate's",
            Self::KeyUnusable => "the key is of a kind that cannot be used",
            Self::IsAuthority => "the certificate is that of an authority",
            Self::Nameless => "the certificate has no name",
            Self::WrongUse => "the certificate is for the other side of the link",
            Self::NotSigned => "the authority did not sign the certificate",
            Self::Revoked => "the certificate is revoked",
            Self::NoAuthority => "the authority's certificate is none of an authority",
            Self::ListNotSigned => "the authority did not sign the revocation list",
            Self::Tls(error) => return write!(f, "TLS cannot use them: {error}"),
        })
    }
}

impl std::error::Error for Flaw {}

impl From<rustls::Error> for Flaw {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InconsistentKeys(_) => Self::KeyMismatch,
            error => Self::Tls(error),
        }
    }
}
