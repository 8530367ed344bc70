//! Learning from genuine TLS servers of several kinds.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use teleferry_proto::fake_tls::profile::{ExtensionOrder, Group};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::config::{Cover, CoverHost, CoverTarget};
use crate::cover::own::Own;

/// Loopback needs no pauses.
const QUICK: Pace = Pace { pause: Duration::ZERO..Duration::ZERO, silence: Duration::from_millis(60) };
const NAME: &str = "www.example.com";

fn config(provider: CryptoProvider, versions: &[&'static rustls::SupportedProtocolVersion]) -> ServerConfig {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .expect("the library can do these")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("the key fits")
}

fn of_today() -> ServerConfig {
    config(aws_lc_rs::default_provider(), rustls::ALL_VERSIONS)
}

/// A web server with this TLS, until the runtime ends.
async fn site(config: ServerConfig) -> Places {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has room");
    let address = listener.local_addr().expect("address");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move { acceptor.accept(stream).await.map(drop) });
        }
    });
    places(address)
}

fn places(address: SocketAddr) -> Places {
    let host = CoverHost { host: address.ip().to_string(), port: address.port() };
    let connect_timeout = Duration::from_secs(10);
    let cover = Cover {
        target: Some(CoverTarget::HostPort(host)),
        connect_timeout,
        proxy_protocol: None,
        learn: true,
        latency: true,
    };
    Places::new(&cover, &Own::default()).expect("no loop").0
}

async fn ask(places: &Places, shape: Shape) -> Result<Observation, Verdict> {
    sample(places, NAME, shape, QUICK.silence).await.map_err(Verdict::from)
}

#[tokio::test]
async fn f_17_a_server_with_one_record_is_learned_whole() {
    let places = site(of_today()).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(ask(&places, Shape::Modern).await.expect("an answer"));
    }
    let profile = Profile::of(&seen).expect("there are some");
    assert_eq!(Verdict::of(&profile), Verdict::Like);
    assert_eq!((profile.look.cipher_suite, profile.look.extensions), (0x1301, ExtensionOrder::KeyShareFirst));
    assert!(profile.lengths.iter().all(|&(len, _)| (400..900).contains(&len)), "{profile:?}");
    assert_eq!(seen[0].group, Group::Hybrid);
    // An old app's hello offers no hybrid key.
    assert_eq!(ask(&places, Shape::Padded517).await.expect("an answer").group, Group::X25519);
}

#[tokio::test]
async fn a_server_with_several_records_is_learned_in_length() {
    let mut config = of_today();
    // Less than the flight, more than the ServerHello to a hello without a hybrid key.
    config.max_fragment_size = Some(200);
    let seen = ask(&site(config).await, Shape::Padded517).await.expect("an answer");
    let profile = Profile::of(std::slice::from_ref(&seen)).expect("there is one");
    assert_eq!(Verdict::of(&profile), Verdict::Several(seen.encrypted.len()));
    assert!(seen.encrypted.len() > 1);
    assert!(Verdict::of(&profile).advice().is_some());
}

#[tokio::test]
async fn servers_that_cannot_be_imitated_are_told_apart() {
    let old = site(config(aws_lc_rs::default_provider(), &[&rustls::version::TLS12])).await;
    let unlike = |what: &str| Err(Verdict::Unlike(what.to_owned()));
    assert_eq!(ask(&old, Shape::Modern).await, unlike("an answer of TLS 1.2 or older"));
    let provider =
        CryptoProvider { kx_groups: vec![aws_lc_rs::kx_group::SECP256R1], ..aws_lc_rs::default_provider() };
    let retry = site(config(provider, rustls::ALL_VERSIONS)).await;
    let expected = unlike("a request for another key share (HelloRetryRequest)");
    assert_eq!(ask(&retry, Shape::Modern).await, expected);

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has room");
    let web = places(listener.local_addr().expect("address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // A visitor that has gone already is no matter.
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    assert_eq!(ask(&web, Shape::Modern).await, unlike("an answer that is not TLS"));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bind");
    let dead = places(socket.local_addr().expect("address").as_socket().expect("ip"));
    let verdict = ask(&dead, Shape::Modern).await.expect_err("nobody is there");
    assert!(matches!(&verdict, Verdict::Unreachable(what) if what.contains("refused")), "{verdict}");
}

/// A whole round: the profile is made known early and kept at the end.
#[tokio::test]
async fn a_round_makes_the_profile_known_and_keeps_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let places = site(of_today()).await;
    let (known, mut profiles) = watch::channel(Arc::default());
    let store = || Store::new(directory.path().to_owned(), "a:443".to_owned());
    let names = vec![HostName::new(NAME).expect("a name")];
    let learner = Learner { places, names, store: store(), known, pace: QUICK };
    let verdict = learner.learn().await;
    assert_eq!(verdict, Verdict::Like);
    let made = Arc::clone(&profiles.borrow_and_update());
    let lengths = &made.of(NAME, true).expect("it is known").lengths;
    assert_eq!(lengths.iter().map(|&(_, times)| times).sum::<u32>(), SAMPLES as u32);
    assert!(made.of(NAME, false).is_some());
    let (kept, latencies) = store().load();
    assert_eq!(kept, *made);
    // Of each shape the whole time and that behind the call; every answer was timed.
    assert_eq!(latencies.iter().map(Vec::len).collect::<Vec<_>>(), [SAMPLES; 4]);
}
