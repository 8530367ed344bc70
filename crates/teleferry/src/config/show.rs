//! The settings as text, to look at: everything that counts, secrets shortened.

use std::fmt::{self, Display, Write};

use teleferry_proto::secret::SecretKey;

use super::snapshot::{Listener, Snapshot};
use super::value::show_duration;

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
        let Self { server, listeners, telegram, cover, handshake, relay, log } = self;
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
        let target = cover.target.as_ref().map_or_else(|| "off".to_owned(), ToString::to_string);
        writeln!(out, "\n[cover]\ntarget = {target:?}")?;
        writeln!(out, "connect_timeout = {:?}", show_duration(cover.connect_timeout))?;
        writeln!(out, "\n[handshake]\ntimeout = {:?}", show_duration(handshake.timeout))?;
        writeln!(out, "clock_skew_past = {:?}", show_duration(handshake.clock_skew_past))?;
        writeln!(out, "clock_skew_future = {:?}", show_duration(handshake.clock_skew_future))?;
        writeln!(out, "\n[relay]\nidle_timeout = {:?}", show_duration(relay.idle_timeout))?;
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
            None => writeln!(out, "secret = \"{}\"", Shortened(&secret.key))?,
            Some(name) => writeln!(out, "secrets.{name:?} = \"{}\"", Shortened(&secret.key))?,
        }
    }
    writeln!(out, "protocols = {}", list(listener.protocols.iter().map(super::Protocol::name)))?;
    if let Some(domain) = &listener.domain {
        writeln!(out, "domain = \"{domain}\"")?;
    }
    writeln!(out, "max_connections = {}", listener.max_connections)
}

fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let quoted: Vec<String> = items.into_iter().map(|item| format!("\"{item}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

/// Enough of a key to tell it from others, and too little to try the rest.
struct Shortened<'a>(&'a SecretKey);

impl Display for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, ..] = self.0.as_bytes();
        write!(f, "{first:02x}{second:02x}…")
    }
}
