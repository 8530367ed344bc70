//! How a call ends: gRPC's status codes, and what they mean to us.

use http::{HeaderMap, HeaderValue};
use teleferry_proto::call::CallError;

use crate::observe::{CallRefusal, CloseReason, Kind, Side};

const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";

/// Why a call is over. The numbers are gRPC's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Telegram has ended it, in order.
    Ok = 0,
    /// Whatever is not known.
    Unknown = 2,
    /// What was said cannot be understood.
    InvalidArgument = 3,
    /// The data centre took a request and answered nothing.
    DeadlineExceeded = 4,
    /// The data centre cannot be reached.
    NotFound = 5,
    /// Who calls may not.
    PermissionDenied = 7,
    /// Too much waits for the client.
    ResourceExhausted = 8,
    /// The other side speaks another version.
    FailedPrecondition = 9,
    /// The link to the middle proxy was lost.
    Aborted = 10,
    /// The data centre is unknown.
    OutOfRange = 11,
    /// A fault of the back.
    Internal = 13,
    /// This back serves no longer, or not now: another one may.
    Unavailable = 14,
    /// The connection to the data centre broke.
    DataLoss = 15,
}

impl Status {
    const ALL: [Self; 13] = [
        Self::Ok,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
    ];

    /// What a back says of a session that ended for this reason.
    pub(crate) const fn of(reason: CloseReason) -> Self {
        match (reason.side, reason.kind) {
            (_, Kind::Closed) => Self::Ok,
            (_, Kind::DcUnknown) => Self::OutOfRange,
            (_, Kind::Drained) => Self::Unavailable,
            (_, Kind::LinkLost) => Self::Aborted,
            (_, Kind::Queue | Kind::Memory) => Self::ResourceExhausted,
            (Side::Telegram, Kind::Silent) => Self::DeadlineExceeded,
            (Side::Telegram, Kind::Unreachable) => Self::NotFound,
            (Side::Telegram, _) => Self::DataLoss,
            (Side::Client, _) => Self::InvalidArgument,
            _ => Self::Internal,
        }
    }

    /// Why the front's session ends by it.
    pub(crate) const fn reason(self) -> CloseReason {
        match self {
            Self::Ok => CloseReason::telegram(Kind::Closed),
            Self::OutOfRange => CloseReason::proxy(Kind::DcUnknown),
            Self::NotFound => CloseReason::telegram(Kind::Unreachable),
            Self::DeadlineExceeded => CloseReason::telegram(Kind::Silent),
            Self::ResourceExhausted => CloseReason::client(Kind::Queue),
            Self::DataLoss => CloseReason::telegram(Kind::Reset),
            Self::Aborted | Self::Unavailable => CloseReason::telegram(Kind::LinkLost),
            Self::FailedPrecondition | Self::PermissionDenied => CloseReason::telegram(Kind::Unreachable),
            Self::Unknown | Self::InvalidArgument | Self::Internal => CloseReason::proxy(Kind::Fault),
        }
    }

    /// Whether another back may well take what this one would not.
    pub(crate) const fn is_of_this_back(self) -> bool {
        matches!(self, Self::Unavailable | Self::FailedPrecondition | Self::PermissionDenied)
    }

    /// What a call that ends so before it was taken is counted as.
    pub(crate) const fn refusal(self) -> CallRefusal {
        match self {
            Self::PermissionDenied => CallRefusal::Stranger,
            Self::FailedPrecondition => CallRefusal::Version,
            Self::Unavailable => CallRefusal::Unavailable,
            Self::InvalidArgument => CallRefusal::Garbled,
            Self::DeadlineExceeded => CallRefusal::Silent,
            _ => CallRefusal::Other,
        }
    }

    /// The status that stands in headers or trailers.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let code: u8 = headers.get(STATUS)?.to_str().ok()?.parse().ok()?;
        Some(Self::ALL.into_iter().find(|status| *status as u8 == code).unwrap_or(Self::Unknown))
    }

    /// As it is written, with a sentence for people.
    pub(crate) fn trailers(self, sentence: Option<&str>) -> HeaderMap {
        let mut trailers = HeaderMap::with_capacity(2);
        trailers.insert(STATUS, HeaderValue::from(self as u16));
        if let Some(sentence) = sentence.and_then(|sentence| HeaderValue::from_str(sentence).ok()) {
            trailers.insert(MESSAGE, sentence);
        }
        trailers
    }

    /// The sentence that stands in headers or trailers, of which little is believed.
    pub(crate) fn sentence(headers: &HeaderMap) -> Option<String> {
        let text = headers.get(MESSAGE)?.to_str().ok()?;
        Some(text.chars().filter(|c| !c.is_control()).take(200).collect())
    }
}

impl From<CallError> for Status {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Version(_) => Self::FailedPrecondition,
            _ => Self::InvalidArgument,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_as_it_was_written() {
        for status in Status::ALL {
            assert_eq!(Status::read(&status.trailers(None)), Some(status));
        }
        assert_eq!(Status::read(&HeaderMap::new()), None);
        let mut later = HeaderMap::new();
        later.insert(STATUS, HeaderValue::from(99));
        assert_eq!(Status::read(&later), Some(Status::Unknown));
    }

    #[test]
    fn sentences_are_for_people() {
        let trailers = Status::FailedPrecondition.trailers(Some("upgrade the front"));
        assert_eq!(Status::sentence(&trailers).as_deref(), Some("upgrade the front"));
    }

    #[test]
    fn a_back_s_reason_is_the_front_s() {
        for reason in [
            CloseReason::telegram(Kind::Closed),
            CloseReason::telegram(Kind::Unreachable),
            CloseReason::telegram(Kind::Silent),
            CloseReason::telegram(Kind::Reset),
            CloseReason::telegram(Kind::LinkLost),
            CloseReason::client(Kind::Queue),
            CloseReason::proxy(Kind::DcUnknown),
        ] {
            assert_eq!(Status::of(reason).reason(), reason);
        }
    }
}
