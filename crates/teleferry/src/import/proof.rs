//! The proof that old links go on working: each is compared with the links that the new settings give.

use std::path::Path;

use data_encoding::HEXLOWER;
use teleferry_proto::secret::{HostName, Secret};

use super::Problem;
use super::draft::OldLink;
use crate::config::{
    self, ListenAddress, Listener, PolicyKey, Problems, Protocol, Rule, Snapshot, TableEntry,
};
use crate::links::whole_secret;

/// An old link and what becomes of it.
pub(super) struct Compared {
    /// Whose it is.
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) port: u16,
    /// The secret of the old link.
    pub(super) old: String,
    /// Whether the new settings give the very same one.
    pub(super) equal: bool,
}

/// Compares every old link with the links of the settings.
///
/// # Errors
/// The settings are refused.
pub(super) fn compare(links: &[OldLink], settings: &str) -> Result<Vec<Compared>, Problems> {
    let snapshot = config::understand("what was imported", settings, Path::new("/var/lib/teleferry"))?;
    let host = |link: &OldLink| {
        let ours = || snapshot.server.public_host.clone().unwrap_or_else(|| "YOUR.HOST".to_owned());
        link.host.clone().unwrap_or_else(ours)
    };
    let compared = links.iter().map(|link| Compared {
        user: link.user.clone(),
        host: host(link),
        port: link.port,
        old: link.secret.clone(),
        equal: is_given(link, &snapshot),
    });
    Ok(compared.collect())
}

/// Whether a listener on the link's port gives out the same secret, and takes the name in it.
fn is_given(link: &OldLink, snapshot: &Snapshot) -> bool {
    let Some(old) =
        HEXLOWER.decode(link.secret.as_bytes()).ok().and_then(|old| Secret::from_bytes(&old).ok())
    else {
        return false;
    };
    let name = old.domain().map(|domain| std::str::from_utf8(domain.as_bytes()).ok().map(HostName::new));
    let name = match name {
        None => None,
        Some(Some(Ok(name))) => Some(name),
        Some(_) => return false,
    };
    snapshot.listeners.iter().filter(|listener| is_on(listener, link.port)).any(|listener| {
        name.as_ref().is_none_or(|name| takes_name(snapshot, listener, name))
            && gives(listener, name.as_ref(), snapshot, &old)
    })
}

fn gives(listener: &Listener, name: Option<&HostName>, snapshot: &Snapshot, old: &Secret) -> bool {
    let protocols = || Protocol::ALL.into_iter().filter(|protocol| listener.protocols.has(*protocol));
    listener.secrets.iter().any(|secret| {
        protocols()
            .any(|protocol| whole_secret(secret, protocol, name, &snapshot.sni_secrets).as_ref() == Some(old))
    })
}

/// A listener on sockets without ports is reached through whatever stands in front of it.
fn is_on(listener: &Listener, port: u16) -> bool {
    let mut ports = listener.addresses.iter().filter_map(|address| match address {
        ListenAddress::Inet(address) => Some(address.port()),
        ListenAddress::Systemd(_) | ListenAddress::Unix(_) => None,
    });
    listener.addresses.iter().all(|address| !matches!(address, ListenAddress::Inet(_)))
        || ports.any(|one| one == port)
}

/// Whether a hello with this name may come in. Tables that are empty at the start are filled while the proxy runs.
fn takes_name(snapshot: &Snapshot, listener: &Listener, name: &HostName) -> bool {
    if !snapshot.takes_any_name(listener) {
        return listener.domain.as_ref() == Some(name);
    }
    snapshot.policies_for(listener).all(|policy| match &policy.rule {
        Rule::Table { key: PolicyKey::TlsDomain, table, listed } => {
            let entries =
                snapshot.tables.get(table).map(|table| table.entries.as_slice()).unwrap_or_default();
            let has =
                entries.iter().any(|entry| matches!(entry, TableEntry::Domain(domain) if domain == name));
            has == *listed || entries.is_empty()
        }
        Rule::Table { .. } | Rule::MaxConnections { .. } => true,
    })
}

impl Compared {
    /// The link as Telegram opens it.
    pub(super) fn link(&self) -> String {
        format!("tg://proxy?server={}&port={}&secret={}", self.host, self.port, self.old)
    }

    /// The link in a few words, with the secret shortened.
    pub(super) fn shortened(&self) -> String {
        let digits = self.old.get(..6).unwrap_or_default();
        let kind = match self.old.len() {
            32 => "classic",
            34 => "secure",
            _ => "tls",
        };
        let user = self.user.as_ref().map(|user| format!("{user}, ")).unwrap_or_default();
        let domain = self.old.get(34..).and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok());
        let domain = domain.filter(|domain| !domain.is_empty());
        let domain =
            domain.map(|domain| format!(" with {}", String::from_utf8_lossy(&domain))).unwrap_or_default();
        format!("{user}{}:{}, {kind}: {digits}…{domain}", self.host, self.port)
    }

    /// That the link would not go on working.
    pub(super) fn refusal(&self) -> Problem {
        Problem::new(
            None,
            format!("an old link has no equal among those of the new settings: {}", self.shortened()),
        )
        .help("its user would be cut off, so nothing was written")
    }
}
