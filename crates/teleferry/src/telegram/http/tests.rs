//! Good and bad servers.

use std::process::Command;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// What a server does once it has read a request.
#[derive(Clone, Copy)]
enum Behaviour {
    /// Writes this and closes.
    Answer(&'static [u8]),
    /// Writes this and keeps the connection; from then on nothing but time passes.
    Hang(&'static [u8]),
}

/// Serves one connection on loopback; gives where, and later what was asked.
async fn serve(
    behaviour: Behaviour,
    tls: Option<ServerConfig>,
) -> (SocketAddr, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has room");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        match tls {
            None => talk(stream, behaviour).await,
            Some(tls) => match TlsAcceptor::from(Arc::new(tls)).accept(stream).await {
                Ok(stream) => talk(stream, behaviour).await,
                // A client that does not trust us.
                Err(_) => String::new(),
            },
        }
    });
    (address, serving)
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, behaviour: Behaviour) -> String {
    let mut asked = Vec::new();
    // Whoever begins with a TLS record wants another kind of server.
    while !asked.ends_with(b"\r\n\r\n")
        && !asked.starts_with(&[0x16])
        && stream.read_buf(&mut asked).await.expect("readable") > 0
    {}
    let asked = String::from_utf8_lossy(&asked).into_owned();
    let (Behaviour::Answer(bytes) | Behaviour::Hang(bytes)) = behaviour;
    // A client may hang up in the middle of too long an answer.
    let _ = stream.write_all(bytes).await;
    if matches!(behaviour, Behaviour::Hang(_)) {
        // Virtual time flies as soon as everybody waits.
        tokio::time::pause();
        std::future::pending::<()>().await;
    }
    let _ = stream.shutdown().await;
    asked
}

fn http(roots: RootCertStore) -> Http {
    let minute = Duration::from_mins(1);
    Http { roots: Box::new(move || roots.clone()), connect_timeout: minute, timeout: minute }
}

async fn get(url: String, roots: RootCertStore) -> Result<Fetched, FetchError> {
    http(roots).get(&url.parse().expect("a URL"), LIMIT, None).await
}

const LIMIT: usize = 100;

#[tokio::test]
async fn what_is_there_is_fetched() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\na\0b\r\n"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na\0\r\n3\r\nb\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\na\0b\r\n",
    ] {
        let (address, serving) = serve(Behaviour::Answer(answer), None).await;
        let fetched =
            get(format!("http://{address}/a/b?c=d"), RootCertStore::empty()).await.expect("fetched");
        assert_eq!(fetched, Fetched { body: b"a\0b\r\n".to_vec(), clock_offset: None });
        let asked = serving.await.expect("served").to_lowercase();
        assert!(asked.starts_with("get /a/b?c=d http/1.1\r\n"), "{asked}");
        assert!(asked.contains(&format!("\r\nhost: {address}\r\n")), "{asked}");
        assert!(asked.contains("\r\nuser-agent: teleferry/"), "{asked}");
    }
}

#[tokio::test]
async fn the_servers_time_is_compared() {
    let answer = b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n";
    let (address, _serving) = serve(Behaviour::Answer(answer), None).await;
    let fetched = get(format!("http://{address}"), RootCertStore::empty()).await.expect("fetched");
    let now = clock::unix_time() as i64;
    let ahead = fetched.clock_offset.expect("compared");
    assert!((now - 784_111_777 - ahead).abs() <= 60, "{ahead}");
    assert_eq!(clock_offset("yesterday"), None);
}

#[tokio::test]
async fn a_bad_answer_is_an_error_and_says_which() {
    const FLOOD: &[u8] = &[b'a'; 200 << 10];
    for (answer, expected) in [
        (&b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"[..], "refuses with status 404"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n", "leads elsewhere (status 302)"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "status 204"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "answer is broken"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "answer is broken"),
        (b"HTTP/1.1 200 OK\r\nContent-Len", "answer is broken"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "answer is broken"),
        (b"", "answer is broken"),
        (FLOOD, "answer is broken"),
    ] {
        let (address, _serving) = serve(Behaviour::Answer(answer), None).await;
        let told =
            get(format!("http://{address}/"), RootCertStore::empty()).await.expect_err("bad").to_string();
        assert!(told.contains(expected), "{told} is not about: {expected}");
    }
}

#[tokio::test]
async fn no_more_is_read_than_may_be() {
    const AT_LIMIT: &[u8] = b"HTTP/1.0 200 OK\r\n\r\n0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";
    for (more, declared) in [(&b""[..], "100"), (b"!", "101"), (&[b'!'; 300_000], "99999999999")] {
        let declared = format!("HTTP/1.1 200 OK\r\nContent-Length: {declared}\r\n");
        let with_length = [declared.as_bytes(), &AT_LIMIT[b"HTTP/1.0 200 OK\r\n".len()..], more].concat();
        for answer in [with_length, [AT_LIMIT, more].concat()] {
            let (address, _serving) = serve(Behaviour::Answer(answer.leak()), None).await;
            let fetched = get(format!("http://{address}/"), RootCertStore::empty()).await;
            match fetched {
                Ok(fetched) => assert_eq!((fetched.body.len(), more.len()), (LIMIT, 0)),
                Err(error) => {
                    assert!(!more.is_empty() && matches!(error, FetchError::TooLong(LIMIT)), "{error}")
                }
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    for so_far in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"] {
        let (address, serving) = serve(Behaviour::Hang(so_far), None).await;
        let error = get(format!("http://{address}/"), RootCertStore::empty()).await.expect_err("nothing");
        assert_eq!(error.to_string(), "the server did not answer within 60s");
        serving.abort();
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told() {
    let held = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    held.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("bound");
    let address = held.local_addr().expect("an address").as_socket().expect("of IP");
    let refused =
        get(format!("http://{address}/"), RootCertStore::empty()).await.expect_err("nobody listens");
    assert!(matches!(refused, FetchError::Connect(_)), "{refused}");
    let url = format!("http://{address}/").parse().expect("a URL");
    let other =
        http(RootCertStore::empty()).get(&url, LIMIT, Some(Family::V6)).await.expect_err("IPv4 alone");
    assert_eq!(other.to_string(), "the server's name cannot be looked up: it has no IPv6 address");
}

/// An authority that can vouch for servers.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}

fn roots_of(authority: &CertifiedIssuer<'_, KeyPair>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).expect("a root");
    roots
}

/// A server's side with a certificate for a name or address.
fn server(authority: &CertifiedIssuer<'_, KeyPair>, name: &str, until: i32) -> ServerConfig {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().expect("a key");
    let certificate: CertificateDer<'static> =
        params.signed_by(&key, authority).expect("a certificate").der().clone();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .expect("a server")
}

const HELLO: Behaviour = Behaviour::Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");

#[tokio::test]
async fn a_certificate_has_to_be_right() {
    let [ours, other] = [authority(), authority()];
    for (config, trusted) in [
        (server(&ours, "127.0.0.1", 2100), true),
        (server(&ours, "127.0.0.2", 2100), false),
        (server(&ours, "www.example.com", 2100), false),
        (server(&ours, "127.0.0.1", 2001), false),
        (server(&other, "127.0.0.1", 2100), false),
    ] {
        let (address, _serving) = serve(HELLO, Some(config)).await;
        match get(format!("https://{address}/"), roots_of(&ours)).await {
            Ok(fetched) => assert!(trusted && fetched.body == b"hello"),
            Err(error) => assert!(!trusted && matches!(error, FetchError::Tls(_)), "{error}"),
        }
    }
    let (address, _serving) = serve(HELLO, None).await;
    let plain = get(format!("https://{address}/"), roots_of(&ours)).await.expect_err("no TLS there");
    assert!(matches!(plain, FetchError::Tls(_)), "{plain}");
}

/// Set for the process in which a test runs once more, with another environment.
const URL_TO_TRY: &str = "TELEFERRY_TEST_URL";

/// The environment of a process cannot be changed safely while it runs, so the test starts itself again.
#[tokio::test]
async fn ssl_cert_file_says_whom_to_trust() {
    if let Ok(url) = std::env::var(URL_TO_TRY) {
        let body = get(url, trust::roots()).await.expect("trusted").body;
        return assert_eq!(body, b"hello");
    }
    let [ours, other] = [authority(), authority()];
    let directory = tempfile::tempdir().expect("a directory");
    for (vouched_by, trusted) in [(&ours, true), (&other, false)] {
        let file = directory.path().join("roots.pem");
        std::fs::write(&file, vouched_by.pem()).expect("written");
        let (address, _serving) = serve(HELLO, Some(server(&ours, "127.0.0.1", 2100))).await;
        let mut again = Command::new(std::env::current_exe().expect("this program"));
        again
            .args(["--exact", "telegram::http::tests::ssl_cert_file_says_whom_to_trust", "--nocapture"])
            .env("SSL_CERT_FILE", &file)
            .env_remove("SSL_CERT_DIR")
            .env(URL_TO_TRY, format!("https://{address}/"));
        let done = tokio::task::spawn_blocking(move || again.output().expect("it runs")).await.expect("done");
        let told = String::from_utf8_lossy(&done.stdout).into_owned();
        assert_eq!(done.status.success(), trusted, "{told}");
        assert!(told.contains("running 1 test"), "{told}");
    }
}

#[test]
fn without_a_store_built_in_roots_count() {
    if std::env::var_os(URL_TO_TRY).is_some() {
        return assert_eq!(trust::roots().len(), webpki_roots::TLS_SERVER_ROOTS.len());
    }
    let done = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "telegram::http::tests::without_a_store_built_in_roots_count"])
        .env("SSL_CERT_FILE", "/dev/null")
        .env_remove("SSL_CERT_DIR")
        .env(URL_TO_TRY, "")
        .output()
        .expect("it runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}
