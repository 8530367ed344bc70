//! What was changed in tables, in the state directory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::table::Edits;
use crate::config::{TableEntry, TableKind};
use crate::state;

/// The file. Changes of tables that are not in the configuration any more stay in it: they may come back.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    tables: BTreeMap<String, Written>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Written {
    kind: String,
    added: Vec<String>,
    removed: Vec<String>,
}

impl Kept {
    /// Where it is.
    pub(super) fn path(directory: &Path) -> PathBuf {
        directory.join(NAME)
    }

    /// Reads it; nothing when there is none.
    ///
    /// # Errors
    /// There is one, and it is of no use.
    pub(super) fn load(directory: &Path) -> io::Result<Self> {
        match fs::read(Self::path(directory)) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Self::default())
            }
            Err(error) => Err(error),
            Ok(text) => Ok(serde_json::from_slice(&text)?),
        }
    }

    /// The changes of one table; none when they were made while it was of another kind.
    pub(super) fn edits(&self, name: &str, kind: TableKind) -> Edits {
        let Some(written) = self.tables.get(name).filter(|written| written.kind == kind.name()) else {
            return Edits::default();
        };
        let read = |texts: &[String]| texts.iter().filter_map(|text| kind.entry(text).ok()).collect();
        Edits { added: read(&written.added), removed: read(&written.removed) }
    }

    /// Puts the changes of one table in place of those before, and writes the file.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub(super) fn store(
        &mut self,
        directory: &Path,
        name: &str,
        kind: TableKind,
        edits: &Edits,
    ) -> io::Result<()> {
        let write = |entries: &[TableEntry]| entries.iter().map(ToString::to_string).collect();
        let written = Written {
            kind: kind.name().to_owned(),
            added: write(&edits.added),
            removed: write(&edits.removed),
        };
        self.tables.insert(name.to_owned(), written);
        state::write(directory, NAME, &serde_json::to_vec_pretty(self)?)
    }
}

const NAME: &str = "tables.json";
