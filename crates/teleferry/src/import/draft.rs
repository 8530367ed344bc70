//! What has been understood of another proxy's settings so far: ours in the making, what is left behind, and what is wrong.

use std::fmt::Display;
use std::ops::Range;

use super::Problem;
use super::value::{Kind, Value};
use crate::config;

/// Settings in the making. No `Debug`: it holds secrets.
#[derive(Default)]
pub(super) struct Draft {
    /// Sections other than `[[listen]]`, in the order of the reference.
    pub(super) settings: Vec<Setting>,
    pub(super) listeners: Vec<Listener>,
    pub(super) rules: Vec<Rule>,
    pub(super) tables: Vec<Table>,
    /// The links that the old proxy would give, by its own rules.
    pub(super) links: Vec<OldLink>,
    pub(super) left: Vec<Left>,
    pub(super) problems: Vec<Problem>,
}

/// A key of a section.
pub(super) struct Setting {
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    /// As TOML.
    pub(super) value: String,
    pub(super) comment: Option<&'static str>,
}

/// A listener in the making.
#[derive(Default)]
pub(super) struct Listener {
    pub(super) name: String,
    pub(super) addresses: Vec<String>,
    /// Names and secrets in hexadecimal; the base secret has no name.
    pub(super) secrets: Vec<(Option<String>, String)>,
    pub(super) ad_tag: Option<String>,
    pub(super) protocols: Vec<&'static str>,
    pub(super) domain: Option<String>,
    pub(super) max_connections: Option<i64>,
    /// Networks whose PROXY protocol headers count; needed where every connection has one.
    pub(super) headers_from: Option<Vec<String>>,
}

/// A `[[policy]]`.
pub(super) struct Rule {
    /// Keys and values as TOML.
    pub(super) entries: Vec<(&'static str, String)>,
    pub(super) comment: Option<&'static str>,
}

/// A `[tables.NAME]`.
pub(super) struct Table {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) entries: Vec<String>,
    /// A path or URL, and how often it is read anew.
    pub(super) source: Option<(String, Option<String>)>,
    pub(super) comment: Option<&'static str>,
}

/// A link of the old proxy.
pub(super) struct OldLink {
    /// Whose it is.
    pub(super) user: Option<String>,
    /// The host in it, where the old settings tell.
    pub(super) host: Option<String>,
    pub(super) port: u16,
    /// The secret as the old proxy writes it: hexadecimal, with dd or ee.
    pub(super) secret: String,
}

/// Something that was not carried over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Left {
    /// Where it stands.
    pub(super) span: Option<Range<usize>>,
    /// What the old proxy calls it.
    pub(super) what: String,
    /// Why, and what to do instead: a sentence without a full stop.
    pub(super) why: String,
    /// Whether somebody may notice.
    pub(super) matters: bool,
}

impl Draft {
    /// Notes what does without: nobody notices.
    pub(super) fn leave(&mut self, span: &Range<usize>, what: impl Display, why: impl Display) {
        self.note(Some(span.clone()), what, why, false);
    }

    /// Notes what somebody may miss.
    pub(super) fn miss(&mut self, span: &Range<usize>, what: impl Display, why: impl Display) {
        self.note(Some(span.clone()), what, why, true);
    }

    /// Notes something that the old file does not say.
    pub(super) fn remark(&mut self, what: impl Display, why: impl Display, matters: bool) {
        self.note(None, what, why, matters);
    }

    fn note(&mut self, span: Option<Range<usize>>, what: impl Display, why: impl Display, matters: bool) {
        self.left.push(Left { span, what: what.to_string(), why: why.to_string(), matters });
    }

    /// Something that must be put right in the old file first.
    pub(super) fn refuse(&mut self, span: &Range<usize>, title: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem::new(Some(span.clone()), title).help(help));
    }

    /// Sets a key to this TOML.
    pub(super) fn set(&mut self, section: &'static str, key: &'static str, value: impl Display) {
        self.settings.push(Setting { section, key, value: value.to_string(), comment: None });
    }

    /// Sets a key to a text.
    pub(super) fn set_text(&mut self, section: &'static str, key: &'static str, value: impl AsRef<str>) {
        self.set(section, key, quoted(value.as_ref()));
    }

    /// Says why the key that was set last is as it is.
    pub(super) fn because(&mut self, comment: &'static str) {
        if let Some(setting) = self.settings.last_mut() {
            setting.comment = Some(comment);
        }
    }

    fn wrong_kind(&mut self, path: &str, value: &Value, expected: &str) {
        let title = format!("`{path}` should be {expected}, not {}", value.what());
        let help = match value.kind {
            Kind::Computed => "write the value itself: nothing is executed",
            _ => "put it right as the old proxy expects it",
        };
        self.refuse(&value.span, title, help);
    }

    /// A text or an atom.
    pub(super) fn text<'v>(&mut self, path: &str, value: &'v Value) -> Option<&'v str> {
        let text = value.as_word();
        if text.is_none() {
            self.wrong_kind(path, value, "a text");
        }
        text
    }

    pub(super) fn flag(&mut self, path: &str, value: &Value) -> Option<bool> {
        if let Kind::Flag(flag) = value.kind {
            return Some(flag);
        }
        self.wrong_kind(path, value, "true or false");
        None
    }

    /// A whole number within bounds.
    pub(super) fn number(
        &mut self,
        path: &str,
        value: &Value,
        bounds: std::ops::RangeInclusive<i64>,
    ) -> Option<i64> {
        let Kind::Number(number) = value.kind else {
            self.wrong_kind(path, value, "a whole number");
            return None;
        };
        if !bounds.contains(&number) {
            let title = format!("`{path}` is not between {} and {}", bounds.start(), bounds.end());
            self.refuse(&value.span, title, "put it right as the old proxy expects it");
            return None;
        }
        Some(number)
    }

    pub(super) fn port(&mut self, path: &str, value: &Value) -> Option<u16> {
        self.number(path, value, 1..=65535).and_then(|port| u16::try_from(port).ok())
    }

    pub(super) fn list<'v>(&mut self, path: &str, value: &'v Value) -> &'v [Value] {
        let list = value.as_list();
        if list.is_none() {
            self.wrong_kind(path, value, "a list");
        }
        list.unwrap_or_default()
    }

    /// Texts of a list, or one alone.
    pub(super) fn texts<'v>(&mut self, path: &str, value: &'v Value) -> Vec<&'v str> {
        match value.as_list() {
            Some(list) => list.iter().filter_map(|one| self.text(path, one)).collect(),
            None => self.text(path, value).into_iter().collect(),
        }
    }

    /// The entries of a table with texts as keys.
    pub(super) fn entries<'v>(
        &mut self,
        path: &str,
        value: &'v Value,
    ) -> Vec<(&'v str, &'v Value, Range<usize>)> {
        let Kind::Map(entries) = &value.kind else {
            self.wrong_kind(path, value, "a table");
            return Vec::new();
        };
        let mut named: Vec<(&str, &Value, Range<usize>)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let Some(name) = self.text(path, key) else { continue };
            if named.iter().any(|(known, ..)| *known == name) {
                self.refuse(&key.span, format!("`{path}` has `{name}` twice"), "leave one of them out");
            }
            named.push((name, value, key.span.clone()));
        }
        named
    }

    /// A secret of 32 hexadecimal digits that is no example from a manual.
    pub(super) fn secret(&mut self, path: &str, text: &str, span: &Range<usize>) -> Option<String> {
        match config::secret_key(text) {
            Ok(_) => Some(text.to_ascii_lowercase()),
            Err(wrong) => {
                let help = wrong.help.unwrap_or_default();
                self.refuse(span, format!("the value of `{path}` {}", wrong.message), help);
                None
            }
        }
    }

    /// An ad tag; one that stands in a manual is left behind, because links go on without it.
    pub(super) fn tag(&mut self, path: &str, text: &str, span: &Range<usize>) -> Option<String> {
        if text.is_empty() {
            return None;
        }
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            self.refuse(
                span,
                format!("the value of `{path}` is no ad tag"),
                "Telegram's @MTProxybot gives it out: 32 hex digits",
            );
            return None;
        }
        if text.bytes().all(|byte| byte == b'0') {
            self.leave(span, path, "it is all zeros, which is none");
            return None;
        }
        if config::ad_tag(text).is_err() {
            self.miss(span, path, "it is an example from a manual and promotes a stranger's channel: get your own from @MTProxybot");
            return None;
        }
        Some(text.to_ascii_lowercase())
    }

    /// A host name as `ee` secrets carry it.
    pub(super) fn domain(&mut self, path: &str, text: &str, span: &Range<usize>) -> Option<String> {
        match config::domain(text) {
            Ok(domain) => Some(domain.to_string()),
            Err(wrong) => {
                self.refuse(
                    span,
                    format!("the value of `{path}` {}", wrong.message),
                    "links with such a name cannot be given out again",
                );
                None
            }
        }
    }

    /// An address to listen on.
    pub(super) fn address(&mut self, path: &str, ip: &str, port: u16, span: &Range<usize>) -> Option<String> {
        match ip.trim_matches(['[', ']']).parse::<std::net::IpAddr>() {
            Ok(ip) => Some(std::net::SocketAddr::new(ip, port).to_string()),
            Err(_) => {
                self.refuse(
                    span,
                    format!("the value of `{path}` is no IP address"),
                    "name an address of this machine",
                );
                None
            }
        }
    }

    /// A length of time in seconds.
    pub(super) fn seconds(&mut self, path: &str, value: &Value, section: &'static str, key: &'static str) {
        if let Some(seconds) = self.number(path, value, 1..=7 * 86_400) {
            self.set_text(section, key, format!("{seconds}s"));
        }
    }

    /// Lets clients name any host, as many old proxies do.
    pub(super) fn accept_any_name(&mut self) {
        self.tables.push(Table {
            name: ANY_NAME.to_owned(),
            kind: "domain",
            entries: Vec::new(),
            source: None,
            comment: None,
        });
        self.rules.push(Rule {
            entries: vec![
                ("rule", quoted("not_in_table")),
                ("key", quoted("tls_domain")),
                ("table", quoted(ANY_NAME)),
            ],
            comment: Some(
                "The old proxy took ee links with any host name. This rule, which refuses nobody, keeps them working: without a rule on names only `domain` is taken. Remove it and its table once your links have one name.",
            ),
        });
    }

    /// Lets clients name these hosts and no other.
    pub(super) fn accept_names(&mut self, names: &[String]) {
        self.tables.push(Table {
            name: NAMES.to_owned(),
            kind: "domain",
            entries: names.to_vec(),
            source: None,
            comment: None,
        });
        self.rules.push(Rule {
            entries: vec![
                ("rule", quoted("in_table")),
                ("key", quoted("tls_domain")),
                ("table", quoted(NAMES)),
            ],
            comment: Some("The host names that ee links may have."),
        });
    }
}

const ANY_NAME: &str = "refused_names";
const NAMES: &str = "names";

/// A text as TOML.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A list of texts as TOML.
pub(super) fn list<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<_> = texts.into_iter().map(|text| quoted(text.as_ref())).collect();
    format!("[{}]", texts.join(", "))
}

/// The keys of a table, taken one by one, so that none is overlooked.
pub(super) struct Section<'v> {
    /// Its name, with a dot behind it, unless it is the whole file.
    path: String,
    entries: Vec<(&'v str, &'v Value, Range<usize>)>,
}

/// A key that does without: its name, or how names of its kind begin (with `*`), and why.
pub(super) type Known = (&'static str, &'static str);

impl<'v> Section<'v> {
    /// The entries of a table.
    pub(super) fn new(path: &str, value: &'v Value, draft: &mut Draft) -> Self {
        Self { entries: draft.entries(path, value), path: format!("{path}.") }
    }

    /// Entries that were found otherwise.
    pub(super) const fn of(entries: Vec<(&'v str, &'v Value, Range<usize>)>) -> Self {
        Self { path: String::new(), entries }
    }

    /// The whole name of a key.
    pub(super) fn path(&self, key: &str) -> String {
        format!("{}{key}", self.path)
    }

    /// The value of a key; afterwards it is no longer there.
    pub(super) fn take(&mut self, key: &str) -> Option<&'v Value> {
        let at = self.entries.iter().position(|(name, ..)| *name == key)?;
        Some(self.entries.remove(at).1)
    }

    /// Adds a value that was found elsewhere.
    pub(super) fn put(&mut self, key: &'v str, value: Option<&'v Value>) {
        self.entries.extend(value.map(|value| (key, value, value.span.clone())));
    }

    /// A table within this one.
    pub(super) fn section(&mut self, key: &str, draft: &mut Draft) -> Option<Self> {
        let path = self.path(key);
        Some(Self::new(&path, self.take(key)?, draft))
    }

    /// All that was not taken is either known to do no harm or of use (`lost`: somebody may miss it), or wrong.
    pub(super) fn finish(self, draft: &mut Draft, harmless: &[Known], lost: &[Known]) {
        for (name, value, span) in self.entries {
            let path = format!("{}{name}", self.path);
            let fits =
                |known: &str| known.strip_suffix('*').map_or(known == name, |start| name.starts_with(start));
            if let Some((_, why)) = harmless.iter().find(|(known, _)| fits(known)) {
                draft.leave(&span, path, why);
            } else if let Some((_, why)) = lost.iter().find(|(known, _)| fits(known)) {
                if !is_empty(value) {
                    draft.miss(&span, path, why);
                }
            } else {
                draft.refuse(
                    &span,
                    format!("`{path}` is not known"),
                    "nothing is guessed: remove it from the file that is imported if it may go",
                );
            }
        }
    }
}

/// Whether a key says nothing by its value: it may as well not be there.
pub(super) fn is_empty(value: &Value) -> bool {
    match &value.kind {
        Kind::Nothing | Kind::Flag(false) | Kind::Number(0) => true,
        Kind::Text(text) => text.is_empty(),
        Kind::List(elements) | Kind::Tuple(elements) => elements.is_empty(),
        Kind::Map(entries) => entries.is_empty(),
        Kind::Flag(true) | Kind::Number(_) | Kind::Fraction(_) | Kind::Word(_) | Kind::Computed => false,
    }
}
