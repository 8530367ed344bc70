//! One connection of a front to a back.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use h2::SendStream;
use h2::client::{Builder, ResponseFuture, SendRequest};
use http::{HeaderValue, Method, Request, Uri, Version, header};
use teleferry_proto::call;
use tokio::io::AsyncBufReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::front::{Endpoint, Front};
use crate::clock;
use crate::identity::Refusal;
use crate::net::dial;
use crate::observe::{TrunkCounters, TrunkFailure};
use crate::shard::Shard;
use crate::trunk::{
    Batch, Batched, CALL_WINDOW, CONTENT_TYPE, MAX_CALLS, MAX_FRAME, Meter, Metered, Parcel, Pulse,
    REMEMBERED, TLS_BUFFER, TRUNK_WINDOW, unpace_at_home,
};

/// How long each address has to answer, then TLS, then HTTP/2.
const EACH: Duration = Duration::from_secs(5);
/// How long a back is listened to that may refuse our certificate: as long as TLS took twice, within these bounds.
const WORD: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

pub(super) type Socket = TlsStream<Metered<TcpStream>>;

/// An open connection to a back.
pub(super) struct Trunk {
    requests: SendRequest<Parcel>,
    template: Request<()>,
    counters: Arc<TrunkCounters>,
    calls: Cell<usize>,
    /// It takes no new calls: the back goes, or this connection does.
    leaving: Cell<bool>,
}

/// A connection and what drives it.
pub(super) struct Connected {
    pub(super) trunk: Rc<Trunk>,
    pub(super) connection: h2::client::Connection<Batched<Socket>, Parcel>,
    batch: Rc<Batch<Socket>>,
    meter: Rc<Meter>,
}

/// Why there is no connection to a back, or none any more.
#[derive(Debug)]
pub(crate) enum Cause {
    /// Its name cannot be found.
    Lookup(io::Error),
    /// It cannot be reached.
    Connect(Option<io::Error>),
    /// It is not who it should be, or does not believe us.
    Tls(io::Error),
    /// It does not speak HTTP/2.
    Protocol(h2::Error),
    /// It did not answer in time.
    Silent,
    /// It, or somebody on the way, has ended the connection.
    Closed,
}

impl Connected {
    /// Connects to a back.
    pub(super) async fn open(
        front: &Front,
        endpoint: &Endpoint,
        counters: &Arc<TrunkCounters>,
    ) -> Result<Self, Cause> {
        let stream = connect(endpoint).await?;
        let meter = Rc::new(Meter::new(Arc::clone(counters)));
        meter.watch(stream.as_fd());
        unpace_at_home(stream.as_fd(), stream.peer_addr().ok());
        let stream = secure(front, endpoint, Metered::new(stream, Rc::clone(&meter))).await?;
        Self::over(stream, front, endpoint, counters, meter).await
    }

    /// Speaks HTTP/2 with a back.
    pub(super) async fn over(
        mut stream: Socket,
        front: &Front,
        endpoint: &Endpoint,
        counters: &Arc<TrunkCounters>,
        meter: Rc<Meter>,
    ) -> Result<Self, Cause> {
        stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER));
        let (stream, batch) = Batched::new(stream);
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .max_frame_size(MAX_FRAME)
            .initial_window_size(CALL_WINDOW)
            .initial_connection_window_size(TRUNK_WINDOW)
            .initial_max_send_streams(MAX_CALLS as usize)
            .max_concurrent_reset_streams(REMEMBERED)
            .max_local_error_reset_streams(None);
        let (requests, connection) = timeout(EACH, builder.handshake(stream))
            .await
            .map_err(|_| Cause::Silent)?
            .map_err(Cause::Protocol)?;
        let trunk = Rc::new(Trunk {
            requests,
            template: template(endpoint, front.authorization.clone()),
            counters: Arc::clone(counters),
            calls: Cell::new(0),
            leaving: Cell::new(false),
        });
        Ok(Self { trunk, connection, batch, meter })
    }

    /// Runs it until it ends. `answered` is called with the first sign of life.
    pub(super) async fn run(self, shard: &Shard, answered: impl Fn()) -> Cause {
        let Self { trunk, mut connection, batch, meter } = self;
        let mut pulse = connection.ping_pong().map(|ping_pong| Pulse::new(ping_pong, shard.alarm(), meter));
        let mut heard = false;
        poll_fn(|cx| {
            if let Poll::Ready(ended) = batch.round(cx, |cx| Pin::new(&mut connection).poll(cx)) {
                return Poll::Ready(Cause::of_end(ended));
            }
            // Looked at with every beat.
            if trunk.is_leaving() && trunk.calls() == 0 {
                return Poll::Ready(Cause::Closed);
            }
            let Some(pulse) = &mut pulse else { return Poll::Pending };
            let beat = pulse.poll(cx);
            if let Some(time) = pulse.round_trip() {
                trunk.counters.answered_after(time);
                if !std::mem::replace(&mut heard, true) {
                    answered();
                }
            }
            beat.map(|_| Cause::Silent)
        })
        .await
    }
}

/// Connects to a back's address.
pub(super) async fn connect(endpoint: &Endpoint) -> Result<TcpStream, Cause> {
    let host = &endpoint.host;
    let lookup = timeout(EACH, tokio::net::lookup_host((host.host.as_str(), host.port)));
    let addresses: Vec<SocketAddr> =
        lookup.await.map_err(|_| Cause::Silent)?.map_err(Cause::Lookup)?.collect();
    let (stream, _) = dial(&addresses, EACH).await.map_err(|error| Cause::Connect(error.last))?;
    Ok(stream)
}

/// Makes TLS of a connection, and waits a moment for what the back says of our certificate: it comes when TLS is done for us,
/// and would be lost behind what we send.
pub(super) async fn secure(
    front: &Front,
    endpoint: &Endpoint,
    stream: Metered<TcpStream>,
) -> Result<Socket, Cause> {
    let begun = clock::now();
    let shaking = TlsConnector::from(Arc::clone(&front.tls)).connect(endpoint.name.clone(), stream);
    let mut stream = timeout(EACH, shaking).await.map_err(|_| Cause::Silent)?.map_err(Cause::Tls)?;
    let [least, most] = WORD;
    let patience = clock::now().saturating_duration_since(begun).saturating_mul(2).clamp(least, most);
    match timeout(patience, stream.fill_buf()).await {
        Ok(Err(error)) => Err(Cause::Tls(error)),
        Ok(Ok([])) => Err(Cause::Closed),
        // Who speaks HTTP/2 begins by itself, or waits for us.
        Ok(Ok(_)) | Err(_) => Ok(stream),
    }
}

/// A request as every call begins.
fn template(endpoint: &Endpoint, authorization: Option<HeaderValue>) -> Request<()> {
    let uri = Uri::builder()
        .scheme("https")
        .authority(endpoint.authority.as_str())
        .path_and_query(call::PATH)
        .build();
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = uri.unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    if let Some(authorization) = authorization {
        headers.insert(header::AUTHORIZATION, authorization);
    }
    request
}

impl Trunk {
    /// Begins a call.
    ///
    /// # Errors
    /// The connection takes no calls any more.
    pub(super) fn call(&self) -> Result<(ResponseFuture, SendStream<Parcel>), h2::Error> {
        self.requests.clone().send_request(self.template.clone(), false)
    }

    /// Sessions on it.
    pub(super) const fn calls(&self) -> usize {
        self.calls.get()
    }

    /// What is counted of its back.
    pub(super) fn counters(&self) -> &TrunkCounters {
        &self.counters
    }

    /// It takes no new calls.
    pub(super) fn leave(&self) {
        self.leaving.set(true);
    }

    /// Whether it takes new calls.
    pub(super) const fn takes_calls(&self) -> bool {
        !self.leaving.get() && self.calls.get() < MAX_CALLS as usize
    }

    /// Whether it goes.
    pub(super) const fn is_leaving(&self) -> bool {
        self.leaving.get()
    }

    /// A session comes.
    pub(super) fn enter(&self) {
        self.calls.set(self.calls.get() + 1);
        self.counters.calls.add(1);
    }

    /// A session goes.
    pub(super) fn exit(&self) {
        self.calls.set(self.calls.get() - 1);
        self.counters.ended.add(1);
    }
}

impl fmt::Debug for Trunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trunk")
            .field("calls", &self.calls)
            .field("leaving", &self.leaving)
            .finish_non_exhaustive()
    }
}

impl Cause {
    /// Why a connection ended.
    pub(super) fn of_end(ended: Result<(), h2::Error>) -> Self {
        match ended {
            Ok(()) => Self::Closed,
            Err(error) if error.is_go_away() => Self::Closed,
            Err(error) => Self::Protocol(error),
        }
    }

    /// As it is counted.
    pub(super) fn failure(&self) -> TrunkFailure {
        match self {
            Self::Lookup(_) => TrunkFailure::Lookup,
            Self::Connect(_) => TrunkFailure::Unreachable,
            Self::Tls(error) => TrunkFailure::Refused(Refusal::of(error)),
            Self::Protocol(_) => TrunkFailure::NoHttp2,
            Self::Silent => TrunkFailure::Silent,
            Self::Closed => TrunkFailure::Closed,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup(error) => write!(f, "its name cannot be found: {error}"),
            Self::Connect(Some(error)) => write!(f, "it cannot be reached: {error}"),
            Self::Connect(None) => f.write_str("its name has no address"),
            Self::Tls(error) => write!(f, "no TLS with it: {} ({error})", Refusal::of(error)),
            Self::Protocol(error) => write!(f, "no HTTP/2 with it: {error}"),
            Self::Silent => f.write_str("it does not answer"),
            Self::Closed => f.write_str("it has closed the connection"),
        }
    }
}
