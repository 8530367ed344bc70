//! `teleferry link`

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use clap::Args;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde::Serialize;
use teleferry_proto::per_sni;
use teleferry_proto::secret::{Domain, HostName, ProxyLink, Secret};

use super::failure::Failure;
use super::settings::{Absent, Flags};
use crate::config::{self, ListenAddress, Listener, NamedSecret, Protocol, Snapshot, SniSecrets};
use crate::net::interface_address;
use crate::state::Listening;

#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    flags: Flags,

    /// Only the links of this listener
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,

    /// Only the link of this host name, with `sni_secrets`; without it, that of the listener's domain
    #[arg(long, value_name = "NAME", value_parser = config::domain)]
    sni: Option<HostName>,

    /// Also shows each link as a QR code
    #[arg(long, conflicts_with = "json")]
    qr: bool,

    /// Prints JSON: an object with the list `links`
    #[arg(long)]
    json: bool,
}

/// A link, and what it is for. Printing it shows the secret: that is what it is made for.
#[derive(Serialize)]
struct Printed<'a> {
    listener: &'a str,
    /// The secret's name.
    secret: Option<&'a str>,
    protocol: &'static str,
    host: String,
    port: u16,
    tg: String,
    https: String,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), Failure> {
    let snapshot = arguments.flags.settings(Absent::Refuse)?.snapshot;
    if arguments.sni.is_some() && snapshot.sni_secrets.salt.is_none() {
        return Err(Failure::Usage(
            "--sni names a secret of its own, and there are none: set sni_secrets.enabled and sni_secrets.salt"
                .to_owned(),
        ));
    }
    let listeners: Vec<&Listener> = snapshot
        .listeners
        .iter()
        .filter(|listener| arguments.listener.as_ref().is_none_or(|name| *name == listener.name))
        .collect();
    if let (Some(name), true) = (&arguments.listener, listeners.is_empty()) {
        let known: Vec<&str> = snapshot.listeners.iter().map(|listener| listener.name.as_str()).collect();
        return Err(Failure::Usage(format!(
            "there is no listener \"{name}\"; there are: {}",
            known.join(", ")
        )));
    }
    let mut links = Vec::new();
    for listener in listeners {
        links.extend(links_of(listener, arguments.sni.as_ref(), &snapshot)?);
    }
    if arguments.json {
        let json = serde_json::json!({ "links": links });
        writeln!(out, "{json:#}")?;
        return Ok(());
    }
    for (at, link) in links.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        write_link(link, arguments.qr, out)?;
    }
    Ok(())
}

fn write_link(link: &Printed<'_>, qr: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let named = link.secret.map(|name| format!(", {name}")).unwrap_or_default();
    writeln!(out, "{}{named} ({}):", link.listener, link.protocol)?;
    writeln!(out, "{}\n{}", link.tg, link.https)?;
    if qr {
        let code = QrCode::new(&link.tg).map_err(|error| Failure::Run(error.into()))?;
        // Light modules are printed, dark ones left blank: right on a dark terminal, and readable on a light one.
        let drawn = code.render().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
        writeln!(out, "{drawn}")?;
    }
    Ok(())
}

/// The links of every address, secret and kind of client of a listener; with a host name only those of that name.
fn links_of<'a>(
    listener: &'a Listener,
    sni: Option<&HostName>,
    snapshot: &Snapshot,
) -> Result<Vec<Printed<'a>>, Failure> {
    let mut links = Vec::new();
    let fits = |protocol: &Protocol| sni.is_none() || *protocol == Protocol::Tls;
    for (host, port) in places(listener, snapshot)? {
        for secret in &listener.secrets {
            for protocol in listener.protocols.iter().filter(fits) {
                let domain = sni.or(listener.domain.as_ref());
                let Some(whole) = whole_secret(secret, protocol, domain, &snapshot.sni_secrets) else {
                    continue;
                };
                let link = ProxyLink::new(&host, port, whole)
                    .map_err(|error| Failure::Usage(format!("listener \"{}\": {error}", listener.name)))?;
                links.push(Printed {
                    listener: &listener.name,
                    secret: secret.name.as_deref(),
                    protocol: protocol.name(),
                    host: host.clone(),
                    port,
                    tg: link.to_tg(),
                    https: link.to_https(),
                });
            }
        }
    }
    Ok(links)
}

/// The secret as a client of this kind is given it; there is always a domain where fake TLS is served.
fn whole_secret(
    secret: &NamedSecret,
    protocol: Protocol,
    domain: Option<&HostName>,
    sni_secrets: &SniSecrets,
) -> Option<Secret> {
    let key = secret.key.clone();
    Some(match protocol {
        Protocol::Classic => Secret::Plain(key),
        Protocol::Secure => Secret::Secure(key),
        Protocol::Tls => {
            let domain = domain?;
            let key = match &sni_secrets.salt {
                Some(salt) => per_sni::derive(&key, salt, domain.as_str().as_bytes()),
                None => key,
            };
            Secret::Tls(key, Domain::from(domain))
        }
    })
}

/// The hosts and ports under which clients reach a listener, each once.
fn places(listener: &Listener, snapshot: &Snapshot) -> Result<BTreeSet<(String, u16)>, Failure> {
    let mut places = BTreeSet::new();
    for address in inet_addresses(listener, snapshot)? {
        let host = match &snapshot.server.public_host {
            Some(host) => host.clone(),
            None => host_of(address)?.to_string(),
        };
        places.insert((host, address.port()));
    }
    if places.is_empty() {
        return Err(Failure::Usage(format!(
            "listener \"{}\" has no TCP address of its own, so that links to it cannot be told",
            listener.name
        )));
    }
    Ok(places)
}

/// The TCP addresses of a listener, with the ports that a running server was given by the system.
fn inet_addresses(listener: &Listener, snapshot: &Snapshot) -> Result<Vec<SocketAddr>, Failure> {
    let mut found = Vec::new();
    let running = Listening::load(&snapshot.server.state_dir);
    for address in &listener.addresses {
        match address {
            ListenAddress::Inet(address) if address.port() == 0 => {
                let chosen = running.of(&listener.name).find_map(|open| match open {
                    ListenAddress::Inet(open) if open.ip() == address.ip() => Some(open),
                    _ => None,
                });
                found.push(chosen.ok_or_else(|| {
                    Failure::Usage(format!(
                        "listener \"{}\" lets the system choose its port: start `teleferry run` first",
                        listener.name
                    ))
                })?);
            }
            ListenAddress::Inet(address) => found.push(*address),
            ListenAddress::Systemd(_) | ListenAddress::Unix(_) => {}
        }
    }
    Ok(found)
}

/// The address itself, or one of this machine's that leads to it.
fn host_of(address: SocketAddr) -> Result<IpAddr, Failure> {
    if !address.ip().is_unspecified() {
        return Ok(address.ip());
    }
    interface_address(address.is_ipv4()).ok_or_else(|| {
        Failure::Usage(
            "this machine has no address that others could reach: set `server.public_host`".to_owned(),
        )
    })
}
