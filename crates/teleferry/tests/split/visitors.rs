//! Those who come to a back and are no front.

use std::sync::Arc;

use rcgen::ExtendedKeyUsagePurpose;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use teleferry_sim::client::Protocol;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::stage::{Authority, Half, Mode, Stage, front_settings, sum};
use crate::common::soon;
use crate::support::Place;

/// How somebody speaks TLS who believes the stage's authority, with a certificate of another one or none.
pub(super) fn tls(stage: &Stage, own: Option<(String, String)>, alpn: &[&[u8]]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(stage.authority.pem.as_bytes()).expect("PEM")).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM"),
            )
            .expect("a pair"),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

pub(super) async fn connect(back: &Half, tls: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(back.address).await.expect("it listens");
    soon(tls.connect(ServerName::try_from("back.example.net").expect("a name"), stream)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitor_meets_a_web_server() {
    let stage = Stage::new(Mode::Direct);
    let back = stage.back();
    let mut stream = connect(&back, &tls(&stage, None, &[b"http/1.1"])).await.expect("TLS");
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: back.example.net\r\nConnection: close\r\n\r\n")
        .await
        .expect("sent");
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.expect("an answer");
    assert!(
        answer.starts_with("HTTP/1.1 404 Not Found\r\n") && answer.contains("404 Not Found</h1>"),
        "{answer}"
    );

    let stream = connect(&back, &tls(&stage, None, &[b"h2"])).await.expect("TLS");
    let (mut requests, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    // The very request of a front, from somebody who is none.
    let request = http::Request::post("https://back.example.net/sync.v1.Replica/Stream")
        .header("content-type", "application/grpc")
        .body(())
        .expect("a request");
    let (response, _) = requests.send_request(request, true).expect("sent");
    let response = soon(response).await.expect("an answer");
    assert_eq!(response.status(), 404);
    assert!(response.headers().get("grpc-status").is_none());
    let page = soon(response.into_body().data()).await.expect("a page").expect("whole");
    assert!(page.starts_with(b"<html>"));
    assert_eq!(sum(&back.status(), "calls"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_certificate_is_refused_and_counted() {
    let stage = Stage::new(Mode::Direct);
    let back = stage.back();
    let stranger = Authority::new().issue("front-1", ExtendedKeyUsagePurpose::ClientAuth);
    let mut stream = connect(&back, &tls(&stage, Some(stranger), &[b"h2"])).await.expect("our side of it");
    soon(stream.read(&mut [0; 64])).await.expect_err("it was refused");
    back.until(|status| sum(status, "failed") == 1).await;
}

/// A token in place of a certificate, as behind a CDN that does not pass certificates on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_will_do() {
    let stage = Stage::new(Mode::Direct);
    let token = |place: &Place, token: &str| place.write("token", token);
    let at_back = Place::new();
    token(&at_back, "one-and-the-same-token");
    let back = stage.back_at(at_back, "127.0.0.1:0", "token_file = \"token\"\n");
    let front = |text| {
        let place = Place::new();
        token(&place, text);
        place.write("ca.pem", &stage.authority.pem);
        let more = "token_file = \"token\"\n[role.tls]\nca = \"ca.pem\"\n";
        Half::start(place, &front_settings(&[back.address], more))
    };
    let known = front("one-and-the-same-token");
    let mut client = known.client(Protocol::FakeTls).await;
    soon(client.echo(vec![1; 64])).await.expect("echo");

    let unknown = front("another-token-altogether");
    let mut client = unknown.client(Protocol::FakeTls).await;
    soon(client.echo(vec![1; 64])).await.expect_err("nobody's front");
    back.until(|status| sum(status, "refused") == 1).await;
    let said = unknown.until(|status| sum(status, "refused") > 0).await;
    for status in [back.status(), said] {
        let refusals = status["peers"].as_array().expect("peers").iter().map(|peer| &peer["refusals"]);
        let causes: Vec<_> = refusals.filter_map(|all| all.as_object()).flat_map(|all| all.keys()).collect();
        assert_eq!(causes, ["stranger"], "{status:#}");
    }
}
