//! One table: what the file and its list say, and what was changed since.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::list::{self, Refusal};
use super::set::{Set, Wanted};
use crate::config::{ListSource, TableEntry, TableKind};

/// A table. A look-up holds its lock for a moment; so does a change, however long the list is.
#[derive(Debug)]
pub(crate) struct Table {
    name: String,
    kind: TableKind,
    content: RwLock<Content>,
}

#[derive(Debug)]
struct Content {
    /// The entries of the file.
    configured: Set,
    /// The entries of the list, and where it came from.
    listed: Set,
    source: Option<ListSource>,
    /// What was added while a server ran.
    added: Set,
    /// What was removed.
    removed: Set,
}

impl Content {
    /// Whether the file or the list has this very entry.
    fn gives(&self, entry: &TableEntry) -> bool {
        self.configured.has(entry) || self.listed.has(entry)
    }

    /// The entries of the file and of the list, each once.
    fn given(&self) -> impl Iterator<Item = TableEntry> {
        let configured = self.configured.iter().filter(|entry| !self.listed.has(entry));
        configured.chain(self.listed.iter())
    }
}

/// What was changed while a server ran, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Edits {
    pub(super) added: Vec<TableEntry>,
    pub(super) removed: Vec<TableEntry>,
}

impl Table {
    /// A table with nothing given yet.
    pub(super) fn new(name: &str, kind: TableKind, edits: Edits) -> Self {
        let set_of = |entries: Vec<TableEntry>| {
            let mut set = Set::new(kind);
            for entry in entries {
                set.insert(entry);
            }
            set
        };
        let content = Content {
            configured: Set::new(kind),
            listed: Set::new(kind),
            source: None,
            added: set_of(edits.added),
            removed: set_of(edits.removed),
        };
        Self { name: name.to_owned(), kind, content: RwLock::new(content) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn kind(&self) -> TableKind {
        self.kind
    }

    /// Puts other entries in place of those of the file. A list from elsewhere than `source` is forgotten.
    pub(super) fn configure(&self, entries: &[TableEntry], source: Option<&ListSource>) {
        let mut configured = Set::new(self.kind);
        for entry in entries {
            configured.insert(entry.clone());
        }
        let mut content = self.write();
        content.configured = configured;
        if content.source.as_ref() != source {
            content.listed = Set::new(self.kind);
            content.source = source.cloned();
        }
    }

    /// Puts another list in place of the one before, unless the table has another source by now.
    ///
    /// # Errors
    /// The list is of no use; nothing changes.
    pub(super) fn take_list(&self, source: &ListSource, list: &[u8]) -> Result<(), Refusal> {
        let mut listed = Set::new(self.kind);
        list::read(list, self.kind, |entry| {
            listed.insert(entry);
        })?;
        let mut content = self.write();
        if content.source.as_ref() == Some(source) {
            std::mem::swap(&mut content.listed, &mut listed);
        }
        // What was there before is dropped without the lock, which may take a while.
        drop(content);
        drop(listed);
        Ok(())
    }

    /// Whether it has a list.
    pub(super) fn has_list(&self) -> bool {
        self.read().listed.len() > 0
    }

    /// Whether what is wanted is in the table, or lies in a network of it.
    pub(crate) fn contains(&self, wanted: Wanted<'_>) -> bool {
        let content = self.read();
        let given = [&content.configured, &content.listed];
        given.into_iter().any(|set| set.covers(wanted, Some(&content.removed)))
            || content.added.covers(wanted, None)
    }

    /// Adds an entry of the table's kind. False when it is there already.
    pub(super) fn add(&self, entry: TableEntry) -> bool {
        let mut content = self.write();
        let was_removed = content.removed.remove(&entry);
        was_removed || (!content.gives(&entry) && content.added.insert(entry))
    }

    /// Takes an entry out. False when it is not there; a network around it stays.
    pub(super) fn remove(&self, entry: &TableEntry) -> bool {
        let mut content = self.write();
        let was_added = content.added.remove(entry);
        let was_given = content.gives(entry) && content.removed.insert(entry.clone());
        was_added || was_given
    }

    /// How many entries there are.
    pub(super) fn size(&self) -> usize {
        let content = self.read();
        let twice = content.configured.iter().filter(|entry| content.listed.has(entry)).count();
        let given = |set: &Set| set.iter().filter(|entry| content.gives(entry)).count();
        content.configured.len() + content.listed.len() + content.added.len()
            - twice
            - given(&content.added)
            - given(&content.removed)
    }

    /// The first entries, up to a number: those that were added come first.
    pub(super) fn list(&self, most: usize) -> Vec<TableEntry> {
        let content = self.read();
        let given = content.given().filter(|entry| !content.removed.has(entry) && !content.added.has(entry));
        content.added.iter().chain(given).take(most).collect()
    }

    /// What was changed, to be kept.
    pub(super) fn edits(&self) -> Edits {
        let content = self.read();
        let sorted = |set: &Set| {
            let mut entries: Vec<_> = set.iter().collect();
            entries.sort();
            entries
        };
        Edits { added: sorted(&content.added), removed: sorted(&content.removed) }
    }

    fn read(&self) -> RwLockReadGuard<'_, Content> {
        self.content.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Content> {
        self.content.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> TableEntry {
        TableKind::Network.entry(text).expect(text)
    }

    fn has(table: &Table, text: &str) -> bool {
        match entry(text) {
            TableEntry::Network(network) => table.contains(Wanted::Network(network)),
            TableEntry::Domain(_) => false,
        }
    }

    fn source() -> ListSource {
        ListSource::File("list".into())
    }

    fn given(entries: &[TableEntry], list: &str, edits: Edits) -> Table {
        let table = Table::new("t", TableKind::Network, edits);
        table.configure(entries, Some(&source()));
        table.take_list(&source(), list.as_bytes()).expect("a list");
        table
    }

    #[test]
    fn changes_lie_over_what_is_given() {
        let table = given(&[entry("192.0.2.0/24")], "198.51.100.0/24\n192.0.2.0/24\n", Edits::default());
        assert_eq!(table.size(), 2);
        assert!(!table.add(entry("192.0.2.0/24")), "it is there");
        assert!(table.add(entry("203.0.113.1")) && !table.add(entry("203.0.113.1")));
        assert!(table.remove(&entry("198.51.100.0/24")) && !table.remove(&entry("198.51.100.0/24")));
        assert!(!table.remove(&entry("192.0.2.1")), "an address in a network is no entry");
        assert!(has(&table, "192.0.2.1") && has(&table, "203.0.113.1") && !has(&table, "198.51.100.1"));
        assert_eq!(table.size(), 2);
        assert_eq!(table.list(9), [entry("203.0.113.1"), entry("192.0.2.0/24")]);
        assert_eq!(table.list(1), [entry("203.0.113.1")]);

        // A new list does not undo them; another process begins with them.
        let list = "198.51.100.0/24\n203.0.113.1\n";
        table.configure(&[], Some(&source()));
        table.take_list(&source(), list.as_bytes()).expect("a list");
        let table = given(&[], list, table.edits());
        assert!(has(&table, "203.0.113.1") && !has(&table, "198.51.100.1"));
        assert_eq!((table.size(), table.list(9)), (1, vec![entry("203.0.113.1")]));

        // And they can be taken back.
        assert!(table.add(entry("198.51.100.0/24")) && has(&table, "198.51.100.1"));
        assert!(table.remove(&entry("203.0.113.1")) && !has(&table, "203.0.113.1"));
        assert_eq!(table.list(9), [entry("198.51.100.0/24")]);
    }

    #[test]
    fn a_list_that_is_of_no_use_changes_nothing() {
        let table = given(&[], "192.0.2.1", Edits::default());
        assert_eq!(table.take_list(&source(), b"<html>"), Err(Refusal::Line(1)));
        assert!(has(&table, "192.0.2.1"));
        // Nor does one from where the table does not read any more.
        let other = ListSource::File("other".into());
        table.take_list(&other, b"10.0.0.1").expect("a list");
        assert!(has(&table, "192.0.2.1") && !has(&table, "10.0.0.1"));
        table.configure(&[], Some(&other));
        assert!(!table.has_list());
    }
}
