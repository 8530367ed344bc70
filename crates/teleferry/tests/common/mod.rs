//! What the integration tests share: a server in this process in front of a simulated Telegram.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod tap;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use teleferry::config::{
    Admin, Cover, CoverTarget, Handshake, Levels, Limits, ListenAddress, Listener, Log, LogFormat, Mode,
    NamedSecret, Protocols, ProxyProtocol, Relay, Replay, Role, Snapshot, SniSecrets,
    Telegram as TelegramSettings,
};
use teleferry::observe::{Counts, LinkCounts};
use teleferry::server::Server;
use teleferry_proto::secret::{HostName, SecretKey};
use teleferry_sim::client::{Client, Options, Protocol};
use teleferry_sim::telegram::{self, Telegram};
use tracing::level_filters::LevelFilter;

/// The domain of the listener.
pub(crate) const DOMAIN: &str = "www.example.com";

/// How long anything may take that has to happen. Never waited for when all is well.
const PATIENCE: Duration = Duration::from_secs(20);

/// The listener's base secret.
pub(crate) fn key() -> SecretKey {
    SecretKey::new(*b"sixteen bytes...")
}

/// A secret that is nobody's.
pub(crate) fn wrong_key() -> SecretKey {
    SecretKey::new(*b"some other bytes")
}

/// Telegram on 127.0.0.1.
pub(crate) fn telegram() -> Telegram {
    Telegram::start(&telegram::Options::default()).expect("loopback has room")
}

/// Telegram on 127.0.0.1 and ::1.
pub(crate) fn telegram_on_both() -> Telegram {
    let listen = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    Telegram::start(&telegram::Options { listen }).expect("loopback has room")
}

/// Puts what is published now where an earlier run would have kept it, so that a server never looks for it elsewhere.
pub(crate) fn keep_published(telegram: &Telegram, state: &Path) {
    let (mut v4, mut v6) = ("default 2;\n".to_owned(), "default 2;\n".to_owned());
    for endpoint in telegram.middle().endpoints().iter().filter(|endpoint| endpoint.published) {
        let text = if endpoint.address.is_ipv4() { &mut v4 } else { &mut v6 };
        writeln!(text, "proxy_for {} {};", endpoint.dc, endpoint.address).expect("text");
    }
    for (name, content) in [
        ("telegram-proxy-secret", telegram.middle().secret().as_bytes()),
        ("telegram-proxy-config", v4.as_bytes()),
        ("telegram-proxy-config-v6", v6.as_bytes()),
    ] {
        std::fs::write(state.join(name), content).expect("written");
    }
}

/// An address of loopback at which connections are refused, for as long as the socket lives.
pub(crate) fn refusing() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bind");
    let address = socket.local_addr().expect("address").as_socket().expect("ip");
    (socket, address)
}

/// Settings with one listener, "main", on 127.0.0.1 for all protocols, in front of a simulated Telegram.
pub(crate) fn settings(telegram: &Telegram) -> Snapshot {
    settings_for(telegram.addresses())
}

/// The same in front of any addresses.
pub(crate) fn settings_for(dc: BTreeMap<i16, Vec<SocketAddr>>) -> Snapshot {
    let minute = Duration::from_secs(60);
    Snapshot {
        role: Role::default(),
        server: teleferry::config::Server {
            workers: 2,
            state_dir: PathBuf::from("/dev/null/nowhere"),
            public_host: None,
            max_connections: 10_000,
            drain: minute,
        },
        listeners: vec![listener("main")],
        telegram: TelegramSettings {
            mode: Mode::Direct,
            dc,
            connect_timeout: minute,
            answer_timeout: minute,
            ..TelegramSettings::default()
        },
        cover: Cover {
            target: None,
            connect_timeout: minute,
            proxy_protocol: None,
            learn: false,
            latency: false,
        },
        handshake: Handshake {
            timeout: minute,
            clock_skew_past: minute * 10,
            clock_skew_future: minute * 20,
        },
        relay: Relay::default(),
        limits: Limits::default(),
        replay: Replay::default(),
        sni_secrets: SniSecrets::default(),
        policies: Vec::new(),
        tables: BTreeMap::new(),
        log: Log {
            levels: Levels::all(LevelFilter::INFO),
            format: LogFormat::Text,
            file: None,
            mask_addresses: true,
        },
        admin: Admin::OFF,
    }
}

/// A listener on 127.0.0.1 for all protocols.
pub(crate) fn listener(name: &str) -> Listener {
    Listener {
        name: name.to_owned(),
        addresses: vec![at(Ipv4Addr::LOCALHOST.into())],
        secrets: vec![NamedSecret { name: None, key: key() }],
        ad_tag: None,
        protocols: Protocols::ALL,
        domain: Some(HostName::new(DOMAIN).expect("a name")),
        max_connections: 10_000,
        proxy_protocol: ProxyProtocol::Off,
        proxy_protocol_from: Vec::new(),
    }
}

/// A listening address whose port the kernel chooses.
pub(crate) fn at(ip: IpAddr) -> ListenAddress {
    ListenAddress::Inet(SocketAddr::new(ip, 0))
}

/// A running server.
pub(crate) struct Proxy {
    pub(crate) server: Server,
    /// The first address of the first listener.
    pub(crate) address: SocketAddr,
}

impl Proxy {
    pub(crate) fn start(snapshot: Snapshot) -> Self {
        let server = Server::start(Arc::new(snapshot)).expect("loopback has room");
        let address = match &server.addresses()[0].1 {
            ListenAddress::Inet(address) => *address,
            _ => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
        };
        Self { server, address }
    }

    /// In front of a simulated Telegram, with a cover site.
    pub(crate) fn covered(telegram: &Telegram, target: CoverTarget) -> Self {
        let mut snapshot = settings(telegram);
        snapshot.cover.target = Some(target);
        Self::start(snapshot)
    }

    /// Connects a client of DC 2.
    pub(crate) async fn client(&self, protocol: Protocol) -> Client {
        self.client_of(protocol, 2).await
    }

    /// Connects a client of any data centre.
    pub(crate) async fn client_of(&self, protocol: Protocol, dc: i16) -> Client {
        let options = Options::new(protocol, Some(key())).with_dc(dc);
        soon(Client::connect(self.address, &options)).await.expect("the proxy lets it in")
    }

    /// What the listener "main" has counted.
    pub(crate) fn counts(&self) -> Counts {
        self.server.counts("main").expect("there is such a listener")
    }

    /// Waits until the counts fulfil a condition, and gives them. Shards count a moment after a client sees the effect.
    pub(crate) async fn counted(&self, condition: impl Fn(&Counts) -> bool) -> Counts {
        let counting = async {
            loop {
                let counts = self.counts();
                if condition(&counts) {
                    return counts;
                }
                tokio::task::yield_now().await;
            }
        };
        match tokio::time::timeout(PATIENCE, counting).await {
            Ok(counts) => counts,
            Err(_) => panic!("never counted: {:#?}", self.counts()),
        }
    }

    /// Waits until the counts of the links fulfil a condition, and gives them.
    pub(crate) async fn linked(&self, condition: impl Fn(&LinkCounts) -> bool) -> LinkCounts {
        let counting = async {
            loop {
                let counts = self.server.links();
                if condition(&counts) {
                    return counts;
                }
                tokio::task::yield_now().await;
            }
        };
        match tokio::time::timeout(PATIENCE, counting).await {
            Ok(counts) => counts,
            Err(_) => panic!("never counted: {:#?}", self.server.links()),
        }
    }

    /// Waits until exactly these close reasons were counted.
    pub(crate) async fn closed(&self, reasons: &[(&str, u64)]) -> Counts {
        let expected: BTreeMap<String, u64> =
            reasons.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect();
        self.counted(|counts| counts.closed == expected).await
    }
}

/// What has to happen: panics when it takes too long.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}
