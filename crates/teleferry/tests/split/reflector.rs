//! A back of another make: it sends every frame back to the client, and ends connections as backs and what stands before them do.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use rcgen::ExtendedKeyUsagePurpose;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use teleferry_proto::call::{HEADROOM, Piece, Reader, VERSION, Version, Welcome, field, note, seal};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::stage::Stage;

/// How connections end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Going {
    /// They stay.
    Not,
    /// They take no new calls; those that there are go on.
    InOrder,
    /// At once, with all their calls.
    AtOnce,
}

/// A running one, until it is dropped.
pub(super) struct Reflector {
    pub(super) address: SocketAddr,
    going: watch::Sender<Going>,
    connections: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

impl Reflector {
    /// One that says that it speaks this version.
    pub(super) async fn start(stage: &Stage, version: Version) -> Self {
        let (certificate, key) = stage.authority.issue("reflector", ExtendedKeyUsagePurpose::ServerAuth);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM"),
            )
            .expect("a pair");
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let tls = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has room");
        let address = listener.local_addr().expect("an address");
        let (going, goes) = watch::channel(Going::Not);
        let (count, connections) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut hosts = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("it listens");
                count.send_modify(|count| *count += 1);
                let mut goes = goes.clone();
                // An order is for those who are there when it is given.
                goes.mark_unchanged();
                hosts.spawn(host(tls.clone(), stream, goes, version));
            }
        });
        Self { address, going, connections, _tasks: tasks }
    }

    /// All connections that there are end like this.
    pub(super) fn go(&self, going: Going) {
        self.going.send_replace(going);
    }

    /// Connections so far.
    pub(super) fn connections(&self) -> usize {
        *self.connections.borrow()
    }
}

async fn host(tls: TlsAcceptor, stream: TcpStream, mut goes: watch::Receiver<Going>, version: Version) {
    let Ok(stream) = tls.accept(stream).await else { return };
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let mut calls = JoinSet::new();
    loop {
        tokio::select! {
            call = connection.accept() => match call {
                Some(Ok((request, respond))) => drop(calls.spawn(reflect(request.into_body(), respond, version))),
                Some(Err(_)) | None => return,
            },
            Ok(()) = goes.changed() => match *goes.borrow_and_update() {
                Going::Not => {}
                Going::InOrder => connection.graceful_shutdown(),
                Going::AtOnce => connection.abrupt_shutdown(h2::Reason::NO_ERROR),
            },
        }
    }
}

/// One call. It ends when the connection does, or the front.
async fn reflect(mut body: RecvStream, mut respond: SendResponse<Bytes>, version: Version) {
    let response = http::Response::builder().header("content-type", "application/grpc").body(());
    let Ok(mut stream) = respond.send_response(response.expect("a response"), false) else { return };
    if !version.understands(VERSION) {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", 9.into());
        let sentence = format!("this back speaks {version}, and not {VERSION}");
        trailers.insert("grpc-message", sentence.try_into().expect("text"));
        let _ = stream.send_trailers(trailers);
        return;
    }
    let welcome = note(&[(field::OPEN, &Welcome { version }.encode())], &[]);
    if stream.send_data(welcome.into(), false).is_err() {
        return;
    }
    let mut reader = Reader::default();
    while let Some(Ok(chunk)) = body.data().await {
        body.flow_control().release_capacity(chunk.len()).expect("it came");
        let (mut rest, mut frames) = (&chunk[..], vec![0; HEADROOM]);
        while !rest.is_empty() {
            match reader.next(&mut rest).expect("a call") {
                Some(Piece::Data(data)) => frames.extend_from_slice(data),
                Some(Piece::Field(..) | Piece::Number(..)) | None => {}
            }
        }
        if frames.len() > HEADROOM {
            let start = seal(&mut frames, 0, |_| {});
            if stream.send_data(Bytes::from(frames).slice(start..), false).is_err() {
                return;
            }
        }
    }
}
