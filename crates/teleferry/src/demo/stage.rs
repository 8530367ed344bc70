//! Everything that the demonstration needs, on loopback.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use teleferry_proto::secret::{HostName, SecretKey};
use teleferry_sim::config_server::Item;
use teleferry_sim::cover::{Act, CoverSite};
use teleferry_sim::telegram::{Options, Telegram};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tracing::level_filters::LevelFilter;

use super::PATIENCE;
use crate::clock;
use crate::config::{
    AddressPreference, Admin, Back, BackUrl, Cover, CoverHost, CoverTarget, Front, Handshake, Levels, Limits,
    ListenAddress, Listener, Log, LogFormat, Mode, NamedSecret, Protocols, ProxyProtocol, Relay, Replay,
    Role, Server as ServerSettings, Snapshot, SniSecrets, Telegram as TelegramSettings, Tls,
};
use crate::entropy;
use crate::identity::authority;
use crate::server::Server;
use crate::telegram::Known;

/// What the stranger asks for, and what the site answers.
const QUESTION: &[u8] =
    b"GET / HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: a stranger\r\nAccept: */*\r\nConnection: close\r\n\r\n";
const PAGE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\nConnection: close\r\n\r\nAn ordinary site.\r\n";

/// Telegram, the cover site, and a proxy for each way between them and the clients. All of it ends when it is dropped.
#[derive(Debug)]
pub(super) struct Stage {
    telegram: Telegram,
    _cover: CoverSite,
    /// The proxy that goes direct.
    pub(super) direct: Proxy,
    /// The one that goes over middle proxies.
    pub(super) middle: Proxy,
    /// Their secret.
    pub(super) key: SecretKey,
}

/// A proxy, whole or in two halves.
#[derive(Debug)]
pub(super) struct Proxy {
    /// Where clients come in.
    pub(super) address: SocketAddr,
    /// What they come to: the whole proxy, or its front.
    server: Server,
    /// The other half, and where it is called.
    back: Option<(Server, SocketAddr)>,
}

impl Stage {
    pub(super) async fn build(split: bool) -> io::Result<Self> {
        let telegram = Telegram::start(&Options::default())?.with_middle_proxies(1)?;
        let page = vec![Act::Await(QUESTION.len() as u64), Act::Send(PAGE.to_vec()), Act::HalfClose];
        let cover = CoverSite::start(page).await?;
        let key = SecretKey::new(entropy::array());
        let snapshot = settings(telegram.addresses(), cover.address(), &key)?;
        let start = if split { Proxy::in_two_halves } else { Proxy::whole };
        let direct = start(snapshot.clone())?;
        let middle = start(over_middle(snapshot, &telegram)?)?;
        until_known(middle.to_telegram()).await?;
        Ok(Self { telegram, _cover: cover, direct, middle, key })
    }

    pub(super) fn data_centres(&self) -> usize {
        self.telegram.addresses().len()
    }

    /// A stranger without a secret must see the site and nothing else.
    pub(super) async fn send_a_stranger(&self) -> Result<(), String> {
        let seen = tokio::time::timeout(PATIENCE, ask(self.direct.address)).await;
        match seen {
            Ok(Ok(answer)) if answer == PAGE => Ok(()),
            Ok(Ok(answer)) => Err(format!("got {} bytes that are not the site's", answer.len())),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("got no answer".to_owned()),
        }
    }
}

impl Proxy {
    fn whole(snapshot: Snapshot) -> io::Result<Self> {
        let (server, address) = start(snapshot)?;
        Ok(Self { address, server, back: None })
    }

    fn in_two_halves(snapshot: Snapshot) -> io::Result<Self> {
        let now = i64::try_from(clock::unix_time()).map_err(io::Error::other)?;
        let host = Ipv4Addr::LOCALHOST.to_string();
        let made = authority::passing(&host, "front", now).map_err(io::Error::other)?;
        let [of_back, of_front] = made.map(|credentials| Tls { credentials, ..Tls::default() });
        let (back, to_back) = start(Snapshot {
            role: Role::Back(Back {
                listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
                token: None,
                token_file: None,
                tls: of_back,
            }),
            listeners: Vec::new(),
            ..snapshot.clone()
        })?;
        let (front, address) = start(Snapshot {
            role: Role::Front(Front {
                backs: vec![BackUrl(CoverHost { host, port: to_back.port() })],
                token: None,
                token_file: None,
                padding: true,
                tls: of_front,
            }),
            telegram: TelegramSettings::default(),
            ..snapshot
        })?;
        Ok(Self { address, server: front, back: Some((back, to_back)) })
    }

    /// Where its back is called, when it has one.
    pub(super) fn back(&self) -> Option<SocketAddr> {
        self.back.as_ref().map(|(_, address)| *address)
    }

    /// The half that goes to Telegram.
    fn to_telegram(&self) -> &Server {
        self.back.as_ref().map_or(&self.server, |(back, _)| back)
    }

    /// What went between its halves, in a sentence.
    pub(super) fn between(&self) -> Option<String> {
        self.back.as_ref()?;
        let trunks = self.server.trunks();
        let counts = trunks.values().next()?;
        Some(format!(
            "Between front and back: {} sessions over {} connections, {:.1} MiB, a round trip of {:.1} ms.",
            counts.calls,
            counts.opened,
            (counts.received + counts.sent) as f64 / f64::from(1 << 20),
            counts.round_trip.as_secs_f64() * 1000.0,
        ))
    }
}

fn start(snapshot: Snapshot) -> io::Result<(Server, SocketAddr)> {
    let server = Server::start(Arc::new(snapshot)).map_err(io::Error::other)?;
    match server.addresses().as_slice() {
        [(_, ListenAddress::Inet(address)), ..] => {
            let address = *address;
            Ok((server, address))
        }
        _ => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

/// The same settings for a proxy that goes over the simulated middle proxies.
fn over_middle(mut snapshot: Snapshot, telegram: &Telegram) -> io::Result<Snapshot> {
    let config = telegram.config_server().ok_or(io::ErrorKind::NotFound)?;
    let url = |item| config.url(item).parse().map_err(io::Error::other);
    snapshot.telegram = TelegramSettings {
        mode: Mode::Middle,
        proxy_secret_url: url(Item::Secret)?,
        proxy_config_url: url(Item::Config)?,
        proxy_config_v6_url: url(Item::ConfigV6)?,
        ip_lookup: Vec::new(),
        prefer: AddressPreference::OnlyIpv4,
        // Nobody is called before it is known where the simulated ones are.
        links_per_dc: 0,
        ..snapshot.telegram
    };
    Ok(snapshot)
}

/// Waits until a proxy has learned where the simulated middle proxies are.
async fn until_known(server: &Server) -> io::Result<()> {
    let learning = async {
        let Some(mut known) = server.known() else { return };
        let is_here = |known: &Arc<Known>| {
            known
                .middle_proxies()
                .iter()
                .flat_map(|(_, targets)| targets)
                .any(|target| target.ip().is_loopback())
        };
        // An error means that nothing new ever comes.
        let _ = known.wait_for(is_here).await;
    };
    tokio::time::timeout(PATIENCE, learning).await.map_err(io::Error::from)
}

async fn ask(address: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(QUESTION).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

fn settings(dc: BTreeMap<i16, Vec<SocketAddr>>, cover: SocketAddr, key: &SecretKey) -> io::Result<Snapshot> {
    let minute = Duration::from_secs(60);
    let domain = HostName::new("www.example.com").map_err(io::Error::other)?;
    Ok(Snapshot {
        role: Role::Both,
        server: ServerSettings {
            workers: 0,
            state_dir: "/dev/null/nowhere".into(),
            public_host: None,
            max_connections: 1000,
            drain: Duration::ZERO,
        },
        listeners: vec![Listener {
            name: "demo".to_owned(),
            addresses: vec![ListenAddress::Inet((Ipv4Addr::LOCALHOST, 0).into())],
            secrets: vec![NamedSecret { name: None, key: key.clone() }],
            ad_tag: None,
            protocols: Protocols::ALL,
            domain: Some(domain),
            max_connections: 1000,
            proxy_protocol: ProxyProtocol::Off,
            proxy_protocol_from: Vec::new(),
        }],
        telegram: TelegramSettings {
            mode: Mode::Direct,
            dc,
            connect_timeout: minute,
            answer_timeout: minute,
            ..TelegramSettings::default()
        },
        cover: Cover {
            target: Some(CoverTarget::HostPort(CoverHost {
                host: cover.ip().to_string(),
                port: cover.port(),
            })),
            connect_timeout: minute,
            proxy_protocol: None,
            learn: false,
            latency: true,
        },
        handshake: Handshake {
            timeout: minute,
            clock_skew_past: minute * 10,
            clock_skew_future: minute * 20,
        },
        relay: Relay { idle_timeout: minute, ..Relay::default() },
        limits: Limits::default(),
        // It leaves nothing behind.
        replay: Replay { persist: false, ..Replay::default() },
        sni_secrets: SniSecrets::default(),
        policies: Vec::new(),
        tables: BTreeMap::new(),
        log: Log {
            levels: Levels::all(LevelFilter::ERROR),
            format: LogFormat::Text,
            file: None,
            mask_addresses: true,
        },
        admin: Admin::OFF,
    })
}
