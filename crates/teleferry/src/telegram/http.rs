//! Fetches what stands at a URL, over our own dialer.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::pin::pin;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::http::uri::{Authority, Scheme};
use hyper::{Request, Response, Uri, header};
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::source::{Family, Fetched, Source};
use super::trust;
use crate::clock;
use crate::config::Telegram;
use crate::net::dial;

/// The network. Redirects are not followed: Telegram has none, and where one leads is not for others to say.
pub(crate) struct Http {
    /// Whom to believe. Read again for each fetch: between two of them an hour passes in which it would only take memory.
    roots: Box<dyn Fn() -> RootCertStore>,
    /// For each address that is tried.
    connect_timeout: Duration,
    /// For all of it, from the look-up of the name to the last byte.
    timeout: Duration,
}

/// Why nothing was fetched.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum FetchError {
    /// No address of the host can be connected to.
    Connect(io::Error),
    /// What came is not HTTP, or ended early.
    Http(hyper::Error),
    /// The host's name cannot be looked up, or has no address that may be used.
    Lookup(io::Error),
    /// The server says that it does not have it, or not there.
    Status(u16),
    /// It took longer than this.
    Timeout(Duration),
    /// TLS failed; most likely the certificate.
    Tls(io::Error),
    /// It is longer than this many bytes.
    TooLong(usize),
    /// Nobody can be asked with such a URL, which the configuration does not take.
    Url,
}

impl Http {
    /// Asks nobody yet.
    pub(crate) fn new(settings: &Telegram) -> Self {
        Self {
            roots: Box::new(trust::roots),
            connect_timeout: settings.connect_timeout,
            timeout: settings.http_timeout,
        }
    }

    async fn fetch(&self, url: &Uri, limit: usize, family: Option<Family>) -> Result<Fetched, FetchError> {
        let authority = url.authority().ok_or(FetchError::Url)?;
        // In brackets, IPv6 addresses are neither names for the resolver nor for a certificate.
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let secure = url.scheme() == Some(&Scheme::HTTPS);
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = self.connect(host, port, family).await?;
        if !secure {
            return exchange(stream, url, authority, limit).await;
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_| FetchError::Url)?;
        let config = trust::client_config((self.roots)()).map_err(FetchError::Tls)?;
        let tls = TlsConnector::from(config).connect(name, stream).await;
        exchange(tls.map_err(FetchError::Tls)?, url, authority, limit).await
    }

    async fn connect(&self, host: &str, port: u16, family: Option<Family>) -> Result<TcpStream, FetchError> {
        let found = lookup_host((host, port)).await.map_err(FetchError::Lookup)?;
        let fits = |address: &SocketAddr| family.is_none_or(|family| family.has(address.ip()));
        let addresses: Vec<_> = found.filter(fits).collect();
        match dial(&addresses, self.connect_timeout).await {
            Ok((stream, _)) => Ok(stream),
            Err(error) => Err(error.last.map_or_else(
                || {
                    let family = family.map_or("", Family::name);
                    FetchError::Lookup(io::Error::other(format!("it has no {family} address")))
                },
                FetchError::Connect,
            )),
        }
    }
}

impl Source for Http {
    async fn get(&self, url: &Uri, limit: usize, family: Option<Family>) -> Result<Fetched, FetchError> {
        let fetched = timeout(self.timeout, self.fetch(url, limit, family)).await;
        fetched.unwrap_or(Err(FetchError::Timeout(self.timeout)))
    }

    fn own_address(&self, target: SocketAddr) -> Option<IpAddr> {
        let any: IpAddr = match target {
            SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        // Connecting a UDP socket sends nothing: it only chooses the way.
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect(target).ok()?;
        socket.local_addr().ok().map(|address| address.ip())
    }
}

/// Asks for one thing on a fresh connection and reads it to its end.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    url: &Uri,
    authority: &Authority,
    limit: usize,
) -> Result<Fetched, FetchError> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(FetchError::Http)?;
    let request = request(url, authority).ok_or(FetchError::Url)?;
    let mut answer = pin!(async {
        let response = sender.send_request(request).await.map_err(FetchError::Http)?;
        read(response, limit).await
    });
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // Nothing more will come; what came is still to be read, and the answer knows what went wrong.
        _ = connection => answer.await,
    }
}

fn request(url: &Uri, authority: &Authority) -> Option<Request<Empty<Bytes>>> {
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    Request::get(path)
        .header(header::HOST, authority.as_str())
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .ok()
}

/// The body of an answer that says "here it is", and nothing of any other.
async fn read(response: Response<Incoming>, limit: usize) -> Result<Fetched, FetchError> {
    if response.status() != hyper::StatusCode::OK {
        return Err(FetchError::Status(response.status().as_u16()));
    }
    let date = response.headers().get(header::DATE).and_then(|date| date.to_str().ok());
    let clock_offset = date.and_then(clock_offset);
    let mut incoming = response.into_body();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(FetchError::Http)?;
        // Trailers say nothing that we want to know.
        let data = frame.data_ref().map_or(&[][..], |data| data);
        if data.len() > limit.saturating_sub(body.len()) {
            return Err(FetchError::TooLong(limit));
        }
        body.extend_from_slice(data);
    }
    Ok(Fetched { body, clock_offset })
}

/// Seconds that our clock is ahead of a `Date` header.
fn clock_offset(date: &str) -> Option<i64> {
    let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp().as_second();
    let ours = i64::try_from(clock::unix_time()).ok()?;
    ours.checked_sub(theirs)
}

const USER_AGENT: &str = concat!("teleferry/", env!("CARGO_PKG_VERSION"));

/// Bytes of an answer's head, at most.
const MAX_HEAD: usize = 64 << 10;

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "the server cannot be reached: {error}"),
            Self::Http(error) => write!(f, "the server's answer is broken: {error}"),
            Self::Lookup(error) => write!(f, "the server's name cannot be looked up: {error}"),
            Self::Status(status @ 300..400) => {
                write!(f, "the server leads elsewhere (status {status}), and redirects are not followed")
            }
            Self::Status(status) => write!(f, "the server refuses with status {status}"),
            Self::Timeout(after) => write!(f, "the server did not answer within {after:?}"),
            Self::Tls(error) => write!(f, "the server cannot be trusted: {error}"),
            Self::TooLong(limit) => write!(f, "the answer is longer than {limit} bytes"),
            Self::Url => f.write_str("the URL cannot be fetched"),
        }
    }
}

impl std::error::Error for FetchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connect(error) | Self::Lookup(error) | Self::Tls(error) => Some(error),
            Self::Http(error) => Some(error),
            Self::Status(_) | Self::Timeout(_) | Self::TooLong(_) | Self::Url => None,
        }
    }
}

#[cfg(test)]
mod tests;
