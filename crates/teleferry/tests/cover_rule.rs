//! One rule: a connection is proven to be a client's, or it is the cover site's visitor, and the site alone decides what
//! that sees and when.

mod common;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use common::{Proxy, key, settings, soon, telegram};
use socket2::SockRef;
use teleferry::config::{CoverHost, CoverTarget, Protocols};
use teleferry::server::{Server, StartError};
use teleferry_proto::accept::Stranger;
use teleferry_proto::haproxy::{Ends, Scan, Told, Version, scan};
use teleferry_sim::client::{Opening, Options, Protocol};
use teleferry_sim::cover::{Act, CoverSite, End};
use teleferry_sim::telegram::Telegram;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

fn host(host: &str, port: u16) -> CoverHost {
    CoverHost { host: host.to_owned(), port }
}

/// A server for fake TLS alone, in front of a site.
fn covered(telegram: &Telegram, site: &CoverSite) -> Proxy {
    let mut snapshot = settings(telegram);
    snapshot.listeners[0].protocols = Protocols::TLS;
    let address = site.address();
    snapshot.cover.target = Some(CoverTarget::HostPort(host(&address.ip().to_string(), address.port())));
    Proxy::start(snapshot)
}

/// Two sites, `127.0.0.1` and `localhost`, that say "one" and "two", and a proxy whose visitors choose by name.
async fn two_sites(telegram: &Telegram) -> (CoverSite, CoverSite, Proxy) {
    let script = |text: &[u8]| vec![Act::AwaitEnd, Act::Send(text.to_vec()), Act::HalfClose];
    let (one, two) = (site(script(b"one")).await, site(script(b"two")).await);
    let mut snapshot = settings(telegram);
    snapshot.listeners[0].protocols = Protocols::TLS;
    // Addresses in place of names need no resolver. (A configuration file allows names only.)
    snapshot.cover.target = Some(CoverTarget::Sni(vec![
        host("127.0.0.1", one.address().port()),
        host("localhost", two.address().port()),
    ]));
    (one, two, Proxy::start(snapshot))
}

async fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.expect("connect");
    stream.set_nodelay(true).expect("option");
    stream
}

async fn site(script: Vec<Act>) -> CoverSite {
    CoverSite::start(script).await.expect("loopback has room")
}

fn hello() -> Opening {
    Opening::new(&Options::new(Protocol::FakeTls, Some(key())))
}

/// F-04: who says nothing hears what the site says to those who say nothing.
#[tokio::test]
async fn f_04_who_says_nothing_is_at_the_site() {
    let telegram = telegram();
    let site = site(vec![Act::Send(b"220 ready".to_vec()), Act::Close]).await;
    let proxy = covered(&telegram, &site);
    let mut stream = connect(proxy.address).await;
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.expect("an orderly end");
    assert_eq!(answer, b"220 ready");
    drop(stream);
    let counts = proxy.closed(&[("cover:closed", 1)]).await;
    assert_eq!(counts.strangers, [(Stranger::HandshakeTimeout.label(), 1)].into());
}

/// F-04: so is who stops in the middle of a hello; the site has got the half, and ends it when it likes.
#[tokio::test]
async fn f_04_half_a_hello_is_at_the_site() {
    let telegram = telegram();
    let site =
        site(vec![Act::Await(400), Act::Send(b"\x15\x03\x03\x00\x02\x01\x00".to_vec()), Act::Close]).await;
    let proxy = covered(&telegram, &site);
    let mut stream = connect(proxy.address).await;
    let half = hello().first_bytes()[..400].to_vec();
    stream.write_all(&half).await.expect("sent");
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.expect("an orderly end");
    assert_eq!(answer, b"\x15\x03\x03\x00\x02\x01\x00");
    assert_eq!(soon(site.wait_until(|visits| !visits.is_empty())).await[0].received, half);
}

/// A slow client is a client: the site has got what came before, never what proves it, and is left without a word.
#[tokio::test]
async fn a_client_that_hesitates_is_answered_by_us() {
    let telegram = telegram();
    let site = site(vec![]).await;
    let proxy = covered(&telegram, &site);
    let opening = hello();
    let bytes = opening.first_bytes().to_vec();
    let mut stream = connect(proxy.address).await;
    for (from, to) in [(0, 3), (3, 700), (700, bytes.len() - 1)] {
        stream.write_all(&bytes[from..to]).await.expect("sent");
        soon(site.wait_until(|visits| visits.first().is_some_and(|visit| visit.total == to as u64))).await;
    }
    stream.write_all(&bytes[bytes.len() - 1..]).await.expect("sent");
    let mut client = soon(opening.finish(stream)).await.expect("let in");
    soon(client.echo(vec![1; 100])).await.expect("echo");
    let visit = soon(site.ended(0)).await;
    assert_eq!((visit.received, visit.end), (bytes[..bytes.len() - 1].to_vec(), Some(End::Fin)));
    let counts = proxy.counts();
    assert_eq!((counts.strangers.len(), counts.clients.len()), (0, 1));
    assert_eq!(counts.from_visitor, 0, "it was no visitor");
}

/// Once the site has answered, the connection is its visitor's, whatever is proven later.
#[tokio::test]
async fn who_was_answered_by_the_site_stays_there() {
    let telegram = telegram();
    let site = site(vec![Act::Await(10), Act::Send(b"first".to_vec()), Act::AwaitEnd, Act::HalfClose]).await;
    let proxy = covered(&telegram, &site);
    let bytes = hello().first_bytes().to_vec();
    let mut stream = connect(proxy.address).await;
    stream.write_all(&bytes[..10]).await.expect("sent");
    let mut first = [0; 5];
    soon(stream.read_exact(&mut first)).await.expect("the site answers");
    assert_eq!(&first, b"first");
    stream.write_all(&bytes[10..]).await.expect("sent");
    stream.shutdown().await.expect("FIN");
    let mut rest = Vec::new();
    soon(stream.read_to_end(&mut rest)).await.expect("an orderly end");
    assert!(rest.is_empty(), "two answers: {} bytes", rest.len());
    assert_eq!(soon(site.ended(0)).await.received, bytes);
}

/// The handshake time is for clients: a visitor is at the site before it and after it.
#[tokio::test]
async fn the_handshake_time_ends_no_visit() {
    let telegram = telegram();
    let site = site(vec![Act::Await(4), Act::Send(b"late".to_vec()), Act::Close]).await;
    let mut snapshot = settings(&telegram);
    snapshot.handshake.timeout = Duration::from_millis(300);
    let address = site.address();
    snapshot.cover.target = Some(CoverTarget::HostPort(host("127.0.0.1", address.port())));
    let proxy = Proxy::start(snapshot);
    let mut stream = connect(proxy.address).await;
    stream.write_all(&[0x16, 3, 1]).await.expect("sent");
    // It is over when the connection counts as a stranger's.
    proxy.counted(|counts| counts.strangers.get(Stranger::HandshakeTimeout.label()) == Some(&1)).await;
    assert_eq!(proxy.counts().open, 1);
    stream.write_all(&[0]).await.expect("sent");
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.expect("an orderly end");
    assert_eq!(answer, b"late");
}

/// R4: a reset by the site is a reset to the visitor, behind what the site said before.
#[tokio::test]
async fn a_reset_by_the_site_is_passed_on() {
    let telegram = telegram();
    let site = site(vec![Act::Await(1), Act::Send(b"bye".to_vec()), Act::Await(2), Act::Reset]).await;
    let proxy = covered(&telegram, &site);
    let mut stream = connect(proxy.address).await;
    stream.write_all(b"G").await.expect("sent");
    let mut answer = [0; 3];
    soon(stream.read_exact(&mut answer)).await.expect("the site answers");
    stream.write_all(b"E").await.expect("sent");
    let end = soon(stream.read(&mut answer)).await.map_err(|error| error.kind());
    assert_eq!(end, Err(ErrorKind::ConnectionReset));
    proxy.closed(&[("cover:reset", 1)]).await;
}

/// R4: who sends to a site that has closed is reset by it, as without us.
#[tokio::test]
async fn a_reset_in_answer_to_more_bytes_is_passed_on() {
    let telegram = telegram();
    let site = site(vec![Act::Await(1), Act::Send(b"bye".to_vec()), Act::Close]).await;
    let proxy = covered(&telegram, &site);
    let mut stream = connect(proxy.address).await;
    stream.write_all(b"G").await.expect("sent");
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.expect("an orderly end");
    assert_eq!(answer, b"bye");
    // The first write reaches a socket that is gone; what comes back ends the connection.
    stream.write_all(b"ET /").await.expect("sent");
    proxy.closed(&[("cover:closed", 1)]).await;
    let kind = soon(async {
        loop {
            if let Err(error) = stream.write_all(b"x").await {
                break error.kind();
            }
            tokio::task::yield_now().await;
        }
    });
    assert!(matches!(kind.await, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe));
}

/// R4: a reset by the visitor is a reset to the site.
#[tokio::test]
async fn a_reset_by_the_visitor_is_passed_on() {
    let telegram = telegram();
    let site = site(vec![Act::Await(3), Act::Send(b"so?".to_vec())]).await;
    let proxy = covered(&telegram, &site);
    let mut stream = connect(proxy.address).await;
    stream.write_all(b"GET").await.expect("sent");
    let mut answer = [0; 3];
    soon(stream.read_exact(&mut answer)).await.expect("the site answers");
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("option");
    drop(stream);
    let visit = soon(site.ended(0)).await;
    assert_eq!((visit.received.as_slice(), visit.end), (b"GET".as_slice(), Some(End::Reset)));
    proxy.closed(&[("client:reset", 1)]).await;
}

/// R4: the site ends its direction, the visitor goes on in the other.
#[tokio::test]
async fn an_end_by_the_site_ends_its_direction_alone() {
    let telegram = telegram();
    let site = site(vec![Act::Await(1), Act::HalfClose]).await;
    let proxy = covered(&telegram, &site);
    let mut stream = connect(proxy.address).await;
    stream.write_all(b"P").await.expect("sent");
    assert_eq!(soon(stream.read(&mut [0; 9])).await.expect("an orderly end"), 0);
    stream.write_all(b"OST").await.expect("sent");
    stream.shutdown().await.expect("FIN");
    let visit = soon(site.ended(0)).await;
    assert_eq!((visit.received.as_slice(), visit.end), (b"POST".as_slice(), Some(End::Fin)));
    proxy.closed(&[("cover:closed", 1)]).await;
}

/// R1: a proven hello that asks for another name than the links do, or for none, is answered by the site; in another case it
/// is the same name, and the records that a hello is split over do not matter.
#[tokio::test]
async fn a_hello_for_another_name_is_at_the_site() {
    let telegram = telegram();
    let site = site(vec![Act::AwaitEnd, Act::Send(b"site".to_vec()), Act::HalfClose]).await;
    let proxy = covered(&telegram, &site);
    let named = |name: &str| {
        let mut options = Options::new(Protocol::FakeTls, Some(key()));
        name.clone_into(&mut options.domain);
        Opening::new(&options)
    };
    for (index, name) in ["", "example.com", "www.example.com.", "www.example.org"].into_iter().enumerate() {
        let bytes = named(name).first_bytes().to_vec();
        let mut stream = connect(proxy.address).await;
        stream.write_all(&bytes).await.expect("sent");
        stream.shutdown().await.expect("FIN");
        let mut answer = Vec::new();
        soon(stream.read_to_end(&mut answer)).await.expect("an orderly end");
        assert_eq!(answer, b"site", "{name:?}");
        assert_eq!(soon(site.ended(index)).await.received, bytes, "{name:?}");
    }
    let counts = proxy.counted(|counts| counts.strangers.values().sum::<u64>() == 4).await;
    // An empty name is none that a hello may carry.
    let expected = [(Stranger::TlsMalformed.label(), 1), (Stranger::TlsSni.label(), 3)];
    assert_eq!(counts.strangers, expected.into());
    let opening = named("WWW.Example.COM");
    let mut stream = connect(proxy.address).await;
    stream.write_all(opening.first_bytes()).await.expect("sent");
    let mut client = soon(opening.finish(stream)).await.expect("let in");
    soon(client.echo(vec![1; 100])).await.expect("echo");
}

/// The site is told whose connection it is, in front of everything, whenever it was called.
#[tokio::test]
async fn the_site_can_be_told_whose_connection_it_is() {
    let telegram = telegram();
    for version in [Version::V1, Version::V2] {
        let site = site(vec![Act::AwaitEnd, Act::HalfClose]).await;
        let mut snapshot = settings(&telegram);
        snapshot.listeners[0].protocols = Protocols::TLS;
        snapshot.cover.target = Some(CoverTarget::HostPort(host("127.0.0.1", site.address().port())));
        snapshot.cover.proxy_protocol = Some(version);
        let proxy = Proxy::start(snapshot);
        // Taken there at once, after the first half of a hello, and when nothing has come.
        let hello = hello().first_bytes().to_vec();
        for (index, bytes) in [b"GET /".as_slice(), &hello[..400], b""].into_iter().enumerate() {
            let mut stream = connect(proxy.address).await;
            stream.write_all(bytes).await.expect("sent");
            if index > 0 {
                soon(site.wait_until(|visits| visits.get(index).is_some_and(|visit| visit.total > 0))).await;
            }
            let source = stream.local_addr().expect("address");
            stream.shutdown().await.expect("FIN");
            let received = soon(site.ended(index)).await.received;
            let expected = Told::Ends(Ends { source, destination: proxy.address });
            let Scan::Whole { told, len } = scan(&received) else { panic!("{received:?}") };
            assert_eq!((told, &received[len..]), (expected, bytes), "{version:?} {index}");
        }
    }
}

/// F-24: names are a choice among the listed sites; nobody is connected to who is not listed.
#[tokio::test]
async fn f_24_only_listed_names_are_connected_to() {
    let telegram = telegram();
    let (_one, _two, proxy) = two_sites(&telegram).await;
    let named = |name: &str| {
        let mut options = Options::new(Protocol::FakeTls, Some(common::wrong_key()));
        name.clone_into(&mut options.domain);
        Opening::new(&options).first_bytes().to_vec()
    };
    let ask = async |bytes: Vec<u8>| {
        let mut stream = connect(proxy.address).await;
        stream.write_all(&bytes).await.expect("sent");
        stream.shutdown().await.expect("FIN");
        let mut answer = Vec::new();
        soon(stream.read_to_end(&mut answer)).await.expect("an orderly end");
        String::from_utf8(answer).expect("text")
    };
    // The name is looked up beside.
    while ask(named("localhost")).await.is_empty() {}
    for (bytes, expected) in [
        (named("localhost"), "two"),
        (named("LocalHost"), "two"),
        (named("127.0.0.1"), "one"),
        (named("nobody.example"), "one"),
        (b"GET / HTTP/1.0\r\n\r\n".to_vec(), "one"),
        (vec![0x16, 3, 1], "one"),
    ] {
        assert_eq!(ask(bytes).await, expected);
    }
}

/// F-24: the plain loop is refused before anything is served.
#[tokio::test]
async fn f_24_a_site_that_is_this_server_is_refused() {
    let telegram = telegram();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has room");
    let port = free.local_addr().expect("address").port();
    drop(free);
    let mut snapshot = settings(&telegram);
    snapshot.listeners[0].addresses =
        vec![teleferry::config::listen_address(&format!("0.0.0.0:{port}")).expect("an address")];
    snapshot.cover.target = Some(CoverTarget::HostPort(host("127.0.0.1", port)));
    let error = Server::start(Arc::new(snapshot)).expect_err("refused");
    assert!(matches!(&error, StartError::CoverLoop(_)), "{error}");
    assert!(error.to_string().contains("leads back to this server"), "{error}");
}

/// F-24: a name that leads back is not connected to either.
#[tokio::test]
async fn f_24_a_name_that_leads_back_is_not_connected_to() {
    let telegram = telegram();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has room");
    let port = free.local_addr().expect("address").port();
    drop(free);
    let mut snapshot = settings(&telegram);
    snapshot.listeners[0].addresses =
        vec![teleferry::config::listen_address(&format!("[::]:{port}")).expect("an address")];
    snapshot.cover.target = Some(CoverTarget::HostPort(host("localhost", port)));
    let proxy = Proxy::start(snapshot);
    for _ in 0..20 {
        let mut stream = connect(([127, 0, 0, 1], port).into()).await;
        stream.write_all(&[0xff; 100]).await.expect("sent");
        let mut answer = Vec::new();
        soon(stream.read_to_end(&mut answer)).await.expect("an orderly end");
        assert!(answer.is_empty());
    }
    let counts = proxy.counted(|counts| counts.open == 0).await;
    assert_eq!(counts.accepted, 20, "no visitor came round");
}

/// a hello that proves nothing, or breaks its bounds, is the site's; without one it is told nothing, not even an
/// alert.
#[tokio::test]
async fn a_15_a_21_no_word_of_ours_with_or_without_a_site() {
    let telegram = telegram();
    let alert = b"\x15\x03\x03\x00\x02\x02\x32";
    let site = site(vec![Act::AwaitEnd, Act::Send(alert.to_vec()), Act::HalfClose]).await;
    let wrong =
        Opening::new(&Options::new(Protocol::FakeTls, Some(common::wrong_key()))).first_bytes().to_vec();
    // 512 bytes whose extensions have no length, with bytes behind them.
    let mut malformed = vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    malformed.extend([7; 32]);
    malformed.extend([0, 0, 2, 0x13, 1, 1, 0, 0, 0]);
    malformed.resize(5 + 512, 0xee);
    let covered = covered(&telegram, &site);
    let bare = Proxy::start(settings(&telegram));
    for (index, bytes) in [wrong, malformed].into_iter().enumerate() {
        for (proxy, expected) in [(&covered, alert.as_slice()), (&bare, b"")] {
            let mut stream = connect(proxy.address).await;
            stream.write_all(&bytes).await.expect("sent");
            stream.shutdown().await.expect("FIN");
            let mut answer = Vec::new();
            soon(stream.read_to_end(&mut answer)).await.expect("an orderly end");
            assert_eq!(answer, expected, "{index}");
        }
        assert_eq!(soon(site.ended(index)).await.received, bytes);
    }
    for proxy in [&covered, &bare] {
        proxy.counted(|counts| counts.strangers.values().sum::<u64>() == 2).await;
        assert!(proxy.counts().clients.is_empty());
    }
}

/// With several sites only the name in the hello tells where a visitor goes. As at other servers that look at names, nobody
/// is called before it is known.
#[tokio::test]
async fn half_a_hello_is_at_none_of_several_sites() {
    let telegram = telegram();
    let (one, two, proxy) = two_sites(&telegram).await;
    let mut options = Options::new(Protocol::FakeTls, Some(common::wrong_key()));
    "localhost".clone_into(&mut options.domain);
    let bytes = Opening::new(&options).first_bytes().to_vec();
    let mut stream = connect(proxy.address).await;
    stream.write_all(&bytes[..400]).await.expect("sent");
    // So long that a single site would have been called: that of these, who come later one after the other, is.
    let other = site(vec![Act::AwaitEnd, Act::HalfClose]).await;
    let waiting = covered(&telegram, &other);
    for visits in 1..=2 {
        let _silent = connect(waiting.address).await;
        soon(other.wait_until(|seen| seen.len() == visits)).await;
    }
    assert!(one.visits().is_empty() && two.visits().is_empty());
    stream.write_all(&bytes[400..]).await.expect("sent");
    stream.shutdown().await.expect("FIN");
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.expect("an orderly end");
    assert_eq!(answer, b"two");
    assert_eq!(soon(two.ended(0)).await.received, bytes);
    assert!(one.visits().is_empty());
}
