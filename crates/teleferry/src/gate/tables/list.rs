//! Lists of entries in the format of FireHOL's: one a line, comments behind `#` or `;`.

use std::fmt;

use crate::config::{TableEntry, TableKind};

/// Bytes of a list, at most: some four million networks.
pub(super) const MAX_LEN: usize = 64 << 20;

/// Why a list is of no use. A part of one is none either: who relies on it would not know what is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// This line, counted from 1, is no entry.
    Line(usize),
    /// There is no entry in it.
    Empty,
    /// It is no text.
    NoText,
}

/// Reads a list, and hands over each entry.
pub(super) fn read(bytes: &[u8], kind: TableKind, mut take: impl FnMut(TableEntry)) -> Result<(), Refusal> {
    let text = std::str::from_utf8(bytes).map_err(|_| Refusal::NoText)?;
    let mut empty = true;
    for (at, line) in text.lines().enumerate() {
        let entry = line.split(['#', ';']).next().unwrap_or_default().trim();
        if !entry.is_empty() {
            take(kind.entry(entry).map_err(|_| Refusal::Line(at + 1))?);
            empty = false;
        }
    }
    if empty { Err(Refusal::Empty) } else { Ok(()) }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line} is no entry of such a table"),
            Self::Empty => f.write_str("it has no entry"),
            Self::NoText => f.write_str("it is no text"),
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str, kind: TableKind) -> Result<Vec<String>, Refusal> {
        let mut entries = Vec::new();
        read(text.as_bytes(), kind, |entry| entries.push(entry.to_string()))?;
        Ok(entries)
    }

    #[test]
    fn lists_are_read() {
        let text =
            "#\n# firehol_level1\n#\n; another comment\n0.0.0.0/8\n 192.0.2.1 # why\r\n\n2001:db8::/32\n";
        let expected = ["0.0.0.0/8", "192.0.2.1", "2001:db8::/32"].map(str::to_owned).to_vec();
        assert_eq!(entries(text, TableKind::Network), Ok(expected));
        let names = ["a.example", "b.example"].map(str::to_owned).to_vec();
        assert_eq!(entries("A.example\nb.example", TableKind::Domain), Ok(names));
    }

    #[test]
    fn what_is_no_list_is_refused_as_a_whole() {
        assert_eq!(entries("192.0.2.1\n<html>\n", TableKind::Network), Err(Refusal::Line(2)));
        assert_eq!(entries("# nothing\n", TableKind::Network), Err(Refusal::Empty));
        assert_eq!(entries("", TableKind::Domain), Err(Refusal::Empty));
        assert_eq!(read(&[0xff], TableKind::Domain, |_| {}), Err(Refusal::NoText));
    }
}
