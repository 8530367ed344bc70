//! One connection that somebody made to a back: a front's, with its calls, or a visitor's.

use std::future::poll_fn;
use std::os::fd::AsFd as _;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{HeaderValue, Method, Request, Response, header};
use teleferry_proto::call;
use tokio::task::spawn_local;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, info};

use super::{Back, session, site};
use crate::clock;
use crate::identity::{self, Cause, Refusal};
use crate::listen::Place;
use crate::net::{Peer, Stream};
use crate::observe::{CallRefusal, Masked, TrunkCounters, TrunkFailure};
use crate::shard::{Alive, Expiry, Listener, Shard};
use crate::trunk::{
    Batch, Batched, CALL_WINDOW, CONTENT_TYPE, MAX_CALLS, MAX_FRAME, Meter, Metered, Outgoing, Parcel, Pulse,
    REMEMBERED, Status, TLS_BUFFER, TRUNK_WINDOW, unpace_at_home,
};

/// How long TLS may take, and then HTTP/2.
const HANDSHAKE: Duration = Duration::from_secs(15);
/// Requests that a visitor may have under way, and bytes that it may send for each before it is answered.
const VISITOR_CALLS: u32 = 128;
const VISITOR_WINDOW: u32 = 64 << 10;
/// How long a visitor's connection lives.
const VISIT: Duration = Duration::from_secs(120);

type Socket = TlsStream<Metered<Stream>>;

/// A connection that is being served.
pub(super) struct Host {
    pub(super) shard: Rc<Shard>,
    pub(super) listener: Rc<Listener>,
    /// What is counted of the front.
    pub(super) counters: Arc<TrunkCounters>,
    back: Arc<Back>,
    /// It has shown a certificate of ours.
    is_known: bool,
    _place: Place,
    _alive: Alive,
}

/// Serves a connection to its end.
pub(super) async fn serve(
    shard: Rc<Shard>,
    listener: Rc<Listener>,
    place: Place,
    stream: Stream,
    peer: Peer,
) {
    let Some(back) = shard.back() else { return };
    let alive = shard.alive();
    let own = stream.local_address();
    let masked = Masked::new(peer, shard.settings().log.mask_addresses);
    // Nobody's until it is known who comes.
    let meter = Rc::new(Meter::new(shard.counters().trunks.of("")));
    let alarm = shard.alarm();
    alarm.set(HANDSHAKE);
    let accepting = TlsAcceptor::from(Arc::clone(&back.tls)).accept(Metered::new(stream, Rc::clone(&meter)));
    let stream = match alarm.within(accepting).await {
        Ok(Ok(mut stream)) => {
            stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER));
            stream
        }
        Ok(Err(error)) => {
            let refusal = Refusal::of(&error);
            shard.counters().trunks.of("").failed.add(TrunkFailure::Refused(refusal));
            debug!(peer = %masked, cause = refusal.cause.name(), "no TLS with somebody");
            if !matches!(refusal.cause, Cause::Broken | Cause::Protocol)
                && let Some(more) = shard.throttles.front_refused.pass(clock::now())
            {
                info!(peer = %masked, cause = refusal.cause.name(), more, "a certificate was refused");
            }
            return;
        }
        Err(Expiry::Deadline) => return shard.counters().trunks.of("").failed.add(TrunkFailure::Silent),
        Err(Expiry::Drained) => return,
    };
    let (_, tls) = stream.get_ref();
    let name = identity::peer_name(tls.peer_certificates());
    if tls.alpn_protocol() != Some(b"h2") {
        alarm.set(VISIT);
        let mut stopping = shard.stopping();
        tokio::select! {
            () = stopping.wait() => {}
            // However it ends.
            _ = alarm.within(site::serve(stream)) => {}
        }
        return;
    }
    let is_known = name.is_some();
    let counters = shard.counters().trunks.of(name.as_deref().unwrap_or_default());
    meter.count_for(Arc::clone(&counters));
    let mut builder = Builder::new();
    builder.max_concurrent_reset_streams(REMEMBERED);
    if is_known || back.takes_tokens() {
        let socket = stream.get_ref().0.socket();
        meter.watch(socket.as_fd());
        unpace_at_home(socket.as_fd(), socket.peer_address());
        builder
            .max_frame_size(MAX_FRAME)
            .initial_window_size(CALL_WINDOW)
            .initial_connection_window_size(TRUNK_WINDOW)
            .max_concurrent_streams(MAX_CALLS)
            .max_pending_accept_reset_streams(REMEMBERED)
            .max_local_error_reset_streams(None);
    } else {
        builder.initial_window_size(VISITOR_WINDOW).max_concurrent_streams(VISITOR_CALLS);
    }
    alarm.set(HANDSHAKE);
    let (stream, batch) = Batched::new(stream);
    let Ok(Ok(connection)) = alarm.within(builder.handshake(stream)).await else { return };
    let host = Rc::new(Host { shard, listener, counters, back, is_known, _place: place, _alive: alive });
    host.run(connection, &batch, meter, own).await;
}

impl Host {
    /// Takes calls until the connection ends.
    async fn run(
        self: Rc<Self>,
        mut connection: Connection<Batched<Socket>, Parcel>,
        batch: &Batch<Socket>,
        meter: Rc<Meter>,
        own: Option<std::net::SocketAddr>,
    ) {
        self.counters.opened.add(1);
        let alarm = self.shard.alarm();
        let mut pulse =
            connection.ping_pong().map(|ping_pong| Pulse::new(ping_pong, self.shard.alarm(), meter));
        let mut stopping = self.shard.stopping();
        let mut stopping = pin!(stopping.wait());
        let mut is_stopping = false;
        // A visitor who never calls does not stay.
        if !self.is_known && !self.back.takes_tokens() {
            alarm.set(VISIT);
        }
        poll_fn(|cx| {
            if !is_stopping && stopping.as_mut().poll(cx).is_ready() {
                is_stopping = true;
                connection.graceful_shutdown();
            }
            let ended = batch.round(cx, |cx| {
                while let Some(Ok((request, respond))) = ready!(connection.poll_accept(cx)) {
                    self.answer(request, respond, own);
                }
                Poll::Ready(())
            });
            if ended.is_ready() {
                return Poll::Ready(());
            }
            if let Poll::Ready(expiry) = alarm.poll(cx) {
                if expiry == Expiry::Drained {
                    connection.abrupt_shutdown(Reason::NO_ERROR);
                }
                return Poll::Ready(());
            }
            let Some(pulse) = &mut pulse else { return Poll::Pending };
            let beat = pulse.poll(cx);
            if let Some(time) = pulse.round_trip() {
                self.counters.answered_after(time);
            }
            beat.map(drop)
        })
        .await;
        self.counters.closed.add(1);
    }

    /// Takes a call, or answers a visitor.
    fn answer(
        self: &Rc<Self>,
        request: Request<RecvStream>,
        mut respond: SendResponse<Parcel>,
        own: Option<std::net::SocketAddr>,
    ) {
        if !is_call(&request) || !(self.is_known || self.back.knows(request.headers())) {
            if is_call(&request) {
                self.counters.refused.add(CallRefusal::Stranger);
            }
            if let Ok(mut stream) = respond.send_response(site::answer(), request.method() == Method::HEAD)
                && request.method() != Method::HEAD
            {
                // Its stream may be over already.
                let _ = stream.send_data(Parcel::of(site::PAGE.as_bytes().to_vec()), true);
            }
            return;
        }
        let mut response = Response::new(());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        let Ok(stream) = respond.send_response(response, false) else { return };
        let out = Outgoing::new(stream, self.pads(), self.shard.shared.memory.part());
        spawn_local(session::serve(Rc::clone(self), request.into_body(), out, own));
    }

    /// Does not take a call, and says why.
    pub(super) fn refuse(&self, out: &mut Outgoing, status: Status, sentence: Option<&str>) {
        self.counters.refused.add(status.refusal());
        out.end_with(status.trailers(sentence));
    }

    /// Whether random bytes hide how long messages are.
    const fn pads(&self) -> bool {
        true
    }
}

fn is_call(request: &Request<RecvStream>) -> bool {
    let is_grpc = |value: &HeaderValue| value.as_bytes().starts_with(CONTENT_TYPE.as_bytes());
    request.method() == Method::POST
        && request.uri().path() == call::PATH
        && request.headers().get(header::CONTENT_TYPE).is_some_and(is_grpc)
}
