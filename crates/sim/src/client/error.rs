//! Why a client is not content.

use std::io;

use teleferry_proto::fake_tls::answer::AnswerError;
use teleferry_proto::fake_tls::record::RecordError;
use teleferry_proto::transport::FrameError;

/// Why a client cannot go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientError {
    /// The socket.
    Io(io::Error),
    /// The answer to the hello is not a proxy's that knows the secret.
    Answer(AnswerError),
    /// Something followed the answer to the hello before the client had spoken.
    TooMuch,
    /// An illegal TLS record.
    Record(RecordError),
    /// An illegal frame.
    Frame(FrameError),
    /// The stream ended where something was expected.
    Ended,
    /// Something else came than what was expected.
    Mismatch,
}

impl std::fmt::Display for ClientError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Answer(error) => error.fmt(f),
            Self::TooMuch => f.write_str("something follows the answer to the hello"),
            Self::Record(error) => error.fmt(f),
            Self::Frame(error) => error.fmt(f),
            Self::Ended => f.write_str("the stream ended"),
            Self::Mismatch => f.write_str("not what was expected"),
        }
    }
}

impl std::error::Error for ClientError {}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<AnswerError> for ClientError {
    fn from(error: AnswerError) -> Self {
        Self::Answer(error)
    }
}

impl From<RecordError> for ClientError {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

impl From<FrameError> for ClientError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}
