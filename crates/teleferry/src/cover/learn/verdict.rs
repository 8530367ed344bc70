//! What the site's answers mean for people who hide behind it.

use std::fmt;

use teleferry_proto::fake_tls::profile::{Profile, Unlike};
use teleferry_proto::fake_tls::server_hello::MAX_ENCRYPTED;

use super::sample::Failure;

/// How far our answers can be like the site's; the better the less.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// In everything that stands in the clear, and in length.
    Like,
    /// In all but the number of encrypted records, of which the site sends so many.
    Several(usize),
    /// In all but the length, which clients would refuse.
    TooLong,
    /// The site answers in a way that fake TLS cannot.
    Unlike(String),
    /// It did not answer; this is what the system said.
    Unreachable(String),
    /// It is this server.
    Loop,
}

impl Verdict {
    /// What a profile amounts to.
    pub(crate) fn of(profile: &Profile) -> Self {
        let longest = profile.lengths.iter().map(|&(len, _)| usize::from(len)).max().unwrap_or(0);
        match profile.records {
            _ if longest > MAX_ENCRYPTED => Self::TooLong,
            0 | 1 => Self::Like,
            several => Self::Several(several),
        }
    }

    /// What it means for those who use the proxy.
    pub(crate) const fn meaning(&self) -> &'static str {
        match self {
            Self::Like => "a client's answer is like a visitor's",
            Self::Several(_) => {
                "apps take exactly one encrypted record, so who compares a client's answer with a visitor's sees the difference; its length in all is the site's"
            }
            Self::TooLong | Self::Unlike(_) => {
                "an answer of this form is not taken by apps, so who compares a client's answer with a visitor's sees the difference"
            }
            Self::Unreachable(_) => {
                "visitors are shown nothing, and clients' answers are like those of an ordinary server instead of the site's own"
            }
            Self::Loop => "visitors are shown nothing",
        }
    }

    /// What to do about it; `None` when nothing has to be done.
    pub(crate) const fn advice(&self) -> Option<&'static str> {
        Some(match self {
            Self::Like => return None,
            Self::Several(_) => {
                "a web server whose TLS is rustls or BoringSSL sends one; OpenSSL, GnuTLS and Go send several"
            }
            Self::TooLong => "use a shorter certificate chain, best with an ECDSA key",
            Self::Unlike(_) => "use a web server with TLS 1.3 and X25519 or X25519MLKEM768",
            Self::Unreachable(_) => "see that the web server runs and that cover.target is its address",
            Self::Loop => "set cover.target to the address of the web server itself",
        })
    }
}

impl From<Failure> for Verdict {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Loop => Self::Loop,
            Failure::Unreachable(error) => Self::Unreachable(error.to_string()),
            Failure::Unlike(Unlike::Incomplete) => Self::Unreachable(Unlike::Incomplete.to_string()),
            Failure::Unlike(unlike) => Self::Unlike(unlike.to_string()),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Like => f.write_str("the cover site's answer is learned"),
            Self::Several(n) => {
                write!(f, "the cover site sends {n} encrypted records where fake TLS can show one")
            }
            Self::TooLong => f.write_str("the cover site's encrypted flight is longer than apps take"),
            Self::Unlike(what) => write!(f, "the cover site gives apps {what}"),
            Self::Unreachable(what) => write!(f, "the cover site cannot be asked: {what}"),
            Self::Loop => f.write_str("cover.target leads back to this server"),
        }
    }
}
