//! A prober's connection: plays a script, reads all the time, and notes how it ended.

mod capture;

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use capture::Capture;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, version};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};

use crate::clock;
use crate::failure::{Failure, Result};
use crate::script::{Script, Step, Tls};

/// How a connection ended, as the prober sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// FIN came.
    Fin,
    /// RST came.
    Reset,
    /// Still open when the window was over.
    Open,
    /// The prober ended it with RST.
    Ours,
}

/// How far a TLS session is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Session {
    /// There is none, or it goes on.
    #[default]
    Open,
    /// The other side said goodbye.
    Closed,
    /// We did. What comes after it is not decrypted.
    Left,
    /// It broke.
    Broken(String),
}

/// What came, and how it ended.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    /// The bytes on the wire.
    pub(crate) wire: Capture,
    /// The content of the TLS session, when there was one.
    pub(crate) content: Option<Capture>,
    /// How the TLS session ended, when there was one.
    pub(crate) session: Session,
    /// How it ended.
    pub(crate) end: End,
    /// From the connection to the first byte.
    pub(crate) first_byte: Option<Duration>,
    /// From the connection to its end.
    pub(crate) lasted: Duration,
}

/// Plays a script against an address.
///
/// # Errors
/// The connection cannot be made. What happens after that is what is observed.
pub(crate) async fn visit(
    address: SocketAddr,
    script: &Script,
    window: Duration,
    certificate: &CertificateDer<'static>,
) -> Result<Visit> {
    let mut visitor = Visitor::connect(address, script, certificate).await?;
    for step in &script.steps {
        if visitor.end.is_some() {
            break;
        }
        visitor.play(step).await?;
    }
    Ok(visitor.watch(window).await)
}

/// A connection that is being made use of.
pub(crate) struct Visitor {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    wire: Capture,
    content: Capture,
    session: Session,
    opened: Instant,
    first_byte: Option<Duration>,
    end: Option<(End, Duration)>,
}

impl Visitor {
    /// Connects, and begins the TLS session when there is to be one.
    pub(crate) async fn connect(
        address: SocketAddr,
        script: &Script,
        certificate: &CertificateDer<'static>,
    ) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if let Some(source) = script.source {
            socket.bind(SocketAddr::new(IpAddr::V4(source), 0))?;
        }
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        let tls = script.tls.as_ref().map(|tls| session(tls, certificate)).transpose()?;
        let mut visitor = Self {
            stream,
            tls: tls.map(Box::new),
            wire: Capture::default(),
            content: Capture::default(),
            session: Session::Open,
            opened: clock::now(),
            first_byte: None,
            end: None,
        };
        visitor.flush().await;
        while visitor.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
            && visitor.session == Session::Open
            && visitor.end.is_none()
        {
            visitor.read().await;
        }
        Ok(visitor)
    }

    /// What has come on the wire, as far as it is kept.
    pub(crate) fn wire(&self) -> &[u8] {
        &self.wire.kept
    }

    /// Looks only at what comes from now on.
    pub(crate) fn forget(&mut self) {
        (self.wire, self.content, self.first_byte) = Default::default();
        self.opened = clock::now();
    }

    /// Does one thing.
    pub(crate) async fn play(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Send(bytes) => self.send(bytes).await?,
            Step::Drip(bytes, pause) => {
                for byte in bytes {
                    self.read_for(*pause).await;
                    if self.end.is_some() {
                        break;
                    }
                    self.send(std::slice::from_ref(byte)).await?;
                }
            }
            Step::Pause(pause) => self.read_for(*pause).await,
            Step::Await(total) => {
                while self.end.is_none() && self.came() < *total {
                    self.read().await;
                }
            }
            Step::Finish => match &mut self.tls {
                Some(tls) => {
                    tls.send_close_notify();
                    self.flush().await;
                    self.session = Session::Left;
                }
                None => {
                    // It fails only when the other side has ended, which the next read tells.
                    let _ = self.stream.shutdown().await;
                }
            },
            Step::Reset => {
                self.stream.set_zero_linger()?;
                self.end = Some((End::Ours, self.opened.elapsed()));
            }
        }
        Ok(())
    }

    /// Sends, through the TLS session when there is one. An error is the other side's end, which the next read tells.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.tls {
            Some(tls) => {
                tls.writer().write_all(bytes)?;
                self.flush().await;
            }
            None => {
                let _ = self.stream.write_all(bytes).await;
            }
        }
        Ok(())
    }

    /// Bytes that have come: of the session's content when there is a session, else of the wire.
    pub(crate) const fn came(&self) -> u64 {
        if self.tls.is_some() { self.content.total } else { self.wire.total }
    }

    /// Whether the other side has ended.
    pub(crate) const fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Reads once. Cancelling it loses nothing.
    pub(crate) async fn read(&mut self) {
        let mut buffer = [0; 16 << 10];
        let read = match self.stream.readable().await {
            Ok(()) => self.stream.try_read(&mut buffer),
            Err(error) => Err(error),
        };
        match read {
            Ok(0) => self.end = Some((End::Fin, self.opened.elapsed())),
            Ok(len) => self.take(&buffer[..len]).await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.end = Some((End::Reset, self.opened.elapsed())),
        }
    }

    async fn read_for(&mut self, time: Duration) {
        let until = tokio::time::Instant::from_std(clock::now() + time);
        while self.end.is_none() && tokio::time::timeout_at(until, self.read()).await.is_ok() {}
    }

    /// Reads until the other side has ended or the window is over.
    pub(crate) async fn watch(mut self, window: Duration) -> Visit {
        self.read_for(window).await;
        let (end, lasted) = self.end.unwrap_or_else(|| (End::Open, self.opened.elapsed()));
        let content = self.tls.is_some().then_some(self.content);
        Visit { wire: self.wire, content, session: self.session, first_byte: self.first_byte, end, lasted }
    }

    async fn take(&mut self, mut bytes: &[u8]) {
        self.first_byte.get_or_insert_with(|| self.opened.elapsed());
        self.wire.push(bytes);
        let Some(tls) = &mut self.tls else { return };
        while !bytes.is_empty() && self.session == Session::Open {
            let outcome = match tls.read_tls(&mut bytes) {
                Ok(0) => break,
                Ok(_) => tls.process_new_packets().map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            match outcome {
                Ok(state) => {
                    let mut content = vec![0; state.plaintext_bytes_to_read()];
                    if tls.reader().read_exact(&mut content).is_ok() {
                        self.content.push(&content);
                    }
                    if state.peer_has_closed() {
                        self.session = Session::Closed;
                    }
                }
                Err(error) => self.session = Session::Broken(error),
            }
        }
        self.flush().await;
    }

    /// Writes what the TLS session has to say.
    async fn flush(&mut self) {
        let Some(tls) = &mut self.tls else { return };
        let mut out = Vec::new();
        while tls.wants_write() && tls.write_tls(&mut out).is_ok() {}
        // The other side's end is what the next read tells.
        let _ = self.stream.write_all(&out).await;
    }
}

fn session(tls: &Tls, certificate: &CertificateDer<'static>) -> Result<ClientConnection> {
    let wrong = |error: rustls::Error| Failure::new(format!("no TLS session can be begun: {error}"));
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).map_err(wrong)?;
    let versions: &[_] = if tls.old { &[&version::TLS12] } else { &[&version::TLS13, &version::TLS12] };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
    let mut config = config.map_err(wrong)?.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = tls.alpn.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from(tls.name.clone());
    let name = name.map_err(|_| Failure::new(format!("{} is no host name", tls.name)))?;
    ClientConnection::new(Arc::new(config), name).map_err(wrong)
}
