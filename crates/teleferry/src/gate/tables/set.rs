//! The content of a table, for look-ups.

use std::collections::HashSet;

use ipnet::IpNet;
use prefix_trie::joint::JointPrefixSet;
use teleferry_proto::secret::HostName;

use crate::config::{TableEntry, TableKind};

/// Entries of one kind.
#[derive(Debug, Clone)]
pub(super) enum Set {
    Domains(HashSet<HostName>),
    Networks(JointPrefixSet<IpNet>),
}

/// What is looked up: a host name in lower case as a client sent it, or an address or network of a client.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted<'a> {
    Domain(&'a str),
    Network(IpNet),
}

impl Set {
    pub(super) fn new(kind: TableKind) -> Self {
        match kind {
            TableKind::Domain => Self::Domains(HashSet::new()),
            TableKind::Network => Self::Networks(JointPrefixSet::new()),
        }
    }

    /// Adds an entry. False when it is there already, or of another kind.
    pub(super) fn insert(&mut self, entry: TableEntry) -> bool {
        match (self, entry) {
            (Self::Domains(names), TableEntry::Domain(name)) => names.insert(name),
            (Self::Networks(networks), TableEntry::Network(network)) => networks.insert(network),
            _ => false,
        }
    }

    /// Takes an entry out. False when it is not there.
    pub(super) fn remove(&mut self, entry: &TableEntry) -> bool {
        match (self, entry) {
            (Self::Domains(names), TableEntry::Domain(name)) => names.remove(name),
            (Self::Networks(networks), TableEntry::Network(network)) => networks.remove(network),
            _ => false,
        }
    }

    /// Whether this very entry is there.
    pub(super) fn has(&self, entry: &TableEntry) -> bool {
        match (self, entry) {
            (Self::Domains(names), TableEntry::Domain(name)) => names.contains(name),
            (Self::Networks(networks), TableEntry::Network(network)) => networks.contains(network),
            _ => false,
        }
    }

    /// Whether there is an entry that what is wanted lies in, and that is not in `except`.
    pub(super) fn covers(&self, wanted: Wanted<'_>, except: Option<&Self>) -> bool {
        let counts = |entry: TableEntry| except.is_none_or(|except| !except.has(&entry));
        match (self, wanted) {
            (Self::Domains(names), Wanted::Domain(text)) => {
                HostName::new(text).is_ok_and(|name| names.contains(&name) && counts(name.into()))
            }
            (Self::Networks(networks), Wanted::Network(network)) => {
                networks.cover(&network).any(|covering| counts(covering.into()))
            }
            _ => false,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Domains(names) => names.len(),
            Self::Networks(networks) => networks.len(),
        }
    }

    /// All entries; networks in order.
    pub(super) fn iter(&self) -> Box<dyn Iterator<Item = TableEntry> + '_> {
        match self {
            Self::Domains(names) => Box::new(names.iter().cloned().map(TableEntry::from)),
            Self::Networks(networks) => Box::new(networks.iter().map(TableEntry::from)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(entries: &[&str]) -> Set {
        let mut set = Set::new(TableKind::Network);
        for entry in entries {
            assert!(set.insert(TableKind::Network.entry(entry).expect(entry)), "{entry}");
        }
        set
    }

    fn wanted(text: &str) -> Wanted<'static> {
        match TableKind::Network.entry(text).expect(text) {
            TableEntry::Network(network) => Wanted::Network(network),
            TableEntry::Domain(_) => panic!("no network"),
        }
    }

    #[test]
    fn an_address_lies_in_every_network_around_it() {
        let set = networks(&["192.0.2.0/24", "192.0.2.128/25", "198.51.100.7", "2001:db8::/32"]);
        for (text, covered) in [
            ("192.0.2.1", true),
            ("192.0.2.200", true),
            ("192.0.2.0/24", true),
            ("192.0.2.0/23", false),
            ("192.0.3.1", false),
            ("198.51.100.7", true),
            ("198.51.100.8", false),
            ("2001:db8:1::1", true),
            ("2001:db9::", false),
            ("::ffff:192.0.2.1", true),
        ] {
            assert_eq!(set.covers(wanted(text), None), covered, "{text}");
        }
        // Taking the inner one out leaves the outer one.
        let except = networks(&["192.0.2.128/25"]);
        assert!(set.covers(wanted("192.0.2.200"), Some(&except)));
        let except = networks(&["192.0.2.0/24"]);
        assert!(set.covers(wanted("192.0.2.200"), Some(&except)));
        assert!(!set.covers(wanted("192.0.2.1"), Some(&except)));
        assert!(networks(&["0.0.0.0/0"]).covers(wanted("8.8.8.8"), None));
        assert!(!networks(&["0.0.0.0/0"]).covers(wanted("2001:db8::1"), None));
    }

    #[test]
    fn f_19_kinds_do_not_mix() {
        let mut names = Set::new(TableKind::Domain);
        assert!(names.insert(TableKind::Domain.entry("a.example").expect("a name")));
        assert!(!names.insert(TableKind::Network.entry("192.0.2.1").expect("a network")));
        assert!(names.covers(Wanted::Domain("a.example"), None));
        assert!(!names.covers(Wanted::Domain("b.example"), None));
        assert!(!names.covers(Wanted::Domain("A.example"), None), "the caller folds the case");
        assert!(!names.covers(Wanted::Domain("no name"), None));
        assert!(!names.covers(wanted("192.0.2.1"), None));
        assert!(!networks(&["192.0.2.1"]).covers(Wanted::Domain("192.0.2.1"), None));
    }
}
