//! `[[listen]]`: what was typed for one listener, and what it means.

use std::ops::Range;
use std::path::Path;

use ipnet::IpNet;
use teleferry_proto::rpc::AdTag;
use teleferry_proto::secret::{HostName, SecretKey};
use toml::Spanned;

use super::Overrides;
use super::entry::network;
use super::problem::Problem;
use super::sections::{DEFAULT_MAX_CONNECTIONS, MAX_CONNECTIONS};
use super::snapshot::{ListenAddress, Listener, NamedSecret, Protocol, Protocols, ProxyProtocol};
use super::table::{Given, Table, string, told};
use super::value::{self, Wrong};

/// A listener as it stands in the file, each value checked by itself. No `Debug`: an ad tag is not shown.
pub(super) struct Typed {
    pub(super) span: Option<Range<usize>>,
    name: Given<String>,
    addresses: Given<Vec<Spanned<ListenAddress>>>,
    secrets: Vec<(Option<Range<usize>>, NamedSecret)>,
    secret_is_wrong: bool,
    ad_tag: Given<AdTag>,
    protocols: Given<Protocols>,
    domain: Given<HostName>,
    max_connections: Given<usize>,
    proxy_protocol: Given<ProxyProtocol>,
    proxy_protocol_from: Given<Vec<Spanned<IpNet>>>,
}

impl Typed {
    /// Reads the section. `directory` is where relative paths begin.
    pub(super) fn read(table: &Table<'_>, directory: &Path, problems: &mut Vec<Problem>) -> Self {
        let before = problems.len();
        let secrets = read_secrets(table, directory, problems);
        let secret_is_wrong = problems.len() > before;
        Self {
            span: table.span(),
            name: table.text("name", problems, value::listener_name),
            addresses: table.texts("address", problems, value::listen_address),
            secrets,
            secret_is_wrong,
            ad_tag: table.text("ad_tag", problems, value::ad_tag),
            protocols: read_protocols(table, problems),
            domain: table.text("domain", problems, value::domain),
            max_connections: table.number("max_connections", problems, 1..=MAX_CONNECTIONS),
            proxy_protocol: table.text("proxy_protocol", problems, |text| {
                value::one_of(text, &ProxyProtocol::ALL.map(|one| (one.name(), one)))
            }),
            proxy_protocol_from: table.texts_or_none("proxy_protocol_from", problems, network),
        }
    }

    /// A listener of which nothing was typed.
    pub(super) const fn empty() -> Self {
        Self {
            span: None,
            name: Given::No,
            addresses: Given::No,
            secrets: Vec::new(),
            secret_is_wrong: false,
            ad_tag: Given::No,
            protocols: Given::No,
            domain: Given::No,
            max_connections: Given::No,
            proxy_protocol: Given::No,
            proxy_protocol_from: Given::No,
        }
    }

    /// Puts what the command line says in place of what the file says.
    pub(super) fn override_with(&mut self, overrides: &Overrides) {
        if !overrides.addresses.is_empty() {
            let addresses = overrides.addresses.iter().cloned().map(|address| Spanned::new(0..0, address));
            self.addresses = Given::Yes(Spanned::new(0..0, addresses.collect()));
        }
        if let Some(key) = &overrides.secret {
            self.secrets = vec![(None, NamedSecret { name: None, key: key.clone() })];
            self.secret_is_wrong = false;
        }
        if let Some(tag) = overrides.ad_tag {
            self.ad_tag = Given::Yes(Spanned::new(0..0, tag));
        }
        if let Some(protocols) = overrides.protocols {
            self.protocols = Given::Yes(Spanned::new(0..0, protocols));
        }
        if let Some(domain) = &overrides.domain {
            self.domain = Given::Yes(Spanned::new(0..0, domain.clone()));
        }
    }

    /// The name, and where it stands when it was typed.
    pub(super) fn name(&self) -> (&str, Option<Range<usize>>) {
        match &self.name {
            Given::Yes(name) => (name.get_ref(), Some(name.span())),
            Given::No | Given::Wrong => (DEFAULT_NAME, self.span.clone()),
        }
    }

    /// Whether the name can be compared with others.
    pub(super) const fn is_name_wrong(&self) -> bool {
        matches!(self.name, Given::Wrong)
    }

    /// The addresses that could be read.
    pub(super) fn addresses(&self) -> &[Spanned<ListenAddress>] {
        match &self.addresses {
            Given::Yes(addresses) => addresses.get_ref(),
            Given::No | Given::Wrong => &[],
        }
    }

    /// What it means; tells what is missing or contradicts itself.
    pub(super) fn mean(self, problems: &mut Vec<Problem>) -> Listener {
        self.tell_missing(problems);
        self.tell_double_secrets(problems);
        let name = self.name().0.to_owned();
        Listener {
            name,
            addresses: self
                .addresses
                .value()
                .unwrap_or_default()
                .into_iter()
                .map(Spanned::into_inner)
                .collect(),
            secrets: self.secrets.into_iter().map(|(_, secret)| secret).collect(),
            ad_tag: self.ad_tag.value(),
            protocols: self.protocols.or(Protocols::TLS),
            domain: self.domain.value(),
            max_connections: self.max_connections.or(DEFAULT_MAX_CONNECTIONS),
            proxy_protocol: self.proxy_protocol.or(ProxyProtocol::Off),
            proxy_protocol_from: self
                .proxy_protocol_from
                .value()
                .unwrap_or_default()
                .into_iter()
                .map(Spanned::into_inner)
                .collect(),
        }
    }

    fn tell_missing(&self, problems: &mut Vec<Problem>) {
        let mut missing = |what: &str, help: &str| {
            let title = format!("listener `{}` has no {what}", self.name().0);
            problems.push(Problem::new(self.span.clone(), title).help(help));
        };
        if self.addresses.is_no() {
            missing("address", "say where to listen, such as address = \"[::]:443\"");
        }
        if self.secrets.is_empty() && !self.secret_is_wrong {
            missing("secret", "add secret = \"…\"; `teleferry secret` makes one");
        }
        let has_header =
            matches!(&self.proxy_protocol, Given::Yes(one) if *one.get_ref() != ProxyProtocol::Off);
        let has_senders = match &self.proxy_protocol_from {
            Given::Yes(networks) => !networks.get_ref().is_empty(),
            Given::No => false,
            Given::Wrong => true,
        };
        let over_network =
            self.addresses().iter().any(|address| !matches!(address.get_ref(), ListenAddress::Unix(_)));
        if has_header && !has_senders && over_network {
            missing(
                "proxy_protocol_from, and proxy_protocol needs it",
                "name the load balancers' addresses: from anybody else, a header is a lie",
            );
        }
        let serves_tls = match &self.protocols {
            Given::Yes(protocols) => protocols.get_ref().tls,
            Given::No => true,
            Given::Wrong => false,
        };
        if serves_tls && self.domain.is_no() {
            missing(
                "domain, and fake TLS needs one",
                "add domain = \"…\": a host name of your own whose HTTPS site `cover.target` leads to",
            );
        }
    }

    fn tell_double_secrets(&self, problems: &mut Vec<Problem>) {
        for (at, (span, secret)) in self.secrets.iter().enumerate() {
            if self.secrets.iter().take(at).any(|(_, earlier)| earlier.key == secret.key) {
                let title = format!("listener `{}` has the same secret twice", self.name().0);
                problems.push(
                    Problem::new(span.clone(), title)
                        .help("give everybody a secret of their own, or one to all"),
                );
            }
        }
    }
}

fn read_secrets(
    table: &Table<'_>,
    directory: &Path,
    problems: &mut Vec<Problem>,
) -> Vec<(Option<Range<usize>>, NamedSecret)> {
    let base = table.text("secret", problems, value::secret_key);
    let from_file = table.text("secret_file", problems, |path| read_secret_file(&directory.join(path)));
    if let (false, Some(span)) = (base.is_no(), table.span_of("secret_file")) {
        problems.push(
            Problem::new(Some(span), "`listen.secret` and `listen.secret_file` are both there")
                .help("leave one of them out"),
        );
    }
    let mut secrets = Vec::new();
    for given in [base, from_file] {
        let span = given.span();
        secrets.extend(given.value().map(|key| (span, NamedSecret { name: None, key })));
    }
    for (name, value) in table.entries("secrets", problems) {
        let path = format!("listen.secrets.{}", name.get_ref());
        match string(value.get_ref()).and_then(value::secret_key) {
            Ok(key) => {
                let name = Some((*name.get_ref()).to_owned());
                secrets.push((Some(value.span()), NamedSecret { name, key }));
            }
            Err(wrong) => problems.push(told(&path, value.span(), wrong)),
        }
    }
    secrets
}

fn read_secret_file(path: &Path) -> Result<SecretKey, Wrong> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Wrong::new(format!("names {}, which cannot be read: {error}", path.display())).not_allowed(&error)
    })?;
    value::secret_key(text.trim()).map_err(|wrong| Wrong {
        message: format!("names {}, whose content {}", path.display(), wrong.message),
        help: wrong.help,
    })
}

fn read_protocols(table: &Table<'_>, problems: &mut Vec<Problem>) -> Given<Protocols> {
    let typed = table.texts("protocols", problems, value::protocol);
    let Given::Yes(list) = typed else {
        return if typed.is_no() { Given::No } else { Given::Wrong };
    };
    let span = list.span();
    let mut protocols = Protocols::NONE;
    for one in list.into_inner() {
        let protocol: Protocol = *one.get_ref();
        if protocols.has(protocol) {
            let wrong = Wrong::new(format!("names \"{}\" twice", protocol.name()));
            problems.push(told("listen.protocols", one.span(), wrong));
        }
        protocols = protocols.with(protocol);
    }
    Given::Yes(Spanned::new(span, protocols))
}

/// The name of a listener that has none; enough as long as there is one.
pub const DEFAULT_NAME: &str = "main";
