//! What the configuration means: everything typed was checked, everything left out has its default.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use ipnet::IpNet;
use teleferry_proto::haproxy::Version;
use teleferry_proto::rpc::AdTag;
use teleferry_proto::secret::{HostName, SecretKey};

use super::levels::Levels;
use super::policy::{Policy, PolicyKey, Rule, TableSettings};
use super::role::Role;

/// One complete, valid set of settings. It never changes: new settings are a new snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The process as a whole.
    pub server: Server,
    /// Whether it is a whole proxy or half of one.
    pub role: Role,
    /// At least one, with unique names; a back has none.
    pub listeners: Vec<Listener>,
    /// The way to Telegram.
    pub telegram: Telegram,
    /// The site that strangers see.
    pub cover: Cover,
    /// The first bytes of a connection.
    pub handshake: Handshake,
    /// Proven connections.
    pub relay: Relay,
    /// Ceilings for what waits in memory.
    pub limits: Limits,
    /// Which first flights are remembered.
    pub replay: Replay,
    /// Secrets that depend on the host name.
    pub sni_secrets: SniSecrets,
    /// Rules for proven clients, in order.
    pub policies: Vec<Policy>,
    /// The tables of the rules, by name.
    pub tables: BTreeMap<String, TableSettings>,
    /// What is told, and how.
    pub log: Log,
    /// How it is watched and told what to do.
    pub admin: Admin,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Data-plane threads; 0 is one a core.
    pub workers: usize,
    /// Where state is kept from one start to the next.
    pub state_dir: PathBuf,
    /// The host in links: a name or an address, IPv6 without brackets.
    pub public_host: Option<String>,
    /// Connections over all listeners.
    pub max_connections: usize,
    /// How long connections may go on after a stop is asked for.
    pub drain: Duration,
}

/// `[[listen]]`
#[derive(Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its name in logs and metrics; no other listener has it.
    pub name: String,
    /// At least one.
    pub addresses: Vec<ListenAddress>,
    /// At least one; no key is twice in it.
    pub secrets: Vec<NamedSecret>,
    /// The tag that middle proxies are told with its clients' messages.
    pub ad_tag: Option<AdTag>,
    /// The kinds of client it serves; at least one.
    pub protocols: Protocols,
    /// The domain of its `ee` links; always there when fake TLS is served.
    pub domain: Option<HostName>,
    /// Connections to this listener.
    pub max_connections: usize,
    /// Whether load balancers tell whose connections they pass on.
    pub proxy_protocol: ProxyProtocol,
    /// The networks of these load balancers.
    pub proxy_protocol_from: Vec<IpNet>,
}

/// Whether load balancers tell whose connections they pass on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProxyProtocol {
    /// They do not.
    #[default]
    Off,
    /// They may.
    Optional,
    /// They always do.
    Required,
}

/// Where a listener listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// An address and a TCP port; port 0 lets the system choose.
    Inet(SocketAddr),
    /// The name under which systemd hands over a socket.
    Systemd(String),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// A key that a listener accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSecret {
    /// What the operator calls it; the base secret has no name.
    pub name: Option<String>,
    /// The key.
    pub key: SecretKey,
}

/// The kinds of client a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocols {
    /// `ee` secrets: fake TLS.
    pub tls: bool,
    /// `dd` secrets: the padded framing in the open.
    pub secure: bool,
    /// Plain secrets: abridged and intermediate.
    pub classic: bool,
}

/// `[telegram]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telegram {
    /// How clients are taken to Telegram.
    pub mode: Mode,
    /// Whether bytes from a data centre may pass without cryptography.
    pub fast_path: bool,
    /// Addresses in place of the built-in ones, by data-centre id; never an empty list.
    pub dc: BTreeMap<i16, Vec<SocketAddr>>,
    /// The data centre for clients that ask for an unknown one; `None` refuses them.
    pub default_dc: Option<i16>,
    /// Which addresses come first.
    pub prefer: AddressPreference,
    /// For each address that is tried.
    pub connect_timeout: Duration,
    /// Until the first answer to the first request.
    pub answer_timeout: Duration,
    /// Where the secret shared with middle proxies is published: `http` or `https`, like all URLs here.
    pub proxy_secret_url: Uri,
    /// Where the IPv4 addresses of middle proxies are published.
    pub proxy_config_url: Uri,
    /// Where their IPv6 addresses are published.
    pub proxy_config_v6_url: Uri,
    /// Between two fetches of what Telegram publishes.
    pub refresh: Duration,
    /// For one fetch as a whole.
    pub http_timeout: Duration,
    /// The addresses under which Telegram sees this machine, as far as the operator says.
    pub external_ip: ExternalIp,
    /// Services that tell the caller's address, in the order to ask them; empty: nobody is asked.
    pub ip_lookup: Vec<Uri>,
    /// Links to the middle proxies of a data centre that are kept ready, in the whole process.
    pub links_per_dc: usize,
    /// Clients on a link before another one is opened.
    pub clients_per_link: usize,
    /// Whether middle proxies are offered CRC-32C.
    pub crc32c: bool,
}

/// The addresses under which others see this machine, by family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExternalIp {
    /// The IPv4 one.
    pub v4: Option<Ipv4Addr>,
    /// The IPv6 one.
    pub v6: Option<Ipv6Addr>,
}

/// How clients are taken to Telegram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Middle proxies, and direct where they cannot be used.
    Auto,
    /// One connection to a data centre for each client.
    Direct,
    /// Middle proxies alone: many clients over few links.
    Middle,
}

/// Which of a data centre's addresses are used, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressPreference {
    /// IPv4 first.
    Ipv4,
    /// IPv6 first.
    Ipv6,
    /// No IPv6 at all.
    OnlyIpv4,
    /// No IPv4 at all.
    OnlyIpv6,
}

/// `[cover]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cover {
    /// Where strangers are taken; `None` closes their connections.
    pub target: Option<CoverTarget>,
    /// For each address that is tried.
    pub connect_timeout: Duration,
    /// Which PROXY protocol header tells the site whose connection it is; `None`: none.
    pub proxy_protocol: Option<Version>,
    /// Whether answers to clients take after the site's, which is asked for that now and then.
    pub learn: bool,
    /// Whether answers to clients take as long as the site's.
    pub latency: bool,
}

/// Where the cover site is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoverTarget {
    /// A host.
    HostPort(CoverHost),
    /// The host that a visitor's TLS hello names, when it is one of these; else the first of them. At least one.
    Sni(Vec<CoverHost>),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// A web server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CoverHost {
    /// A name, or an address (IPv6 without brackets).
    pub host: String,
    /// Its TCP port.
    pub port: u16,
}

/// `[handshake]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// From accept to the first relayed byte.
    pub timeout: Duration,
    /// How far a client's clock may be behind.
    pub clock_skew_past: Duration,
    /// How far a client's clock may be ahead.
    pub clock_skew_future: Duration,
}

/// `[relay]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    /// How long a connection may carry nothing.
    pub idle_timeout: Duration,
    /// How long a client may take for a packet of which a part waits in memory; a second more for every KiB of that.
    pub frame_timeout: Duration,
    /// Which errors of Telegram's transport are kept from clients.
    pub filter_server_errors: ErrorFilter,
}

/// Which errors of Telegram's transport are kept from clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorFilter {
    /// None.
    Off,
    /// Those before the first answer.
    First,
    /// All.
    On,
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that may wait for one client.
    pub client_queue: usize,
    /// Bytes that may wait for all clients.
    pub memory: usize,
    /// Connections that may be proving themselves at the same time.
    pub handshakes: usize,
    /// New connections a second from one network; 0 sets no limit.
    pub new_per_second: usize,
}

/// `[sni_secrets]`
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SniSecrets {
    /// What the keys of host names are derived with; `None`: there are none.
    pub salt: Option<String>,
}

/// `[replay]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Whether first flights that came before are refused.
    pub enabled: bool,
    /// First flights that are remembered, at most.
    pub capacity: usize,
    /// How long each is remembered at least; never less than the whole clock window.
    pub max_age: Duration,
    /// Whether they are remembered from one start to the next.
    pub persist: bool,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// The least severe level that is told, in all and for parts of the program.
    pub levels: Levels,
    /// How a line looks.
    pub format: LogFormat,
    /// Where lines go; `None` is standard error.
    pub file: Option<PathBuf>,
    /// Whether clients' addresses are shortened to their network.
    pub mask_addresses: bool,
}

/// `[admin]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// The control socket; `None` when it is off.
    pub socket: Option<PathBuf>,
    /// Where the same is served over TCP; port 0 lets the system choose.
    pub http: Option<SocketAddr>,
    /// The file with the token; always there when `http` is not a loopback address.
    pub token_file: Option<PathBuf>,
    /// Whether metrics also have the seed's names.
    pub seed_metric_names: bool,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Admin {
    /// Nothing is open.
    pub const OFF: Self = Self { socket: None, http: None, token_file: None, seed_metric_names: false };
}

impl Snapshot {
    /// The rules that count for a listener.
    pub(crate) fn policies_for<'a>(&'a self, listener: &'a Listener) -> impl Iterator<Item = &'a Policy> {
        let counts =
            |policy: &&Policy| policy.listeners.as_ref().is_none_or(|names| names.contains(&listener.name));
        self.policies.iter().filter(counts)
    }

    /// Whether fake-TLS clients of a listener may name other hosts than its domain: where names are what tells clients
    /// apart, because secrets or rules go by them.
    pub(crate) fn takes_any_name(&self, listener: &Listener) -> bool {
        self.sni_secrets.salt.is_some()
            || self.policies_for(listener).any(|policy| match &policy.rule {
                Rule::Table { key, .. } => *key == PolicyKey::TlsDomain,
                Rule::MaxConnections { keys, .. } => keys.contains(&PolicyKey::TlsDomain),
            })
    }
}

impl Protocols {
    /// None yet.
    pub const NONE: Self = Self { tls: false, secure: false, classic: false };
    /// All of them.
    pub const ALL: Self = Self { tls: true, secure: true, classic: true };
    /// Fake TLS alone: the default.
    pub const TLS: Self = Self { tls: true, ..Self::NONE };

    /// These and one more.
    #[must_use]
    pub const fn with(mut self, protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tls => self.tls = true,
            Protocol::Secure => self.secure = true,
            Protocol::Classic => self.classic = true,
        }
        self
    }

    /// Whether this one is served.
    #[must_use]
    pub const fn has(self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Tls => self.tls,
            Protocol::Secure => self.secure,
            Protocol::Classic => self.classic,
        }
    }

    /// Those that are served.
    pub fn iter(self) -> impl Iterator<Item = Protocol> {
        Protocol::ALL.into_iter().filter(move |&protocol| self.has(protocol))
    }
}

/// A kind of client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `ee` secrets.
    Tls,
    /// `dd` secrets.
    Secure,
    /// Plain secrets.
    Classic,
}

impl Protocol {
    /// Every kind, the best disguised first.
    pub const ALL: [Self; 3] = [Self::Tls, Self::Secure, Self::Classic];

    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Secure => "secure",
            Self::Classic => "classic",
        }
    }
}

impl fmt::Debug for Listener {
    /// Everything but the ad tag, which is shown to nobody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("name", &self.name)
            .field("addresses", &self.addresses)
            .field("secrets", &self.secrets)
            .field("protocols", &self.protocols)
            .field("domain", &self.domain)
            .field("max_connections", &self.max_connections)
            .field("proxy_protocol", &self.proxy_protocol)
            .field("proxy_protocol_from", &self.proxy_protocol_from)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SniSecrets {
    /// Whether there is a salt, which is half a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SniSecrets").field("enabled", &self.salt.is_some()).finish_non_exhaustive()
    }
}

impl ProxyProtocol {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Off, Self::Optional, Self::Required];

    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for CoverTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostPort(host) => host.fmt(f),
            Self::Sni(_) => f.write_str("sni"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for CoverHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl Mode {
    /// Every mode, the default one first.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Middle, Self::Direct];

    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Direct => "direct",
            Self::Middle => "middle",
        }
    }
}

impl ExternalIp {
    /// Those that are known.
    pub fn iter(self) -> impl Iterator<Item = IpAddr> {
        self.v4.map(IpAddr::V4).into_iter().chain(self.v6.map(IpAddr::V6))
    }
}

impl ErrorFilter {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Off, Self::First, Self::On];

    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::First => "first",
            Self::On => "on",
        }
    }
}

impl AddressPreference {
    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::OnlyIpv4 => "only-ipv4",
            Self::OnlyIpv6 => "only-ipv6",
        }
    }
}

impl LogFormat {
    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}
