//! The settings as text, to look at: everything that counts, secrets shortened.

use std::fmt::{self, Display, Write};
use std::net::IpAddr;

use super::snapshot::{CoverTarget, Listener, Snapshot, Telegram};
use super::value::{show_duration, show_size};

impl Snapshot {
    /// The effective settings in the form of the file, with secrets cut down to their first digits.
    #[must_use]
    pub fn show(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_to(&mut text);
        text
    }

    fn write_to(&self, out: &mut String) -> fmt::Result {
        let Self { server, listeners, telegram, cover, handshake, relay, limits, log } = self;
        writeln!(out, "[server]")?;
        writeln!(out, "workers = {}", server.workers)?;
        writeln!(out, "state_dir = {:?}", server.state_dir)?;
        if let Some(host) = &server.public_host {
            writeln!(out, "public_host = {host:?}")?;
        }
        writeln!(out, "max_connections = {}", server.max_connections)?;
        writeln!(out, "drain = {:?}", show_duration(server.drain))?;
        for listener in listeners {
            write_listener(listener, out)?;
        }
        write_telegram(telegram, out)?;
        let target = cover.target.as_ref().map_or_else(|| "off".to_owned(), ToString::to_string);
        writeln!(out, "\n[cover]\ntarget = {target:?}")?;
        if let Some(CoverTarget::Sni(hosts)) = &cover.target {
            writeln!(out, "only_domains = {}", list(hosts))?;
        }
        writeln!(out, "connect_timeout = {:?}", show_duration(cover.connect_timeout))?;
        writeln!(out, "profile = {:?}", if cover.learn { "auto" } else { "off" })?;
        writeln!(out, "\n[handshake]\ntimeout = {:?}", show_duration(handshake.timeout))?;
        writeln!(out, "clock_skew_past = {:?}", show_duration(handshake.clock_skew_past))?;
        writeln!(out, "clock_skew_future = {:?}", show_duration(handshake.clock_skew_future))?;
        writeln!(out, "\n[relay]\nidle_timeout = {:?}", show_duration(relay.idle_timeout))?;
        writeln!(out, "filter_server_errors = {:?}", relay.filter_server_errors.name())?;
        writeln!(out, "\n[limits]\nclient_queue = {:?}", show_size(limits.client_queue))?;
        writeln!(out, "memory = {:?}", show_size(limits.memory))?;
        writeln!(out, "\n[log]\nlevel = {:?}", log.level.as_str().to_ascii_lowercase())?;
        writeln!(out, "format = {:?}", log.format.name())?;
        writeln!(out, "mask_addresses = {}", log.mask_addresses)
    }
}

fn write_listener(listener: &Listener, out: &mut String) -> fmt::Result {
    writeln!(out, "\n[[listen]]\nname = {:?}", listener.name)?;
    writeln!(out, "address = {}", list(&listener.addresses))?;
    for secret in &listener.secrets {
        match &secret.name {
            None => writeln!(out, "secret = \"{}\"", Shortened(secret.key.as_bytes()))?,
            Some(name) => writeln!(out, "secrets.{name:?} = \"{}\"", Shortened(secret.key.as_bytes()))?,
        }
    }
    if let Some(tag) = &listener.ad_tag {
        writeln!(out, "ad_tag = \"{}\"", Shortened(tag))?;
    }
    writeln!(out, "protocols = {}", list(listener.protocols.iter().map(super::Protocol::name)))?;
    if let Some(domain) = &listener.domain {
        writeln!(out, "domain = \"{domain}\"")?;
    }
    writeln!(out, "max_connections = {}", listener.max_connections)
}

fn write_telegram(telegram: &Telegram, out: &mut String) -> fmt::Result {
    writeln!(out, "\n[telegram]\nmode = {:?}", telegram.mode.name())?;
    writeln!(out, "fast_path = {}", telegram.fast_path)?;
    for (id, addresses) in &telegram.dc {
        writeln!(out, "dc.{id} = {}", list(addresses))?;
    }
    match telegram.default_dc {
        Some(id) => writeln!(out, "default_dc = {id}")?,
        None => writeln!(out, "default_dc = \"none\"")?,
    }
    writeln!(out, "prefer = {:?}", telegram.prefer.name())?;
    writeln!(out, "connect_timeout = {:?}", show_duration(telegram.connect_timeout))?;
    writeln!(out, "answer_timeout = {:?}", show_duration(telegram.answer_timeout))?;
    writeln!(out, "proxy_secret_url = \"{}\"", telegram.proxy_secret_url)?;
    writeln!(out, "proxy_config_url = \"{}\"", telegram.proxy_config_url)?;
    writeln!(out, "proxy_config_v6_url = \"{}\"", telegram.proxy_config_v6_url)?;
    writeln!(out, "refresh = {:?}", show_duration(telegram.refresh))?;
    writeln!(out, "http_timeout = {:?}", show_duration(telegram.http_timeout))?;
    let external: Vec<IpAddr> = telegram.external_ip.iter().collect();
    if !external.is_empty() {
        writeln!(out, "external_ip = {}", list(external))?;
    }
    writeln!(out, "ip_lookup = {}", list(&telegram.ip_lookup))?;
    writeln!(out, "links_per_dc = {}", telegram.links_per_dc)?;
    writeln!(out, "clients_per_link = {}", telegram.clients_per_link)?;
    writeln!(out, "crc32c = {}", telegram.crc32c)
}

fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
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
