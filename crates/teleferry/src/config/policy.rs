//! `[[policy]]` and `[tables.NAME]`: who may come in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Uri;
use toml::Spanned;
use toml::de::DeTable;

use super::entry::{TableEntry, TableKind, table_kind};
use super::problem::Problem;
use super::sections::{DAY, MAX_CONNECTIONS, MINUTE};
use super::snapshot::Listener;
use super::table::{Given, Table};
use super::value::{self, Wrong, nearest};

/// `[[policy]]`: one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What it asks.
    pub rule: Rule,
    /// The listeners that it is for; `None`: for all.
    pub listeners: Option<Vec<String>>,
}

/// What a rule asks of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The value of a key is in a table, or is not.
    Table {
        /// The key.
        key: PolicyKey,
        /// The name of a table of the key's kind.
        table: String,
        /// True: only what is in the table may come in. False: everything else.
        listed: bool,
    },
    /// So many connections with the same values, this one included.
    MaxConnections {
        /// At least one.
        keys: Vec<PolicyKey>,
        /// The most.
        limit: usize,
    },
}

/// What rules look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyKey {
    /// The listener's name.
    Listener,
    /// Which of the listener's secrets.
    Secret,
    /// The host name that a fake-TLS client names, in lower case.
    TlsDomain,
    /// The client's address.
    ClientIp,
    /// The first bits of its IPv4 address.
    ClientIpv4(u8),
    /// The first bits of its IPv6 address.
    ClientIpv6(u8),
}

/// `[tables.NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSettings {
    /// What it holds.
    pub kind: TableKind,
    /// What it holds in any case, unless it is removed at run time.
    pub entries: Vec<TableEntry>,
    /// Where more comes from.
    pub source: Option<ListSource>,
    /// How often that is read anew.
    pub refresh: Duration,
}

/// Where a list is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListSource {
    /// A file.
    File(PathBuf),
    /// `http` or `https`.
    Url(Uri),
}

pub(super) fn tables(
    root: &DeTable<'_>,
    directory: &Path,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, TableSettings> {
    let mut tables = BTreeMap::new();
    for (name, table) in Table::children(root, "tables") {
        let span = name.span();
        match value::listener_name(name.get_ref()) {
            Err(wrong) => {
                problems
                    .push(Problem::new(Some(span), format!("`tables.{}` {}", name.get_ref(), wrong.message)));
            }
            Ok(name) => {
                let settings = one_table(&table, directory, span, problems);
                tables.insert(name, settings);
            }
        }
    }
    tables
}

fn one_table(
    table: &Table<'_>,
    directory: &Path,
    span: std::ops::Range<usize>,
    problems: &mut Vec<Problem>,
) -> TableSettings {
    let kind = table.text("kind", problems, table_kind);
    if kind.is_no() {
        problems.push(
            Problem::new(Some(span), format!("`{}` has no kind", table.name()))
                .help("add kind = \"domain\" or kind = \"network\""),
        );
    }
    let kind = kind.value();
    let entries = table.texts_or_none("entries", problems, |text| match kind {
        Some(kind) => kind.entry(text).map(Some),
        None => Ok(None),
    });
    let source = table.text("source", problems, |text| list_source(text, directory));
    let refresh = table.duration("refresh", problems, &(MINUTE..=30 * DAY));
    if let (Some(span), true) = (table.span_of("refresh"), source.is_no()) {
        problems.push(
            Problem::new(
                Some(span),
                format!("`{}.refresh` says when to read a list, and there is none", table.name()),
            )
            .help("add source = \"…\", or leave it out"),
        );
    }
    let entries = entries.value().unwrap_or_default();
    TableSettings {
        kind: kind.unwrap_or(TableKind::Domain),
        entries: entries.into_iter().filter_map(Spanned::into_inner).collect(),
        source: source.value(),
        refresh: refresh.or(DAY),
    }
}

fn list_source(text: &str, directory: &Path) -> Result<ListSource, Wrong> {
    if text.contains("://") {
        return value::url(text).map(ListSource::Url);
    }
    if text.is_empty() {
        Err(Wrong::new("is an empty path"))
    } else {
        Ok(ListSource::File(directory.join(text)))
    }
}

pub(super) fn policies(
    root: &DeTable<'_>,
    listeners: &[Listener],
    tables: &BTreeMap<String, TableSettings>,
    problems: &mut Vec<Problem>,
) -> Vec<Policy> {
    let read = |table: &Table<'_>| {
        let rule = one_rule(table, tables, problems);
        let known = |text: &str| {
            let names = listeners.iter().map(|listener| listener.name.as_str());
            known_name(text, "listener", names)
        };
        let scope = table.texts("listeners", problems, known).value();
        let listeners = scope.map(|names| names.into_iter().map(Spanned::into_inner).collect());
        Some(Policy { rule: rule?, listeners })
    };
    Table::all_in_root(root, "policy").iter().filter_map(read).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Table(bool),
    MaxConnections,
}

fn one_rule(
    table: &Table<'_>,
    tables: &BTreeMap<String, TableSettings>,
    problems: &mut Vec<Problem>,
) -> Option<Rule> {
    let rule = table.text("rule", problems, |text| {
        let rules = [
            ("in_table", Kind::Table(true)),
            ("not_in_table", Kind::Table(false)),
            ("max_connections", Kind::MaxConnections),
        ];
        value::one_of(text, &rules)
    });
    if rule.is_no() {
        let problem = Problem::new(table.span(), "a policy has no rule");
        problems.push(problem.help("add rule = \"in_table\", \"not_in_table\" or \"max_connections\""));
    }
    let rule = rule.value()?;
    let (wanted, others) = match rule {
        Kind::Table(_) => (["key", "table"], ["keys", "limit"]),
        Kind::MaxConnections => (["keys", "limit"], ["key", "table"]),
    };
    for key in wanted.into_iter().filter(|key| table.span_of(key).is_none()) {
        problems
            .push(Problem::new(table.span(), format!("a policy of this rule needs `{key}`, and has none")));
    }
    for key in others {
        if let Some(span) = table.span_of(key) {
            let title = format!("`policy.{key}` means nothing to this rule");
            problems.push(Problem::new(Some(span), title).help("leave it out"));
        }
    }
    match rule {
        Kind::Table(listed) => {
            let key = table.text("key", problems, policy_key);
            let name = table
                .text("table", problems, |text| known_name(text, "table", tables.keys().map(String::as_str)));
            tell_kinds(&key, &name, tables, problems);
            Some(Rule::Table { key: key.value()?, table: name.value()?, listed })
        }
        Kind::MaxConnections => {
            let keys = table.texts("keys", problems, policy_key).value();
            let limit = table.number("limit", problems, 1..=MAX_CONNECTIONS).value();
            let keys = keys?.into_iter().map(Spanned::into_inner).collect();
            Some(Rule::MaxConnections { keys, limit: limit? })
        }
    }
}

/// A key can only be looked up in a table of its kind.
fn tell_kinds(
    key: &Given<PolicyKey>,
    name: &Given<String>,
    tables: &BTreeMap<String, TableSettings>,
    problems: &mut Vec<Problem>,
) {
    let (Given::Yes(key), Given::Yes(name)) = (key, name) else { return };
    let Some(table) = tables.get(name.get_ref()) else { return };
    let (title, help) = match key.get_ref().table_kind() {
        Some(kind) if kind == table.kind => return,
        Some(kind) => (
            format!("`{}` is looked up in tables of the kind {}", key.get_ref(), kind.name()),
            format!("the table `{}` is of the kind {}", name.get_ref(), table.kind.name()),
        ),
        None => (
            format!("`{}` cannot be looked up in a table", key.get_ref()),
            "say listeners = […] for the listeners that a rule is for".to_owned(),
        ),
    };
    problems.push(Problem::new(Some(key.span()), title).help(help));
}

fn known_name<'a>(
    text: &str,
    what: &str,
    mut names: impl Iterator<Item = &'a str> + Clone,
) -> Result<String, Wrong> {
    if names.clone().any(|name| name == text) {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::new(format!("names no {what} of this file"));
    Err(match nearest(text, names.by_ref()) {
        Some(near) => wrong.help(format!("did you mean \"{near}\"?")),
        None => wrong,
    })
}

fn policy_key(text: &str) -> Result<PolicyKey, Wrong> {
    let plain = [
        ("listener", PolicyKey::Listener),
        ("secret", PolicyKey::Secret),
        ("tls_domain", PolicyKey::TlsDomain),
        ("client_ip", PolicyKey::ClientIp),
        ("client_ipv4", PolicyKey::ClientIpv4(32)),
        ("client_ipv6", PolicyKey::ClientIpv6(128)),
    ];
    let Some((name, len)) = text.split_once('/') else { return value::one_of(text, &plain) };
    let len = len.parse::<u8>().ok().filter(|len| *len > 0 && text.bytes().all(|byte| byte != b'+'));
    match (name, len) {
        ("client_ipv4", Some(len @ ..=32)) => Ok(PolicyKey::ClientIpv4(len)),
        ("client_ipv6", Some(len @ ..=128)) => Ok(PolicyKey::ClientIpv6(len)),
        _ => Err(Wrong::new("is no key with the length of a network")
            .help("the forms are \"client_ipv4/24\" and \"client_ipv6/56\"")),
    }
}

impl PolicyKey {
    /// The kind of table that can hold its values.
    #[must_use]
    pub const fn table_kind(self) -> Option<TableKind> {
        match self {
            Self::Listener | Self::Secret => None,
            Self::TlsDomain => Some(TableKind::Domain),
            Self::ClientIp | Self::ClientIpv4(_) | Self::ClientIpv6(_) => Some(TableKind::Network),
        }
    }
}

impl fmt::Display for PolicyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listener => f.write_str("listener"),
            Self::Secret => f.write_str("secret"),
            Self::TlsDomain => f.write_str("tls_domain"),
            Self::ClientIp => f.write_str("client_ip"),
            Self::ClientIpv4(32) => f.write_str("client_ipv4"),
            Self::ClientIpv6(128) => f.write_str("client_ipv6"),
            Self::ClientIpv4(len) => write!(f, "client_ipv4/{len}"),
            Self::ClientIpv6(len) => write!(f, "client_ipv6/{len}"),
        }
    }
}

impl fmt::Display for ListSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => url.fmt(f),
        }
    }
}
