//! Why a handshake between a front and a back, or with a stranger, came to nothing.

use std::error::Error;
use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError};

/// Why a handshake came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// Whether it was the other side that refused us.
    pub by_peer: bool,
    /// What the one who refused did not like.
    pub cause: Cause,
}

/// What was not liked: a closed list, fit as a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// Nobody who is believed signed the certificate: a stranger's.
    Stranger,
    /// The certificate has expired, or does not hold yet.
    Expired,
    /// The certificate is for another name.
    WrongName,
    /// The certificate was revoked.
    Revoked,
    /// The certificate cannot be used for this, or cannot be understood.
    BadCertificate,
    /// The other side needs a certificate, and got none.
    NoCertificate,
    /// It was no TLS, or no TLS that both sides know.
    Protocol,
    /// The connection broke off.
    Broken,
}

impl Refusal {
    /// What an error of a handshake means.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        let inner = error.get_ref().map(|inner| inner as &(dyn Error + 'static));
        match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(error) => Self::of_tls(error),
            None => Self { by_peer: false, cause: Cause::Broken },
        }
    }

    fn of_tls(error: &rustls::Error) -> Self {
        let ours = |cause| Self { by_peer: false, cause };
        match error {
            rustls::Error::InvalidCertificate(error) => ours(Cause::of_certificate(error)),
            rustls::Error::InvalidCertRevocationList(_) => ours(Cause::BadCertificate),
            rustls::Error::NoCertificatesPresented => ours(Cause::NoCertificate),
            rustls::Error::AlertReceived(alert) => Self { by_peer: true, cause: Cause::of_alert(*alert) },
            _ => ours(Cause::Protocol),
        }
    }
}

impl Cause {
    /// Each of them.
    pub const ALL: [Self; 8] = [
        Self::Stranger,
        Self::Expired,
        Self::WrongName,
        Self::Revoked,
        Self::BadCertificate,
        Self::NoCertificate,
        Self::Protocol,
        Self::Broken,
    ];

    /// Its name in metrics and log fields.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stranger => "unknown_issuer",
            Self::Expired => "expired",
            Self::WrongName => "wrong_name",
            Self::Revoked => "revoked",
            Self::BadCertificate => "bad_certificate",
            Self::NoCertificate => "no_certificate",
            Self::Protocol => "protocol",
            Self::Broken => "broken_off",
        }
    }

    const fn of_certificate(error: &CertificateError) -> Self {
        use CertificateError as E;
        match error {
            E::UnknownIssuer | E::BadSignature | E::UnknownRevocationStatus => Self::Stranger,
            E::Expired | E::ExpiredContext { .. } | E::NotValidYet | E::NotValidYetContext { .. } => {
                Self::Expired
            }
            E::NotValidForName | E::NotValidForNameContext { .. } => Self::WrongName,
            E::Revoked => Self::Revoked,
            _ => Self::BadCertificate,
        }
    }

    const fn of_alert(alert: AlertDescription) -> Self {
        use AlertDescription as A;
        match alert {
            A::UnknownCA | A::DecryptError => Self::Stranger,
            A::CertificateExpired => Self::Expired,
            A::CertificateRevoked => Self::Revoked,
            A::CertificateRequired => Self::NoCertificate,
            A::BadCertificate | A::UnsupportedCertificate | A::CertificateUnknown | A::AccessDenied => {
                Self::BadCertificate
            }
            A::UnrecognisedName => Self::WrongName,
            _ => Self::Protocol,
        }
    }
}

impl fmt::Display for Refusal {
    /// A sentence without a full stop that says what to look at.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.by_peer, self.cause) {
            (false, Cause::Stranger) => "its certificate is signed by nobody who is believed here",
            (false, Cause::Expired) => {
                "its certificate has expired or does not hold yet; or one of the two clocks is wrong"
            }
            (false, Cause::WrongName) => "its certificate is for another name",
            (false, Cause::Revoked) => "its certificate was revoked",
            (false, Cause::BadCertificate) => "its certificate cannot be used for this",
            (false, Cause::NoCertificate) => "it has no certificate",
            (true, Cause::Stranger) => "it does not know who signed our certificate",
            (true, Cause::Expired) => {
                "it says that our certificate has expired or does not hold yet; or one of the two clocks is wrong"
            }
            (true, Cause::WrongName) => "it is no host of the name that we asked for",
            (true, Cause::Revoked) => "it says that our certificate was revoked",
            (true, Cause::BadCertificate) => "it cannot use our certificate",
            (true, Cause::NoCertificate) => "it asks for a certificate, and we have none",
            (_, Cause::Protocol) => "it does not speak the TLS that is expected",
            (_, Cause::Broken) => "the connection broke off during the handshake",
        })
    }
}
