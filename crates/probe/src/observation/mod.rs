//! What a prober has seen of one connection, and where two sights differ.

mod content;
mod records;

use std::fmt;
use std::time::Duration;

use content::Content;
use records::{Piece, pieces};

use crate::visitor::{End, Session, Visit};

/// How much later or earlier the same thing may happen, on a busy machine.
const LATE: Duration = Duration::from_millis(600);
/// When what is larger ends is up to the machine, in bytes.
const LARGE: u64 = 1 << 20;
/// Records of a TLS session that are compared: handshake, tickets, the first answers. Behind them only the content is.
const RECORDS: usize = 16;

/// What a prober has seen.
#[derive(Debug, Clone)]
pub(crate) struct Observation {
    pieces: Vec<Piece>,
    content: Option<Content>,
    session: Session,
    end: End,
    first_byte: Option<Duration>,
    /// When it ended, where that is the server's doing and nobody else's.
    ended: Option<Duration>,
}

/// Where two sights differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Difference {
    /// In when it ended, alone. A busy machine can do that once.
    Time(String),
    /// In anything else.
    Sight(String),
}

impl Difference {
    /// Whether it is in time alone.
    pub(crate) const fn is_of_time(&self) -> bool {
        matches!(self, Self::Time(_))
    }

    /// The same, as the first of several.
    pub(crate) fn of_many(self, count: usize, all: usize) -> Self {
        let said = |text| format!("{count} of {all} connections; the first: {text}");
        match self {
            Self::Time(text) => Self::Time(said(text)),
            Self::Sight(text) => Self::Sight(said(text)),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Time(text) | Self::Sight(text)) = self;
        f.write_str(text)
    }
}

impl Observation {
    /// What there is to be seen in a visit.
    pub(crate) fn of(visit: &Visit) -> Self {
        let mut pieces = pieces(&visit.wire.kept);
        if visit.content.is_some() {
            pieces.truncate(RECORDS);
        }
        if matches!(pieces.last(), Some(Piece::Part(..))) && !visit.wire.is_whole() {
            pieces.pop();
        }
        // How much had come when the prober reset it is chance.
        let content = visit.content.as_ref().filter(|_| visit.end != End::Ours).map(Content::of);
        let is_theirs = matches!(visit.end, End::Fin | End::Reset) && visit.wire.total < LARGE;
        Self {
            pieces,
            content,
            session: visit.session.clone(),
            end: visit.end,
            first_byte: visit.first_byte,
            ended: is_theirs.then_some(visit.lasted),
        }
    }

    /// Where it differs from what the site alone shows; `None`: nowhere.
    pub(crate) fn difference(&self, site: &Self) -> Option<Difference> {
        let sight = |text| Some(Difference::Sight(text));
        let agree = |(one, two): (&Piece, &Piece)| one.agrees(two);
        // Large answers are cut into records as they come; there the content tells.
        let flows = self.pieces.len() == RECORDS && site.pieces.len() == RECORDS;
        let mut pairs = self.pieces.iter().zip(&site.pieces);
        let same_pieces =
            if flows { true } else { self.pieces.len() == site.pieces.len() && pairs.all(agree) };
        if !same_pieces || self.end != site.end {
            return sight(format!("{self}, the site: {site}"));
        }
        if self.session != site.session {
            return sight(format!("the session {:?}, the site's {:?}", self.session, site.session));
        }
        match (&self.content, &site.content) {
            (Some(one), Some(two)) => {
                if let Some(difference) = one.difference(two) {
                    return sight(difference);
                }
            }
            (None, None) => {}
            _ => return sight("a session against none".to_owned()),
        }
        let late = is_late(self.first_byte, site.first_byte) || is_late(self.ended, site.ended);
        late.then(|| Difference::Time(format!("{self}, the site: {site}")))
    }
}

fn is_late(one: Option<Duration>, other: Option<Duration>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one.abs_diff(other) > LATE)
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pieces.is_empty() {
            f.write_str("nothing")?;
        }
        for (index, piece) in self.pieces.iter().enumerate() {
            write!(f, "{}{piece}", if index == 0 { "" } else { ", " })?;
        }
        if let Some(first_byte) = self.first_byte {
            write!(f, "; from {:.1} s", first_byte.as_secs_f64())?;
        }
        f.write_str(match self.end {
            End::Fin => ", FIN",
            End::Reset => ", RST",
            End::Open => ", left open",
            End::Ours => ", we reset",
        })?;
        self.ended.map_or(Ok(()), |ended| write!(f, " at {:.1} s", ended.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(bytes: &[u8], end: End, lasted_ms: u64) -> Observation {
        let ended = Some(Duration::from_millis(lasted_ms));
        Observation {
            pieces: pieces(bytes),
            content: None,
            session: Session::Open,
            end,
            first_byte: None,
            ended,
        }
    }

    #[test]
    fn the_end_and_every_byte_count() {
        let site = sight(b"HTTP/1.1 400", End::Fin, 10);
        assert_eq!(sight(b"HTTP/1.1 400", End::Fin, 100).difference(&site), None);
        for other in [
            sight(b"HTTP/1.1 401", End::Fin, 10),
            sight(b"HTTP/1.1 400 ", End::Fin, 10),
            sight(b"HTTP/1.1 400", End::Reset, 10),
            sight(b"HTTP/1.1 400", End::Open, 10),
        ] {
            assert!(matches!(other.difference(&site), Some(Difference::Sight(_))), "{other}");
        }
    }

    #[test]
    fn another_timer_is_told_as_such() {
        let site = sight(b"", End::Fin, 2000);
        assert_eq!(sight(b"", End::Fin, 2100).difference(&site), None);
        for lasted in [1000, 3000] {
            assert!(matches!(sight(b"", End::Fin, lasted).difference(&site), Some(Difference::Time(_))));
        }
        let answered =
            |ms| Observation { first_byte: Some(Duration::from_millis(ms)), ..sight(b"a", End::Fin, 2000) };
        assert_eq!(answered(300).difference(&answered(10)), None);
        assert!(matches!(answered(1300).difference(&answered(10)), Some(Difference::Time(_))));
    }
}
