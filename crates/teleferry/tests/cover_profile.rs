//! F-17: what a client is answered is what the cover site answers, in everything that an observer can see.

mod common;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::agreement::{PrivateKey, X25519};
use aws_lc_rs::rand;
use common::{Proxy, key, settings, soon, telegram};
use rustls::ServerConfig;
use rustls::crypto;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use teleferry::config::{CoverHost, CoverTarget};
use teleferry_proto::fake_tls::greeting::{Shape, greet};
use teleferry_proto::fake_tls::profile::{Observation, observe};
use teleferry_sim::client::{Opening, Options, Protocol};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A genuine HTTPS server.
async fn site() -> SocketAddr {
    let made = rcgen::generate_simple_self_signed([common::DOMAIN.to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the library's own")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("the key fits");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has room");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move { acceptor.accept(stream).await.map(drop) });
        }
    });
    address
}

/// A client's hello with a genuine key: a genuine server looks at it.
fn hello() -> Vec<u8> {
    let mine = PrivateKey::generate(&X25519).expect("a key");
    let public = mine.compute_public_key().expect("a key");
    let now = teleferry::clock::unix_time();
    let mut seed = [0; 32];
    rand::fill(&mut seed).expect("random bytes");
    let public = public.as_ref().try_into().expect("32 bytes");
    greet(Shape::Modern, &key(), common::DOMAIN, now as u32, &seed, public).wire
}

/// What somebody on the way sees of the answer to a client's hello, sent there.
async fn capture(address: SocketAddr) -> Observation {
    let mut stream = TcpStream::connect(address).await.expect("connect");
    stream.write_all(&hello()).await.expect("sent");
    let mut flight = Vec::new();
    loop {
        // Both send their flight in one go: once it is whole, it is all.
        assert_ne!(soon(stream.read_buf(&mut flight)).await.expect("an answer"), 0, "{:?}", observe(&flight));
        if let Ok(seen) = observe(&flight) {
            return seen;
        }
    }
}

#[tokio::test]
async fn f_17_clients_are_answered_as_the_site_answers() {
    let telegram = telegram();
    let site = site().await;
    let directory = tempfile::tempdir().expect("a directory");
    let mut snapshot = settings(&telegram);
    snapshot.server.state_dir = directory.path().to_owned();
    snapshot.cover.target =
        Some(CoverTarget::HostPort(CoverHost { host: site.ip().to_string(), port: site.port() }));
    snapshot.cover.learn = true;
    snapshot.cover.connect_timeout = Duration::from_secs(5);
    let proxy = Proxy::start(snapshot);
    let of_site: BTreeSet<_> = {
        let mut lengths = BTreeSet::new();
        for _ in 0..40 {
            lengths.insert(capture(site).await.encrypted);
        }
        lengths
    };
    let expected = capture(site).await;
    // Until the site is learned, an ordinary server's length is drawn.
    let ours = soon(async {
        loop {
            let ours = capture(proxy.address).await;
            if of_site.contains(&ours.encrypted) {
                return ours;
            }
            tokio::task::yield_now().await;
        }
    });
    let ours = ours.await;
    assert_eq!(
        (ours.cipher_suite, ours.extensions, ours.group),
        (expected.cipher_suite, expected.extensions, expected.group)
    );
    for _ in 0..40 {
        let ours = capture(proxy.address).await;
        assert!(of_site.contains(&ours.encrypted), "{ours:?}, the site has {of_site:?}");
    }
    // And it is a client all the same.
    let mut client = proxy.client(Protocol::FakeTls).await;
    soon(client.echo(vec![1; 100])).await.expect("echo");
}

/// F-24: a loop through somebody who relays connections shows when our own question comes back; from then on visitors are
/// not sent round any more.
#[tokio::test]
async fn f_24_a_loop_through_a_relay_is_noticed() {
    let telegram = telegram();
    let relay = TcpListener::bind("127.0.0.1:0").await.expect("loopback has room");
    let address = relay.local_addr().expect("address");
    let mut snapshot = settings(&telegram);
    snapshot.listeners[0].protocols = teleferry::config::Protocols::TLS;
    snapshot.cover.target =
        Some(CoverTarget::HostPort(CoverHost { host: address.ip().to_string(), port: address.port() }));
    snapshot.cover.learn = true;
    let proxy = Proxy::start(snapshot);
    let back = proxy.address;
    tokio::spawn(async move {
        while let Ok((mut from, _)) = relay.accept().await {
            tokio::spawn(async move {
                let mut to = TcpStream::connect(back).await?;
                tokio::io::copy_bidirectional(&mut from, &mut to).await
            });
        }
    });
    proxy.counted(|counts| counts.closed.contains_key("cover:loop")).await;
    let mut visitor = TcpStream::connect(proxy.address).await.expect("connect");
    visitor.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    soon(visitor.read_to_end(&mut answer)).await.expect("an orderly end");
    assert!(answer.is_empty());
    // A client is none of the site's.
    let mut client = proxy.client(Protocol::FakeTls).await;
    soon(client.echo(vec![1; 100])).await.expect("echo");
}

/// A client's answer takes as long as the site's, as far as visitors' answers showed: its time tells nobody which is which.
#[tokio::test]
async fn a_client_is_answered_no_sooner_than_a_visitor() {
    const SLOW: Duration = Duration::from_millis(50);
    let telegram = telegram();
    // Somebody who answers hellos with as much as a flight has, and takes its time.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has room");
    let site = listener.local_addr().expect("address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut hello = vec![0; 4096];
                assert!(stream.read(&mut hello).await? > 0, "it says hello");
                tokio::time::sleep(SLOW).await;
                stream.write_all(&[22; 200]).await
            });
        }
    });
    let mut snapshot = settings(&telegram);
    snapshot.cover.target =
        Some(CoverTarget::HostPort(CoverHost { host: site.ip().to_string(), port: site.port() }));
    snapshot.cover.latency = true;
    let proxy = Proxy::start(snapshot);
    let asked = async |key| {
        let opening = Opening::new(&Options::new(Protocol::FakeTls, Some(key)));
        let mut stream = TcpStream::connect(proxy.address).await.expect("connect");
        let sent = teleferry::clock::now();
        stream.write_all(opening.first_bytes()).await.expect("sent");
        soon(stream.read_exact(&mut [0; 1])).await.expect("an answer");
        sent.elapsed()
    };
    for _ in 0..3 {
        assert!(asked(common::wrong_key()).await >= SLOW);
    }
    for _ in 0..5 {
        let took = asked(key()).await;
        assert!(took >= SLOW - Duration::from_millis(1), "{took:?}");
    }
}
