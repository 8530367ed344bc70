//! The settings as text, to look at: everything that counts, secrets shortened.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::path::Path;

use teleferry_proto::haproxy::Version;

use super::policy::{Policy, Rule, TableSettings};
use super::role::{Back, Front, Role, Tls};
use super::snapshot::{
    Admin, Cover, CoverTarget, Listener, Log, Replay, Server, Snapshot, SniSecrets, Telegram,
};
use super::value::{show_duration, show_size};

/// A table of the file with what is in force.
#[derive(Debug)]
pub(super) struct Shown {
    /// Its name, without brackets.
    pub(super) name: Cow<'static, str>,
    repeated: bool,
    /// Keys and values as TOML. Those that are not set are not there.
    pub(super) entries: Vec<(String, String)>,
}

impl Snapshot {
    /// The effective settings in the form of the file, with secrets cut down to their first digits.
    #[must_use]
    pub fn show(&self) -> String {
        let (mut server, mut rest) = (Vec::new(), self.shown().into_iter());
        server.extend(rest.next());
        let listeners = self.listeners.iter().map(show_listener);
        let tables: Vec<String> =
            server.into_iter().chain(listeners).chain(rest).map(|t| t.to_string()).collect();
        tables.join("\n")
    }

    /// Everything but the listeners, in the order of the file.
    pub(super) fn shown(&self) -> Vec<Shown> {
        let Self { server, listeners: _, telegram, cover, handshake, relay, limits, log, admin, .. } = self;
        let mut all = vec![
            show_server(server),
            show_telegram(telegram),
            show_cover(cover),
            Shown::new("handshake")
                .quoted("timeout", show_duration(handshake.timeout))
                .quoted("clock_skew_past", show_duration(handshake.clock_skew_past))
                .quoted("clock_skew_future", show_duration(handshake.clock_skew_future)),
            Shown::new("relay")
                .quoted("idle_timeout", show_duration(relay.idle_timeout))
                .quoted("frame_timeout", show_duration(relay.frame_timeout))
                .quoted("filter_server_errors", relay.filter_server_errors.name()),
            Shown::new("limits")
                .quoted("client_queue", show_size(limits.client_queue))
                .quoted("memory", show_size(limits.memory))
                .plain("handshakes", limits.handshakes)
                .plain("new_per_second", limits.new_per_second),
            show_replay(&self.replay),
            show_sni_secrets(&self.sni_secrets),
        ];
        all.extend(self.policies.iter().map(show_policy));
        all.extend(self.tables.iter().map(|(name, table)| show_table(name, table)));
        all.push(show_log(log));
        all.push(show_admin(admin));
        all.extend(show_role(&self.role));
        all
    }
}

fn show_role(role: &Role) -> Vec<Shown> {
    let mut all = vec![Shown::new("role").quoted("kind", role.kind().name())];
    match role {
        Role::Both => {}
        Role::Front(Front { backs, token: _, token_file, padding, tls }) => {
            let mut shown = Shown::new("role.front").plain("backs", list(backs));
            shown = shown.path("token_file", token_file.as_deref()).plain("padding", padding);
            all.extend([shown, show_tls(tls)]);
        }
        Role::Back(Back { listen, token: _, token_file, tls }) => {
            let shown = Shown::new("role.back").plain("listen", list(listen));
            all.extend([shown.path("token_file", token_file.as_deref()), show_tls(tls)]);
        }
    }
    all
}

fn show_tls(tls: &Tls) -> Shown {
    let Tls { ca, cert, key, revoked, credentials: _ } = tls;
    let files = [("ca", ca), ("cert", cert), ("key", key), ("revoked", revoked)];
    files.into_iter().fold(Shown::new("role.tls"), |shown, (key, path)| shown.path(key, path.as_deref()))
}

fn show_replay(replay: &Replay) -> Shown {
    let Replay { enabled, capacity, max_age, persist } = replay;
    let shown = Shown::new("replay").plain("enabled", enabled).plain("capacity", capacity);
    shown.quoted("max_age", show_duration(*max_age)).plain("persist", persist)
}

fn show_sni_secrets(secrets: &SniSecrets) -> Shown {
    let shown = Shown::new("sni_secrets").plain("enabled", secrets.salt.is_some());
    // The salt is half a secret: nothing of it is shown, not even that it changed.
    if secrets.salt.is_some() { shown.quoted("salt", "…") } else { shown }
}

fn show_policy(policy: &Policy) -> Shown {
    let mut shown = Shown::new("policy");
    shown.repeated = true;
    shown = match &policy.rule {
        Rule::Table { key, table, listed } => {
            let rule = if *listed { "in_table" } else { "not_in_table" };
            shown.quoted("rule", rule).quoted("key", key).quoted("table", table)
        }
        Rule::MaxConnections { keys, limit } => {
            shown.quoted("rule", "max_connections").plain("keys", list(keys)).plain("limit", limit)
        }
    };
    match &policy.listeners {
        Some(listeners) => shown.plain("listeners", list(listeners)),
        None => shown,
    }
}

fn show_table(name: &str, table: &TableSettings) -> Shown {
    let shown = Shown::new(format!("tables.{name:?}"))
        .quoted("kind", table.kind.name())
        .plain("entries", list(&table.entries));
    match &table.source {
        Some(source) => shown.quoted("source", source).quoted("refresh", show_duration(table.refresh)),
        None => shown,
    }
}

fn show_server(server: &Server) -> Shown {
    let Server { workers, state_dir, public_host, max_connections, drain } = server;
    let mut shown = Shown::new("server").plain("workers", workers).quoted("state_dir", state_dir.display());
    if let Some(host) = public_host {
        shown = shown.quoted("public_host", host);
    }
    shown.plain("max_connections", max_connections).quoted("drain", show_duration(*drain))
}

fn show_cover(cover: &Cover) -> Shown {
    let Cover { target, connect_timeout, proxy_protocol, learn, latency } = cover;
    let version = match proxy_protocol {
        None => "off",
        Some(Version::V1) => "v1",
        Some(Version::V2) => "v2",
    };
    let shown = target.as_ref().map_or_else(|| "off".to_owned(), ToString::to_string);
    let mut shown = Shown::new("cover").quoted("target", shown);
    if let Some(CoverTarget::Sni(hosts)) = target {
        shown = shown.plain("only_domains", list(hosts));
    }
    shown
        .quoted("connect_timeout", show_duration(*connect_timeout))
        .quoted("proxy_protocol", version)
        .quoted("profile", if *learn { "auto" } else { "off" })
        .quoted("latency", if *latency { "auto" } else { "off" })
}

fn show_admin(admin: &Admin) -> Shown {
    let Admin { socket, http, token_file, seed_metric_names } = admin;
    let socket = socket.as_ref().map_or_else(|| "off".to_owned(), |path| path.display().to_string());
    let mut shown = Shown::new("admin").quoted("socket", socket);
    if let Some(address) = http {
        shown = shown.quoted("http", address);
    }
    if let Some(path) = token_file {
        shown = shown.quoted("token_file", path.display());
    }
    shown.plain("seed_metric_names", seed_metric_names)
}

fn show_log(log: &Log) -> Shown {
    let Log { levels, format, file, mask_addresses } = log;
    let mut shown = Shown::new("log").quoted("level", levels).quoted("format", format.name());
    if let Some(file) = file {
        shown = shown.quoted("file", file.display());
    }
    shown.plain("mask_addresses", mask_addresses)
}

fn show_listener(listener: &Listener) -> Shown {
    let mut shown = Shown::new("listen").quoted("name", &listener.name);
    shown.repeated = true;
    shown = shown.plain("address", list(&listener.addresses));
    for secret in &listener.secrets {
        let key =
            secret.name.as_ref().map_or_else(|| "secret".to_owned(), |name| format!("secrets.{name:?}"));
        shown = shown.quoted(key, Shortened(secret.key.as_bytes()));
    }
    if let Some(tag) = &listener.ad_tag {
        shown = shown.quoted("ad_tag", Shortened(tag));
    }
    shown = shown.plain("protocols", list(listener.protocols.iter().map(super::Protocol::name)));
    if let Some(domain) = &listener.domain {
        shown = shown.quoted("domain", domain);
    }
    shown
        .plain("max_connections", listener.max_connections)
        .quoted("proxy_protocol", listener.proxy_protocol.name())
        .plain("proxy_protocol_from", list(&listener.proxy_protocol_from))
}

fn show_telegram(telegram: &Telegram) -> Shown {
    let mut shown =
        Shown::new("telegram").quoted("mode", telegram.mode.name()).plain("fast_path", telegram.fast_path);
    for (id, addresses) in &telegram.dc {
        shown = shown.plain(format!("dc.{id}"), list(addresses));
    }
    shown = match telegram.default_dc {
        Some(id) => shown.plain("default_dc", id),
        None => shown.quoted("default_dc", "none"),
    };
    shown = shown
        .quoted("prefer", telegram.prefer.name())
        .quoted("connect_timeout", show_duration(telegram.connect_timeout))
        .quoted("answer_timeout", show_duration(telegram.answer_timeout))
        .quoted("proxy_secret_url", &telegram.proxy_secret_url)
        .quoted("proxy_config_url", &telegram.proxy_config_url)
        .quoted("proxy_config_v6_url", &telegram.proxy_config_v6_url)
        .quoted("refresh", show_duration(telegram.refresh))
        .quoted("http_timeout", show_duration(telegram.http_timeout));
    if telegram.external_ip.iter().next().is_some() {
        shown = shown.plain("external_ip", list(telegram.external_ip.iter()));
    }
    shown
        .plain("ip_lookup", list(&telegram.ip_lookup))
        .plain("links_per_dc", telegram.links_per_dc)
        .plain("clients_per_link", telegram.clients_per_link)
        .plain("crc32c", telegram.crc32c)
}

impl Shown {
    fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), repeated: false, entries: Vec::new() }
    }

    fn plain(mut self, key: impl Into<String>, value: impl Display) -> Self {
        self.entries.push((key.into(), value.to_string()));
        self
    }

    /// A path, when it is set.
    fn path(self, key: impl Into<String>, path: Option<&Path>) -> Self {
        match path {
            Some(path) => self.quoted(key, path.display()),
            None => self,
        }
    }

    fn quoted(self, key: impl Into<String>, value: impl Display) -> Self {
        let value = value.to_string();
        self.plain(key, format_args!("{value:?}"))
    }
}

impl Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        if self.repeated {
            writeln!(f, "[[{name}]]")?
        } else {
            writeln!(f, "[{name}]")?
        }
        self.entries.iter().try_for_each(|(key, value)| writeln!(f, "{key} = {value}"))
    }
}

/// A list of texts as TOML.
pub(super) fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let quoted: Vec<String> = items.into_iter().map(|item| format!("\"{item}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

/// Enough of a key or a tag to tell it from others, and too little to try the rest.
struct Shortened<'a>(&'a [u8; 16]);

impl Display for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, ..] = self.0;
        write!(f, "{first:02x}{second:02x}…")
    }
}
