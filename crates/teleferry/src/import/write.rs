//! The new configuration as text, and what to say of it.

use std::fmt::Write as _;
use std::ops::Range;

use super::draft::{self, Draft, Listener, Rule, Table, list, quoted};
use super::proof::Compared;

/// The settings of a draft, without the head.
pub(super) fn settings(draft: &Draft) -> String {
    let mut text = String::new();
    section(&mut text, draft, "server");
    draft.listeners.iter().for_each(|listener| write_listener(&mut text, listener));
    for name in SECTIONS {
        section(&mut text, draft, name);
    }
    draft.rules.iter().for_each(|rule| write_rule(&mut text, rule));
    draft.tables.iter().for_each(|table| write_table(&mut text, table));
    for name in ["log", "admin"] {
        section(&mut text, draft, name);
    }
    text
}

/// The sections between the listeners and the rules.
const SECTIONS: [&str; 7] = ["telegram", "cover", "handshake", "relay", "limits", "replay", "sni_secrets"];

fn section(text: &mut String, draft: &Draft, name: &str) {
    let mut keys = draft.settings.iter().filter(|setting| setting.section == name).peekable();
    if keys.peek().is_none() {
        return;
    }
    line(text, format_args!("\n[{name}]"));
    for setting in keys {
        comment(text, setting.comment.unwrap_or_default());
        line(text, format_args!("{} = {}", setting.key, setting.value));
    }
}

fn write_listener(text: &mut String, listener: &Listener) {
    line(text, format_args!("\n[[listen]]\nname = {}", quoted(&listener.name)));
    match listener.addresses.as_slice() {
        [address] => line(text, format_args!("address = {}", quoted(address))),
        addresses => line(text, format_args!("address = {}", list(addresses))),
    }
    if let Some((_, secret)) = listener.secrets.iter().find(|(name, _)| name.is_none()) {
        line(text, format_args!("secret = {}", quoted(secret)));
    }
    if let Some(tag) = &listener.ad_tag {
        line(text, format_args!("ad_tag = {}", quoted(tag)));
    }
    line(text, format_args!("protocols = {}", list(&listener.protocols)));
    if let Some(domain) = &listener.domain {
        line(text, format_args!("domain = {}", quoted(domain)));
    }
    if let Some(limit) = listener.max_connections {
        line(text, format_args!("max_connections = {limit}"));
    }
    if let Some(networks) = &listener.headers_from {
        comment(
            text,
            "The old proxy believed everybody. Name the load balancers alone: from anybody else a header is a lie.",
        );
        line(text, format_args!("proxy_protocol = \"required\"\nproxy_protocol_from = {}", list(networks)));
    }
    let mut named =
        listener.secrets.iter().filter_map(|(name, secret)| Some((name.as_ref()?, secret))).peekable();
    if named.peek().is_some() {
        line(text, format_args!("\n[listen.secrets]"));
        for (name, secret) in named {
            line(text, format_args!("{} = {}", quoted(name), quoted(secret)));
        }
    }
}

fn write_rule(text: &mut String, rule: &Rule) {
    text.push('\n');
    comment(text, rule.comment.unwrap_or_default());
    line(text, format_args!("[[policy]]"));
    for (key, value) in &rule.entries {
        line(text, format_args!("{key} = {value}"));
    }
}

fn write_table(text: &mut String, table: &Table) {
    text.push('\n');
    comment(text, table.comment.unwrap_or_default());
    line(text, format_args!("[tables.{}]\nkind = {}", quoted(&table.name), quoted(table.kind)));
    line(text, format_args!("entries = {}", list(&table.entries)));
    if let Some((source, refresh)) = &table.source {
        line(text, format_args!("source = {}", quoted(source)));
        if let Some(refresh) = refresh {
            line(text, format_args!("refresh = {}", quoted(refresh)));
        }
    }
}

/// What was left behind, with the places where it stood.
pub(super) struct Left {
    /// What somebody may notice.
    missed: Vec<String>,
    /// What nobody does.
    harmless: Vec<String>,
}

impl Left {
    /// `place_of` says where something stands in the old file.
    pub(super) fn new(left: &[draft::Left], place_of: impl Fn(&Range<usize>) -> String) -> Self {
        let told = |matters: bool| {
            let mut some: Vec<_> = left.iter().filter(|one| one.matters == matters).collect();
            some.sort_by_key(|one| one.span.as_ref().map_or(usize::MAX, |span| span.start));
            let lines = some.into_iter().map(|one| {
                let place = one.span.as_ref().map(|span| format!("{}: ", place_of(span))).unwrap_or_default();
                format!("{place}{}: {}", one.what, one.why)
            });
            lines.collect()
        };
        Self { missed: told(true), harmless: told(false) }
    }

    fn lists(&self) -> impl Iterator<Item = (&'static str, &Vec<String>)> {
        let both = [
            ("Not carried over, and somebody may notice:", &self.missed),
            ("Not carried over or not needed, and nobody notices:", &self.harmless),
        ];
        both.into_iter().filter(|(_, list)| !list.is_empty())
    }
}

/// The head of the new file: where it comes from, what is not in it, and the links.
pub(super) fn head(proxy: &str, file: &str, left: &Left, compared: &[Compared]) -> String {
    let mut text = String::new();
    comment(&mut text, &format!("Imported from {proxy}, {file}."));
    comment(
        &mut text,
        "This file and its links hold secrets: let nobody but the proxy's user read it (chmod 600).",
    );
    for (title, entries) in left.lists() {
        line(&mut text, format_args!("#"));
        comment(&mut text, title);
        entries.iter().for_each(|entry| item(&mut text, entry));
    }
    line(&mut text, format_args!("#"));
    comment(
        &mut text,
        "The links of the old proxy, worked out by its own rules. These settings give the very same ones:",
    );
    for link in compared {
        let user = link.user.as_ref().map(|user| format!("{user}: ")).unwrap_or_default();
        line(&mut text, format_args!("# - {user}{}", one_line(&link.link())));
    }
    text
}

/// What to tell whoever imports. Secrets are shortened.
pub(super) fn report(left: &Left, compared: &[Compared]) -> String {
    let mut text = String::new();
    for (title, entries) in left.lists() {
        line(&mut text, format_args!("{title}"));
        for entry in entries {
            line(&mut text, format_args!("- {entry}"));
        }
        text.push('\n');
    }
    line(&mut text, format_args!("Links of the old proxy, and the same in the new settings:"));
    for link in compared {
        line(&mut text, format_args!("- {}: equal", link.shortened()));
    }
    text
}

/// A comment over as many lines as it takes.
fn comment(text: &mut String, comment: &str) {
    wrapped(text, comment, "# ", "# ");
}

/// An entry of a list within a comment.
fn item(text: &mut String, entry: &str) {
    wrapped(text, entry, "# - ", "#   ");
}

fn wrapped(text: &mut String, words: &str, first: &str, further: &str) {
    let mut width = 0;
    for word in words.split_whitespace() {
        let len = word.chars().count();
        if width == 0 || width + len >= WIDTH {
            let start = if width == 0 { first } else { further };
            if width > 0 {
                text.push('\n');
            }
            text.push_str(start);
            text.push_str(&one_line(word));
            width = start.len() + len;
        } else {
            text.push(' ');
            text.push_str(&one_line(word));
            width += 1 + len;
        }
    }
    if width > 0 {
        text.push('\n');
    }
}

/// Comments end with their line, whatever a name in the old file holds.
fn one_line(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

const WIDTH: usize = 118;

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{words}");
}
