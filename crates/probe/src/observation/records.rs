//! Bytes of a server, taken apart into what can be compared: random contents are left out, everything else stays.

use std::fmt;

/// How much a record's length may differ between two answers of one server: its signature is some bytes longer or shorter.
const SIGNATURE: usize = 4;

/// A piece of what came.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Piece {
    /// An alert in the clear: level and description.
    Alert(u8, u8),
    /// A ServerHello, without what is random in it.
    ServerHello(String),
    /// Any other record: its type and length.
    Record(u8, usize),
    /// The beginning of a record whose end did not come: its type, and how many bytes came.
    Part(u8, usize),
    /// What is no TLS record, dates masked.
    Plain(Vec<u8>),
}

impl Piece {
    /// Whether a server may answer with either.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Record(kind, len), Self::Record(other, other_len)) => {
                kind == other && len.abs_diff(*other_len) <= SIGNATURE
            }
            _ => self == other,
        }
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alert(level, description) => write!(f, "alert {level}/{description}"),
            Self::ServerHello(shape) => f.write_str(shape),
            Self::Record(20, 1) => f.write_str("CCS"),
            Self::Record(kind, len) => write!(f, "{kind}:{len}"),
            Self::Part(kind, len) => write!(f, "{kind}:cut at {len}"),
            Self::Plain(bytes) => {
                let line = bytes.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
                let line = String::from_utf8_lossy(&line[..line.len().min(40)]);
                write!(f, "{} plain bytes ({:?})", bytes.len(), line)
            }
        }
    }
}

/// Takes apart what a server sent.
pub(crate) fn pieces(mut bytes: &[u8]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    while let Some(kind @ 20..=24) = bytes.first().copied() {
        if bytes.get(1).is_some_and(|major| *major != 3) {
            break;
        }
        let Some(&[_, _, _, high, low]) = bytes.first_chunk::<5>() else {
            pieces.push(Piece::Part(kind, bytes.len()));
            return pieces;
        };
        let len = usize::from(u16::from_be_bytes([high, low]));
        let Some(body) = bytes.get(5..5 + len) else {
            pieces.push(Piece::Part(kind, bytes.len()));
            return pieces;
        };
        pieces.push(piece(kind, body));
        bytes = &bytes[5 + len..];
    }
    if !bytes.is_empty() {
        pieces.push(Piece::Plain(without_dates(bytes)));
    }
    pieces
}

fn piece(kind: u8, body: &[u8]) -> Piece {
    match (kind, body) {
        (21, &[level, description]) => Piece::Alert(level, description),
        (22, [2, ..]) => server_hello(body).map_or(Piece::Record(kind, body.len()), Piece::ServerHello),
        _ => Piece::Record(kind, body.len()),
    }
}

/// Version, suite, and every extension in order with its length; the group for a key share.
fn server_hello(message: &[u8]) -> Option<String> {
    /// What a request for another key share has in place of a random field begins with this.
    const RETRY: [u8; 4] = [0xcf, 0x21, 0xad, 0x74];
    let body = message.get(4..)?;
    let name = if body.get(2..6)? == RETRY { "HelloRetryRequest" } else { "ServerHello" };
    let session = usize::from(*body.get(34)?);
    let after = body.get(35 + session..)?;
    let suite = u16::from_be_bytes(*after.first_chunk()?);
    let mut shape = format!("{name} {:02x}{:02x} {suite:04x} session {session}", body.first()?, body.get(1)?);
    let mut rest = after.get(5..).unwrap_or_default();
    while let Some(&[a, b, c, d]) = rest.first_chunk::<4>() {
        let (kind, len) = (u16::from_be_bytes([a, b]), usize::from(u16::from_be_bytes([c, d])));
        let data = rest.get(4..4 + len)?;
        shape += &format!(" {kind:04x}:{len}");
        if let (0x33 | 0x2b, Some(&[high, low])) = (kind, data.first_chunk::<2>()) {
            shape += &format!("={high:02x}{low:02x}");
        }
        rest = &rest[4 + len..];
    }
    Some(shape)
}

/// HTTP's date is the one thing in an answer that time changes.
pub(super) fn without_dates(bytes: &[u8]) -> Vec<u8> {
    const NAME: &[u8] = b"\r\nDate: ";
    const LEN: usize = "Thu, 01 Jan 1970 00:00:00 GMT".len();
    let mut masked = bytes.to_vec();
    let places: Vec<usize> = masked
        .windows(NAME.len())
        .enumerate()
        .filter(|(_, at)| *at == NAME)
        .map(|(place, _)| place)
        .collect();
    for place in places {
        masked.iter_mut().skip(place + NAME.len()).take(LEN).for_each(|byte| *byte = b'*');
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_alerts_and_plain_text_are_told_apart() {
        let bytes = [&[20, 3, 3, 0, 1, 1][..], &[23, 3, 3, 0, 3, 1, 2, 3], &[21, 3, 3, 0, 2, 2, 50]].concat();
        assert_eq!(pieces(&bytes), [Piece::Record(20, 1), Piece::Record(23, 3), Piece::Alert(2, 50)]);
        assert_eq!(pieces(&bytes[..10]), [Piece::Record(20, 1), Piece::Part(23, 4)]);
        assert_eq!(pieces(b"HTTP/1.1 400 Bad"), [Piece::Plain(b"HTTP/1.1 400 Bad".to_vec())]);
        assert_eq!(pieces(b""), []);
    }

    #[test]
    fn a_byte_too_many_is_seen() {
        let bytes = [23, 3, 3, 0, 1, 9, 0];
        assert_eq!(pieces(&bytes), [Piece::Record(23, 1), Piece::Plain(vec![0])]);
    }

    #[test]
    fn dates_do_not_differ_and_everything_else_does() {
        let answer = |date: &str, server: &str| {
            format!("HTTP/1.1 200 OK\r\nServer: {server}\r\nDate: {date}\r\n\r\n").into_bytes()
        };
        let one = answer("Thu, 01 Jan 2026 00:00:00 GMT", "a");
        let later = answer("Fri, 02 Jan 2026 11:22:33 GMT", "a");
        assert_eq!(without_dates(&one), without_dates(&later));
        assert_ne!(without_dates(&one), without_dates(&answer("Thu, 01 Jan 2026 00:00:00 GMT", "b")));
    }

    #[test]
    fn signatures_may_vary_and_other_lengths_may_not() {
        assert!(Piece::Record(23, 95).agrees(&Piece::Record(23, 97)));
        assert!(!Piece::Record(23, 95).agrees(&Piece::Record(23, 120)));
        assert!(!Piece::Record(23, 95).agrees(&Piece::Record(22, 95)));
    }
}
