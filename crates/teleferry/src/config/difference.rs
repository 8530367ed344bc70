//! What changed between two sets of settings, in words.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::keys;
use super::role::Role;
use super::show::list;
use super::snapshot::{Listener, NamedSecret, Protocol, Snapshot};
use crate::identity::Credentials;

/// What changed between two sets of settings, in words and without secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// What can be applied while the process runs.
    pub live: Vec<String>,
    /// What needs a restart.
    pub restart: Vec<String>,
}

impl Snapshot {
    /// What changed on the way from these settings to `after`.
    #[must_use]
    pub fn difference(&self, after: &Self) -> Difference {
        let mut difference = Difference::default();
        if self.role.kind() != after.role.kind() {
            // The rest of the file is that of another role.
            let kinds = [self, after].map(|snapshot| Some(snapshot.role.kind().name()));
            difference.restart.extend(told("role.kind", kinds[0], kinds[1]));
            return difference;
        }
        let (mut before_by_key, after_by_key) = (self.by_key(), after.by_key());
        for (key, after) in &after_by_key {
            let before = before_by_key.remove(key);
            difference.compare(key, before.as_deref(), Some(after));
        }
        for (key, before) in before_by_key {
            difference.compare(&key, Some(&before), None);
        }
        if self.policies != after.policies {
            let (before, after) = (self.policies.len(), after.policies.len());
            difference.live.push(format!("policy: {before} rules → {after}, or other ones"));
        }
        if self.sni_secrets.salt.is_some()
            && after.sni_secrets.salt.is_some()
            && self.sni_secrets != after.sni_secrets
        {
            difference.live.push("sni_secrets.salt changed".to_owned());
        }
        difference.live.extend(changed_files(&self.role, &after.role));
        compare_listeners(&self.listeners, &after.listeners, &mut difference.live);
        difference
    }

    /// Takes over from the settings of the running process what only a restart can change.
    pub fn keep_what_needs_a_restart(&mut self, running: &Self) {
        if self.role.kind() != running.role.kind() {
            self.clone_from(running);
            return;
        }
        if let (Role::Back(back), Role::Back(running)) = (&mut self.role, &running.role) {
            back.listen.clone_from(&running.listen);
        }
        self.server.workers = running.server.workers;
        self.server.state_dir.clone_from(&running.server.state_dir);
        self.log.format = running.log.format;
        self.admin.socket.clone_from(&running.admin.socket);
        self.admin.http = running.admin.http;
    }

    /// Every value outside the listeners, by `section.key`.
    fn by_key(&self) -> BTreeMap<String, String> {
        // Rules have no names: they are compared as a whole.
        let shown = self.shown().into_iter().filter(|table| table.name != "policy");
        shown
            .flat_map(|table| {
                table.entries.into_iter().map(move |(key, value)| (format!("{}.{key}", table.name), value))
            })
            .collect()
    }
}

impl Difference {
    fn compare(&mut self, key: &str, before: Option<&str>, after: Option<&str>) {
        let Some(words) = told(key, before.map(bare), after.map(bare)) else { return };
        if keys::needs_restart(key) { self.restart.push(words) } else { self.live.push(words) }
    }
}

/// Files whose content is another one, below the same name.
fn changed_files(before: &Role, after: &Role) -> Vec<String> {
    let mut changed = Vec::new();
    let mut compare = |key: &str, is_changed: bool| {
        if is_changed {
            changed.push(format!("{key}: the file's content changed"));
        }
    };
    if let (Some((_, before)), Some((_, after))) = (before.tls(), after.tls()) {
        let [old, new] = [before, after].map(|tls| &tls.credentials);
        let own = |credentials: &Credentials| credentials.own.clone().map(|own| (own.chain, own.key)).unzip();
        let ((old_chain, old_key), (new_chain, new_key)) = (own(old), own(new));
        compare("role.tls.ca", before.ca == after.ca && old.authorities != new.authorities);
        compare("role.tls.cert", before.cert == after.cert && old_chain != new_chain);
        compare("role.tls.key", before.key == after.key && old_key != new_key);
        compare("role.tls.revoked", before.revoked == after.revoked && old.revoked != new.revoked);
    }
    match (before, after) {
        (Role::Front(before), Role::Front(after)) => {
            let same_file = before.token_file == after.token_file;
            compare("role.front.token_file", same_file && before.token != after.token);
        }
        (Role::Back(before), Role::Back(after)) => {
            let same_file = before.token_file == after.token_file;
            compare("role.back.token_file", same_file && before.token != after.token);
        }
        _ => {}
    }
    changed
}

/// Listeners are told apart by their names.
fn compare_listeners(before: &[Listener], after: &[Listener], told: &mut Vec<String>) {
    for listener in after {
        match before.iter().find(|known| known.name == listener.name) {
            Some(known) => compare_listener(known, listener, told),
            None => told.push(format!("listener `{}`: added at {}", listener.name, addresses(listener))),
        }
    }
    for listener in before {
        if !after.iter().any(|known| known.name == listener.name) {
            told.push(format!("listener `{}`: removed from {}", listener.name, addresses(listener)));
        }
    }
}

fn compare_listener(before: &Listener, after: &Listener, all: &mut Vec<String>) {
    let mut said = |words: Option<String>| {
        all.extend(words.map(|words| format!("listener `{}`: {words}", after.name)));
    };
    for address in after.addresses.iter().filter(|address| !before.addresses.contains(address)) {
        said(Some(format!("address {address} added")));
    }
    for address in before.addresses.iter().filter(|address| !after.addresses.contains(address)) {
        said(Some(format!("address {address} removed")));
    }
    for secret in &after.secrets {
        match before.secrets.iter().find(|known| known.name == secret.name) {
            Some(known) if known.key == secret.key => {}
            Some(_) => said(Some(format!("{} changed", secret_name(secret)))),
            None => said(Some(format!("{} added", secret_name(secret)))),
        }
    }
    for secret in &before.secrets {
        if !after.secrets.iter().any(|known| known.name == secret.name) {
            said(Some(format!("{} removed", secret_name(secret))));
        }
    }
    said(match (&before.ad_tag, &after.ad_tag) {
        (None, Some(_)) => Some("ad_tag added".into()),
        (Some(_), None) => Some("ad_tag removed".into()),
        (before, after) => (before != after).then(|| "ad_tag changed".into()),
    });
    let protocols = |listener: &Listener| list(listener.protocols.iter().map(Protocol::name));
    said(told("protocols", Some(protocols(before)), Some(protocols(after))));
    said(told("domain", before.domain.as_ref(), after.domain.as_ref()));
    said(told("max_connections", Some(before.max_connections), Some(after.max_connections)));
    let header = |listener: &Listener| Some(listener.proxy_protocol.name());
    said(told("proxy_protocol", header(before), header(after)));
    let senders = |listener: &Listener| Some(list(&listener.proxy_protocol_from));
    said(told("proxy_protocol_from", senders(before), senders(after)));
}

/// A key that was added, changed or removed; `None` when it is the same.
fn told<T: Display + PartialEq>(key: &str, before: Option<T>, after: Option<T>) -> Option<String> {
    match (before, after) {
        (None, Some(after)) => Some(format!("{key}: {after} (added)")),
        (Some(before), None) => Some(format!("{key}: removed (was {before})")),
        (Some(before), Some(after)) if before != after => Some(format!("{key}: {before} → {after}")),
        _ => None,
    }
}

/// A value without the quotes of TOML.
fn bare(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

fn secret_name(secret: &NamedSecret) -> String {
    secret.name.as_ref().map_or_else(|| "secret".to_owned(), |name| format!("secret `{name}`"))
}

fn addresses(listener: &Listener) -> String {
    let addresses: Vec<String> = listener.addresses.iter().map(ToString::to_string).collect();
    addresses.join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Overrides, Source};
    use super::*;

    const KEY: &str = "8f1d5b0c4e3a49719c2b7d60a5e4f312";
    const OTHER: &str = "0b7c91d2e8f64a35bc1d7e90f2a3645c";

    fn snapshot(text: &str) -> Snapshot {
        let source = Source { name: Some("x.toml".into()), text, directory: Path::new("") };
        source.understand(&Overrides::default(), Path::new("/state")).expect("valid")
    }

    fn main_listener(rest: &str) -> String {
        format!("[[listen]]\naddress = \"127.0.0.1:1\"\nsecret = \"{KEY}\"\ndomain = \"a.example\"\n{rest}\n")
    }

    fn changes(before: &str, after: &str) -> Vec<String> {
        let difference = snapshot(before).difference(&snapshot(after));
        assert_eq!(difference.restart, [""; 0]);
        difference.live
    }

    #[test]
    fn a_58_added_changed_and_removed_keys_are_told_apart() {
        let (plain, listener) = (main_listener(""), main_listener(""));
        let with = |section: &str| format!("{listener}{section}\n");
        for (before, after, told) in [
            (
                plain.clone(),
                with("[server]\npublic_host = \"p.example\""),
                "server.public_host: p.example (added)",
            ),
            (
                with("[server]\npublic_host = \"p.example\""),
                plain.clone(),
                "server.public_host: removed (was p.example)",
            ),
            (plain.clone(), with("[limits]\nmemory = \"1GiB\""), "limits.memory: 512MiB → 1GiB"),
            (with("[limits]\nmemory = \"1GiB\""), plain.clone(), "limits.memory: 1GiB → 512MiB"),
            (
                plain.clone(),
                with("[telegram]\ndc = { \"2\" = [\"127.0.0.1:2\"] }"),
                "telegram.dc.2: [\"127.0.0.1:2\"] (added)",
            ),
        ] {
            assert_eq!(changes(&before, &after), [told]);
        }
        assert_eq!(changes(&plain, &plain), [""; 0]);
    }

    #[test]
    fn listeners_are_told_apart_by_name_and_secrets_are_not_shown() {
        let second = format!(
            "[[listen]]\nname = \"second\"\naddress = \"127.0.0.1:2\"\nsecret = \"{OTHER}\"\nprotocols = [\"secure\"]\n"
        );
        let plain = main_listener("");
        let both = format!("{plain}{second}");
        let turned = format!("{second}{plain}");
        assert_eq!(changes(&plain, &both), ["listener `second`: added at 127.0.0.1:2"]);
        assert_eq!(changes(&both, &plain), ["listener `second`: removed from 127.0.0.1:2"]);
        assert_eq!(changes(&both, &turned), [""; 0], "their order means nothing");
        let tag = main_listener("ad_tag = \"5d0e2b7f9a1c4836be7d20c1f4a59e63\"");
        assert_eq!(changes(&plain, &tag), ["listener `main`: ad_tag added"]);
        assert_eq!(changes(&tag, &plain), ["listener `main`: ad_tag removed"]);
        let alice = main_listener(&format!("secrets = {{ alice = \"{OTHER}\" }}"));
        assert_eq!(changes(&plain, &alice), ["listener `main`: secret `alice` added"]);
        let other = plain.replace(KEY, OTHER);
        assert_eq!(changes(&plain, &other), ["listener `main`: secret changed"]);
        let moved = plain.replace("127.0.0.1:1", "127.0.0.1:9");
        assert_eq!(
            changes(&plain, &moved),
            ["listener `main`: address 127.0.0.1:9 added", "listener `main`: address 127.0.0.1:1 removed"]
        );
    }

    #[test]
    fn what_needs_a_restart_is_kept_and_told() {
        let plain = main_listener("");
        let before = snapshot(&plain);
        let mut after = snapshot(&format!(
            "{plain}[server]\nworkers = 3\nstate_dir = \"/other\"\n[log]\nformat = \"json\"\n"
        ));
        let difference = before.difference(&after);
        assert_eq!(difference.live, [""; 0]);
        // The control socket moves with the state directory.
        assert_eq!(difference.restart.len(), 4, "{difference:?}");
        assert!(difference.restart.contains(&"server.workers: 0 → 3".to_owned()), "{difference:?}");
        after.keep_what_needs_a_restart(&before);
        assert_eq!(after, before);
    }
}
