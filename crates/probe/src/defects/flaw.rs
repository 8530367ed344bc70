//! What can be wrong with a relay.

use std::time::Duration;

/// The one thing that a relay does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Nothing.
    None,
    /// Answers what is no TLS with an alert of its own.
    OwnAlert,
    /// Sends FIN when the first bytes of the site have passed.
    EarlyFin,
    /// Ends with RST where the site ends with FIN.
    ResetForFin,
    /// Does not tell the site that the visitor has sent FIN.
    NoHalfClose,
    /// Ends both when the visitor has sent FIN, whatever is still to come.
    ClosesOnHalfClose,
    /// Ends both when nothing has moved for a time that is shorter than the site's.
    ShorterTimer,
    /// Dials the site when the first bytes come.
    DialsWithFirstBytes,
    /// Dials the site when a whole record has come.
    DialsWithWholeRecord,
    /// Answers a second later than the site.
    AnswersLate,
    /// Loses the last bytes of a large body.
    DropsTail,
    /// Ends a download when it is larger than a limit.
    LimitsBytes,
    /// Answers half a hello as if it were a whole one.
    AnswersPartialHello,
    /// Loses what comes behind a hello.
    SwallowsTrailing,
    /// Sends one byte more than the site at the end.
    AddsOneByte,
    /// Changes one byte of an answer in the clear.
    ChangesOneByte,
    /// Sends the site's first record cut off from its second by an empty one.
    InsertsRecord,
    /// Says nothing where the site says an alert behind its flight.
    SwallowsAlert,
}

impl Flaw {
    pub(super) const ALL: [Self; 18] = [
        Self::None,
        Self::OwnAlert,
        Self::EarlyFin,
        Self::ResetForFin,
        Self::NoHalfClose,
        Self::ClosesOnHalfClose,
        Self::ShorterTimer,
        Self::DialsWithFirstBytes,
        Self::DialsWithWholeRecord,
        Self::AnswersLate,
        Self::DropsTail,
        Self::LimitsBytes,
        Self::AnswersPartialHello,
        Self::SwallowsTrailing,
        Self::AddsOneByte,
        Self::ChangesOneByte,
        Self::InsertsRecord,
        Self::SwallowsAlert,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "no flaw",
            Self::OwnAlert => "an alert of its own",
            Self::EarlyFin => "an early FIN",
            Self::ResetForFin => "RST for FIN",
            Self::NoHalfClose => "no half-close",
            Self::ClosesOnHalfClose => "closes on half-close",
            Self::ShorterTimer => "a shorter timer",
            Self::DialsWithFirstBytes => "dials with the first bytes",
            Self::DialsWithWholeRecord => "dials with a whole record",
            Self::AnswersLate => "answers a second late",
            Self::DropsTail => "drops the tail of a body",
            Self::LimitsBytes => "limits bytes",
            Self::AnswersPartialHello => "answers a partial hello",
            Self::SwallowsTrailing => "swallows trailing bytes",
            Self::AddsOneByte => "adds one byte",
            Self::ChangesOneByte => "changes one byte",
            Self::InsertsRecord => "inserts an empty record",
            Self::SwallowsAlert => "swallows an alert behind a flight",
        }
    }

    /// The relay's own idle timer, when it has one.
    pub(super) const fn idle(self) -> Option<Duration> {
        match self {
            Self::ShorterTimer => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}
