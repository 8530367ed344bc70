//! The links that clients connect with: one for every address, secret and kind of client.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use teleferry_proto::per_sni;
use teleferry_proto::secret::{Domain, HostName, ProxyLink, Secret};
use utoipa::ToSchema;

use crate::config::{ListenAddress, Listener, Mode, NamedSecret, Protocol, Snapshot, SniSecrets};
use crate::net::interface_address;
use crate::state::Listening;

/// A link, and what it is for. Printing it shows the secret: that is what it is made for.
#[derive(Serialize, ToSchema)]
pub(crate) struct Link {
    /// The listener's name.
    pub(crate) listener: String,
    /// The secret's name.
    pub(crate) name: Option<String>,
    /// The kind of client: tls, secure or classic.
    pub(crate) protocol: &'static str,
    /// Whether its clients are shown a sponsored channel: there is a tag, and a way that tells Telegram of it.
    pub(crate) ad_tag: bool,
    /// The host that clients connect to.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// The link as Telegram opens it.
    pub(crate) tg: String,
    /// The same for browsers.
    pub(crate) https: String,
}

/// The links of every address, secret and kind of client of a listener; with a host name only those of that name.
///
/// # Errors
/// They cannot be told, in a sentence without a full stop.
pub(crate) fn links_of(
    listener: &Listener,
    sni: Option<&HostName>,
    snapshot: &Snapshot,
) -> Result<Vec<Link>, String> {
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
                    .map_err(|error| format!("listener \"{}\": {error}", listener.name))?;
                links.push(Link {
                    listener: listener.name.clone(),
                    name: secret.name.clone(),
                    protocol: protocol.name(),
                    ad_tag: listener.ad_tag.is_some() && snapshot.telegram.mode != Mode::Direct,
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
pub(crate) fn whole_secret(
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
fn places(listener: &Listener, snapshot: &Snapshot) -> Result<BTreeSet<(String, u16)>, String> {
    let mut places = BTreeSet::new();
    for address in inet_addresses(listener, snapshot)? {
        let host = match &snapshot.server.public_host {
            Some(host) => host.clone(),
            None => host_of(address)?.to_string(),
        };
        places.insert((host, address.port()));
    }
    if places.is_empty() {
        return Err(format!(
            "listener \"{}\" has no TCP address of its own, so that links to it cannot be told",
            listener.name
        ));
    }
    Ok(places)
}

/// The hosts that stand in links; none where no listener has a TCP address of its own.
///
/// # Errors
/// They cannot be told, in a sentence without a full stop.
pub(crate) fn hosts(snapshot: &Snapshot) -> Result<BTreeSet<String>, String> {
    let listeners = snapshot.listeners.iter();
    let inet = listeners.flat_map(|listener| &listener.addresses).filter_map(|address| match address {
        ListenAddress::Inet(address) => Some(*address),
        ListenAddress::Systemd(_) | ListenAddress::Unix(_) => None,
    });
    match &snapshot.server.public_host {
        Some(host) => Ok(BTreeSet::from([host.clone()])),
        None => inet.map(|address| host_of(address).map(|ip| ip.to_string())).collect(),
    }
}

/// The TCP addresses of a listener, with the ports that a running server was given by the system.
fn inet_addresses(listener: &Listener, snapshot: &Snapshot) -> Result<Vec<SocketAddr>, String> {
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
                    format!(
                        "listener \"{}\" lets the system choose its port: start `teleferry run` first",
                        listener.name
                    )
                })?);
            }
            ListenAddress::Inet(address) => found.push(*address),
            ListenAddress::Systemd(_) | ListenAddress::Unix(_) => {}
        }
    }
    Ok(found)
}

/// The address itself, or one of this machine's that leads to it.
fn host_of(address: SocketAddr) -> Result<IpAddr, String> {
    if !address.ip().is_unspecified() {
        return Ok(address.ip());
    }
    interface_address(address.is_ipv4()).ok_or_else(|| {
        "this machine has no address that others could reach: set `server.public_host`".to_owned()
    })
}
