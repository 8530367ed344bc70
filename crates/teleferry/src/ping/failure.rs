//! What can go wrong with one exchange, as a fact. What it means is said in `meaning`.

use std::fmt;
use std::io;

use teleferry_proto::fake_tls::record::RecordError;
use teleferry_proto::transport::FrameError;

/// Why an exchange has no answer. Each is a fact that was seen, not yet what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The link's host has no address.
    NameNotFound,
    /// Nobody listens there.
    Refused,
    /// No TCP connection in time.
    ConnectTimeout,
    /// No TCP connection, for another reason.
    Unreachable(io::ErrorKind),
    /// No connection was made because the machine's own library failed.
    NoKeyShare,
    /// Not one byte in answer to the ClientHello.
    SilentHello,
    /// The answer to the ClientHello stopped on the way.
    StalledHello,
    /// Closed without a whole answer to the ClientHello.
    ClosedHello,
    /// A TLS server answered the ClientHello, without knowing the secret.
    WebServer,
    /// A TLS alert with this description.
    Alert(u8),
    /// An HTTP server answered.
    Http,
    /// An answer to the ClientHello that is not TLS.
    NotTls,
    /// A proven answer with more bytes behind it, which clients refuse.
    Trailing,
    /// Fake TLS is done, and then nothing.
    SilentDc,
    /// Fake TLS is done; then the connection was closed.
    ClosedDc,
    /// In the open: nothing at all.
    SilentOpen,
    /// In the open: closed without a word.
    ClosedOpen,
    /// Fake TLS is done; then an illegal record.
    Record(RecordError),
    /// An answer that cannot be read with this secret: an illegal frame.
    Frame(FrameError),
    /// An answer that cannot be read with this secret: it never became a whole frame.
    Unreadable,
    /// A message that is no `resPQ`.
    NotResPq,
    /// A `resPQ` to somebody else's question.
    Nonce,
    /// An error of the data centre, below zero.
    Transport(i32),
}

impl Failure {
    /// What an error of the dialler is.
    pub(super) fn connecting(error: Option<&io::Error>) -> Self {
        match error.map(io::Error::kind) {
            None => Self::NameNotFound,
            Some(io::ErrorKind::ConnectionRefused) => Self::Refused,
            Some(io::ErrorKind::TimedOut) => Self::ConnectTimeout,
            Some(kind) => Self::Unreachable(kind),
        }
    }

    /// Whether it shows that the proxy knows the secret: only then could it have come this far.
    pub(super) const fn shows_secret(self) -> bool {
        matches!(
            self,
            Self::Trailing
                | Self::SilentDc
                | Self::ClosedDc
                | Self::Record(_)
                | Self::NotResPq
                | Self::Nonce
                | Self::Transport(_)
        )
    }

    /// The failure's name in JSON.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::NameNotFound => "name_not_found",
            Self::Refused => "refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::Unreachable(_) => "unreachable",
            Self::NoKeyShare => "no_key_share",
            Self::SilentHello => "silent_after_hello",
            Self::StalledHello => "stalled_handshake",
            Self::ClosedHello => "closed_in_handshake",
            Self::WebServer => "web_server",
            Self::Alert(_) => "tls_alert",
            Self::Http => "http",
            Self::NotTls => "not_tls",
            Self::Trailing => "trailing_bytes",
            Self::SilentDc => "dc_silent",
            Self::ClosedDc => "dc_closed",
            Self::SilentOpen => "silent",
            Self::ClosedOpen => "closed",
            Self::Record(_) => "illegal_record",
            Self::Frame(_) => "illegal_frame",
            Self::Unreadable => "unreadable",
            Self::NotResPq => "unexpected_message",
            Self::Nonce => "nonce_mismatch",
            Self::Transport(_) => "transport_error",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NameNotFound => "cannot connect: the name has no address",
            Self::Refused => "cannot connect: refused",
            Self::ConnectTimeout => "cannot connect: timed out",
            Self::Unreachable(kind) => return write!(f, "cannot connect: {kind}"),
            Self::NoKeyShare => "this machine could not make a key share",
            Self::SilentHello => "no answer to the ClientHello",
            Self::StalledHello => "the answer to the ClientHello stopped on the way",
            Self::ClosedHello => "closed during the handshake",
            Self::WebServer => "answered by an ordinary TLS server: the secret does not prove the answer",
            Self::Alert(description) => {
                return write!(f, "TLS alert {description}{}", alert_name(*description));
            }
            Self::Http => "answered by an HTTP server",
            Self::NotTls => "the answer to the ClientHello is not TLS",
            Self::Trailing => "a proven answer, but more bytes follow it before the client has spoken",
            Self::SilentDc => "the proxy accepted the secret, but the data centre did not answer req_pq",
            Self::ClosedDc => "the proxy accepted the secret, then closed instead of answering req_pq",
            Self::SilentOpen => "no answer to req_pq",
            Self::ClosedOpen => "closed without an answer to req_pq",
            Self::Record(error) => return write!(f, "the proxy broke the protocol: {error}"),
            Self::Frame(error) => return write!(f, "an answer that this secret does not decrypt: {error}"),
            Self::Unreadable => "an answer that this secret does not decrypt",
            Self::NotResPq => "the answer to req_pq is no resPQ",
            Self::Nonce => "the answer carries another nonce than the question",
            Self::Transport(code) => return write!(f, "transport error {code}{}", transport_name(*code)),
        })
    }
}

/// The name of an alert, in brackets, when it is one that servers send at this point.
const fn alert_name(description: u8) -> &'static str {
    match description {
        0 => " (close_notify)",
        10 => " (unexpected_message)",
        40 => " (handshake_failure)",
        47 => " (illegal_parameter)",
        50 => " (decode_error)",
        70 => " (protocol_version)",
        80 => " (internal_error)",
        112 => " (unrecognized_name)",
        _ => "",
    }
}

/// What a data centre means by an error, in brackets.
const fn transport_name(code: i32) -> &'static str {
    match code {
        -404 => " (unknown key)",
        -429 => " (too many connections)",
        -444 => " (no such data centre)",
        _ => "",
    }
}
