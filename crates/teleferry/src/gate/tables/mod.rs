//! Tables of host names and of networks: what rules look things up in.
//!
//! A table has what the configuration and its list say, and over that what was changed while the server ran. Those
//! changes are kept in the state directory, and so is the last good copy of a list.

mod kept;
mod list;
mod set;
mod table;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tracing::{info, warn};

use crate::config::{ListSource, TableEntry, TableKind, TableSettings, Wrong};
use crate::state;
use kept::Kept;
pub(crate) use set::Wanted;
pub(crate) use table::Table;

/// Bytes of a list, at most.
pub(crate) const MAX_LIST_LEN: usize = list::MAX_LEN;

/// All tables, by name.
#[derive(Debug)]
pub struct Tables {
    directory: PathBuf,
    tables: RwLock<BTreeMap<String, Arc<Table>>>,
    kept: Mutex<Kept>,
}

/// Why something cannot be done with a table.
#[derive(Debug)]
#[non_exhaustive]
pub enum TableError {
    /// There is no table of this name.
    Unknown(String),
    /// The entry cannot be in such a table.
    Entry(Wrong),
    /// It is done, and will be forgotten at the next start: the state directory cannot be written.
    NotKept(io::Error),
}

/// What is known of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSize {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: TableKind,
    /// How many entries.
    pub entries: usize,
}

impl Tables {
    /// The tables of the settings, with what was changed in an earlier process, and with the lists that can be had
    /// without a network: files, and the last copies of what was fetched.
    pub(crate) fn new(settings: &BTreeMap<String, TableSettings>, directory: &Path) -> Self {
        let kept = Kept::load(directory).unwrap_or_else(|error| {
            let file = Kept::path(directory);
            warn!(file = %file.display(), %error, "what was changed in tables while the server ran is lost: the file is of no use");
            Kept::default()
        });
        let tables =
            Self { directory: directory.to_owned(), tables: RwLock::default(), kept: Mutex::new(kept) };
        tables.configure(settings);
        tables
    }

    /// Takes up new settings. Tables whose kind stays keep their content until their list is read again.
    pub(crate) fn configure(&self, settings: &BTreeMap<String, TableSettings>) {
        let before = self.all();
        let mut now = BTreeMap::new();
        for (name, settings) in settings {
            let same = before.get(name).filter(|table| table.kind() == settings.kind);
            let table = same.cloned().unwrap_or_else(|| {
                let edits = self.kept().edits(name, settings.kind);
                Arc::new(Table::new(name, settings.kind, edits))
            });
            self.fill(&table, settings);
            now.insert(name.clone(), table);
        }
        *self.tables.write().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Fills a table without a network: files are read, and of URLs the last copy.
    fn fill(&self, table: &Table, settings: &TableSettings) {
        table.configure(&settings.entries, settings.source.as_ref());
        let Some(source) = &settings.source else { return };
        if let ListSource::File(path) = source {
            match read_bounded(path) {
                Ok(list) => self.give_list(table, source, &list),
                Err(error) => tell_unusable(table.name(), source, &error),
            }
        }
        if !table.has_list()
            && let Some(copy) = self.copy(table.name(), source)
            && let Err(error) = table.take_list(source, &copy)
        {
            tell_unusable(table.name(), source, &error);
        }
    }

    /// Puts a list into the table of this name, and keeps a copy. One that is of no use is told, and the table stays as it
    /// is.
    pub(crate) fn take_list(&self, name: &str, source: &ListSource, list: &[u8]) {
        // Without the table nobody needs it any more.
        if let Some(table) = self.find(name) {
            self.give_list(&table, source, list);
        }
    }

    fn give_list(&self, table: &Table, source: &ListSource, list: &[u8]) {
        match table.take_list(source, list) {
            Ok(()) => {
                info!(table = table.name(), entries = table.size(), "a list was read");
                self.keep_copy(table.name(), source, list);
            }
            Err(error) => tell_unusable(table.name(), source, &error),
        }
    }

    /// The copy begins with a comment that says where it is from.
    fn keep_copy(&self, name: &str, source: &ListSource, list: &[u8]) {
        let copy = [copy_head(source).as_bytes(), list].concat();
        if let Err(error) = state::write(&self.directory, &copy_name(name), &copy) {
            warn!(table = name, %error, "a list cannot be kept for the next start");
        }
    }

    /// The last good copy of a table's list; `None` when there is none from there.
    fn copy(&self, name: &str, source: &ListSource) -> Option<Vec<u8>> {
        let copy = read_bounded(&self.directory.join(copy_name(name))).ok()?;
        copy.starts_with(copy_head(source).as_bytes()).then_some(copy)
    }

    /// A table, for a rule.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Table>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn all(&self) -> BTreeMap<String, Arc<Table>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, name: &str) -> Result<Arc<Table>, TableError> {
        self.find(name).ok_or_else(|| TableError::Unknown(name.to_owned()))
    }
}

/// What an operator may do while the server runs.
impl Tables {
    /// Adds an entry, now and for later starts. False when it is there already.
    ///
    /// # Errors
    /// There is no such table, or it cannot hold this, or it cannot be kept.
    pub fn add(&self, table: &str, entry: &str) -> Result<bool, TableError> {
        self.change(table, entry, |table, entry| table.add(entry))
    }

    /// Takes an entry out, now and for later starts, wherever it came from. False when it is not there.
    ///
    /// # Errors
    /// There is no such table, or it cannot hold this, or it cannot be kept.
    pub fn remove(&self, table: &str, entry: &str) -> Result<bool, TableError> {
        self.change(table, entry, |table, entry| table.remove(&entry))
    }

    fn change(
        &self,
        name: &str,
        entry: &str,
        change: impl FnOnce(&Table, TableEntry) -> bool,
    ) -> Result<bool, TableError> {
        let table = self.known(name)?;
        let entry = table.kind().entry(entry).map_err(TableError::Entry)?;
        // The file is written by one at a time, so that the last change is in it.
        let mut kept = self.kept();
        let changed = change(&table, entry);
        if changed {
            kept.store(&self.directory, name, table.kind(), &table.edits()).map_err(TableError::NotKept)?;
        }
        Ok(changed)
    }

    /// Whether a host name is in a table, or an address lies in one of its networks.
    ///
    /// # Errors
    /// There is no such table, or it cannot hold this.
    pub fn contains(&self, table: &str, entry: &str) -> Result<bool, TableError> {
        let table = self.known(table)?;
        Ok(match table.kind().entry(entry).map_err(TableError::Entry)? {
            TableEntry::Domain(name) => table.contains(Wanted::Domain(name.as_str())),
            TableEntry::Network(network) => table.contains(Wanted::Network(network)),
        })
    }

    /// The first entries of a table, up to a number.
    ///
    /// # Errors
    /// There is no such table.
    pub fn list(&self, table: &str, most: usize) -> Result<Vec<TableEntry>, TableError> {
        Ok(self.known(table)?.list(most))
    }

    /// How many entries a table has.
    ///
    /// # Errors
    /// There is no such table.
    pub fn size(&self, table: &str) -> Result<usize, TableError> {
        Ok(self.known(table)?.size())
    }

    /// Every table and its size.
    pub fn sizes(&self) -> Vec<TableSize> {
        let sizes = self.all().into_iter().map(|(name, table)| TableSize {
            name,
            kind: table.kind(),
            entries: table.size(),
        });
        sizes.collect()
    }
}

/// Bytes of the line in front of a copy, and more than any URL has.
const MAX_HEAD_LEN: u64 = 64 << 10;

/// Says that a list cannot be had, or is none.
pub(crate) fn tell_unusable(table: &str, source: &ListSource, error: &dyn fmt::Display) {
    warn!(table, list = %source, %error, "a list is of no use; what was read before counts");
}

fn copy_head(source: &ListSource) -> String {
    format!("# {source}\n")
}

/// The name of the copy of a table's list.
fn copy_name(table: &str) -> String {
    format!("table-{table}.list")
}

/// Reads a file that may be as long as a list.
pub(super) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // A copy is longer than its list by a line.
    fs::File::open(path)?.take(MAX_LIST_LEN as u64 + MAX_HEAD_LEN).read_to_end(&mut bytes)?;
    if bytes.len() as u64 >= MAX_LIST_LEN as u64 + MAX_HEAD_LEN {
        return Err(io::Error::other(format!("it is longer than {MAX_LIST_LEN} bytes")));
    }
    Ok(bytes)
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "there is no table \"{name}\""),
            Self::Entry(wrong) => write!(f, "the entry {wrong}"),
            Self::NotKept(error) => {
                write!(
                    f,
                    "it is done, but the state directory cannot be written, and the next start will not know of it: {error}"
                )
            }
        }
    }
}

impl std::error::Error for TableError {}

#[cfg(test)]
mod tests;
