//! What was ever signed: a text file with a line for each, which is only added to.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use super::error::AuthorityError;
use crate::identity::{Side, day};

/// The file.
pub(super) const FILE: &str = "issued.txt";

/// Its first line.
pub(super) const HEADING: &str =
    "# number, front or back, name, signed and expires in seconds since 1970 (and as days)\n";

/// A certificate that was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub serial: Vec<u8>,
    /// Who has it.
    pub side: Side,
    /// Under which name.
    pub name: String,
    /// When it was signed, in seconds since 1970.
    pub signed: i64,
    /// When it expires, in seconds since 1970.
    pub expires: i64,
}

/// What was ever signed.
pub(super) struct Index {
    path: PathBuf,
    entries: Vec<Entry>,
}

impl Index {
    /// Reads what is there.
    pub(super) fn read(directory: &Path) -> Result<Self, AuthorityError> {
        let path = directory.join(FILE);
        let text = fs::read_to_string(&path).map_err(|error| AuthorityError::Read(path.clone(), error))?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let entries = lines
            .map(|(at, line)| Entry::read(line).ok_or_else(|| AuthorityError::Index(path.clone(), at + 1)))
            .collect::<Result<_, _>>()?;
        Ok(Self { path, entries })
    }

    /// All, in the order in which they were signed.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Those of a name.
    pub(super) fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |entry| entry.name == name)
    }

    /// Adds one, on the disk before anything else.
    pub(super) fn add(&mut self, entry: Entry) -> Result<(), AuthorityError> {
        let written = self.append(&entry.write());
        written.map_err(|error| AuthorityError::Write(self.path.clone(), error))?;
        self.entries.push(entry);
        Ok(())
    }

    fn append(&self, line: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).open(&self.path)?;
        file.write_all(line.as_bytes())?;
        file.sync_all()
    }
}

impl Entry {
    fn write(&self) -> String {
        let Self { serial, side, name, signed, expires } = self;
        let number = HEXLOWER.encode(serial);
        let side = side.name();
        format!("{number} {side} {name} {signed} {expires} # {} to {}\n", day(*signed), day(*expires))
    }

    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let serial = HEXLOWER.decode(words.next()?.as_bytes()).ok()?;
        let side =
            [Side::Front, Side::Back].into_iter().find(|side| Some(side.name()) == words.clone().next())?;
        let name = words.nth(1)?.to_owned();
        let signed = words.next()?.parse().ok()?;
        let expires = words.next()?.parse().ok()?;
        Some(Self { serial, side, name, signed, expires })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_written_and_read() {
        let entry = Entry {
            serial: vec![0, 255, 16],
            side: Side::Front,
            name: "front-1".to_owned(),
            signed: 1_764_288_000,
            expires: 1_827_360_000,
        };
        let line = entry.write();
        assert_eq!(line, "00ff10 front front-1 1764288000 1827360000 # 2025-11-28 to 2027-11-28\n");
        assert_eq!(Entry::read(&line), Some(entry));
        for line in ["", "00", "xx front a 1 2", "00 side a 1 2", "00 front a 1", "00 front a one 2"] {
            assert_eq!(Entry::read(line), None, "{line}");
        }
    }
}
