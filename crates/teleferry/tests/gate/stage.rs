//! A proxy in front of Telegram and of a cover site, and whoever comes from any address of this machine.

use std::net::{Ipv4Addr, SocketAddr};

use teleferry::config::{CoverHost, CoverTarget, Snapshot};
use teleferry_proto::accept::Stranger;
use teleferry_sim::client::{Client, Opening, Options, Protocol};
use teleferry_sim::cover::{Act, CoverSite};
use teleferry_sim::telegram::Telegram;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::common::{Proxy, key, settings, soon, telegram};

/// What the cover site says to everybody, once they have ended.
pub(crate) const SITE: &[u8] = b"the site";

pub(crate) struct Stage {
    pub(crate) proxy: Proxy,
    pub(crate) site: CoverSite,
    _telegram: Telegram,
}

impl Stage {
    pub(crate) async fn new(change: impl FnOnce(&mut Snapshot)) -> Self {
        let telegram = telegram();
        let script = vec![Act::AwaitEnd, Act::Send(SITE.to_vec()), Act::HalfClose];
        let site = CoverSite::start(script).await.expect("loopback has room");
        let mut snapshot = settings(&telegram);
        let address = site.address();
        let host = CoverHost { host: address.ip().to_string(), port: address.port() };
        snapshot.cover.target = Some(CoverTarget::HostPort(host));
        change(&mut snapshot);
        Self { proxy: Proxy::start(snapshot), site, _telegram: telegram }
    }

    /// A connection from 127.0.0.`host`.
    pub(crate) async fn connect_from(&self, host: u8) -> TcpStream {
        connect_from(Ipv4Addr::new(127, 0, 0, host), self.proxy.address).await
    }

    /// Sends these bytes and FIN, from 127.0.0.1; everything that comes back.
    pub(crate) async fn ask(&self, bytes: &[u8]) -> Vec<u8> {
        ask(self.connect_from(1).await, bytes).await
    }

    /// A client that comes in and is served.
    pub(crate) async fn enter(&self, options: &Options, host: u8) -> Client {
        let mut client = open(options, self.connect_from(host).await).await;
        soon(client.echo(vec![1; 64])).await.expect("served");
        client
    }

    /// A client that is shown to the site, and the site gets every byte.
    pub(crate) async fn is_visitor(&self, options: &Options, host: u8) {
        let visits = self.site.visits().len();
        let opening = Opening::new(options);
        let answer = ask(self.connect_from(host).await, opening.first_bytes()).await;
        assert_eq!(answer, SITE, "no answer but the site's");
        assert_eq!(soon(self.site.ended(visits)).await.received, opening.first_bytes());
    }

    /// Waits until exactly these strangers were counted.
    pub(crate) async fn strangers(&self, expected: &[(Stranger, u64)]) {
        let expected = expected.iter().map(|(reason, n)| (reason.label(), *n)).collect();
        self.proxy.counted(|counts| counts.strangers == expected).await;
    }

    /// Waits until rules count this many connections.
    pub(crate) async fn claims(&self, expected: usize) {
        let counting = async {
            while self.proxy.server.gate().claims != expected {
                tokio::task::yield_now().await;
            }
        };
        soon(counting).await;
    }
}

pub(crate) fn tls() -> Options {
    Options::new(Protocol::FakeTls, Some(key()))
}

pub(crate) fn tls_for(domain: &str) -> Options {
    Options { domain: domain.to_owned(), ..tls() }
}

pub(crate) fn padded() -> Options {
    Options::new(Protocol::Padded, Some(key()))
}

pub(crate) async fn connect_from(source: Ipv4Addr, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::new(source.into(), 0)).expect("all of 127.0.0.0/8 is ours");
    let stream = soon(socket.connect(address)).await.expect("connect");
    stream.set_nodelay(true).expect("option");
    stream
}

/// Opens a connection as a client does.
pub(crate) async fn open(options: &Options, mut stream: TcpStream) -> Client {
    let opening = Opening::new(options);
    stream.write_all(opening.first_bytes()).await.expect("sent");
    soon(opening.finish(stream)).await.expect("let in")
}

/// Sends these bytes and FIN; everything that comes back.
pub(crate) async fn ask(mut stream: TcpStream, bytes: &[u8]) -> Vec<u8> {
    stream.write_all(bytes).await.expect("sent");
    stream.shutdown().await.expect("FIN");
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.expect("an orderly end");
    answer
}
