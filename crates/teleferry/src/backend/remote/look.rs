//! One look at a back, from its name to an answer of Telegram over it.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use h2::{Ping, PingPong};
use teleferry_proto::call::{self, CallError, Open, Origin, Version, Welcome, field};
use teleferry_proto::dc::DcId;
use teleferry_proto::message::{req_pq_multi, res_pq_nonce};
use teleferry_proto::transport::{Framing, ServerDecoder, ServerFrame, encode};
use tokio::time::timeout;

use super::front::{Endpoint, Front};
use super::leg::refusal;
use super::trunk::{Cause, Connected, Trunk, connect, secure};
use crate::clock;
use crate::entropy;
use crate::identity::About;
use crate::net::Memory;
use crate::trunk::{Ended, Incoming, Meter, Metered, Note, Outgoing, Status};

/// The data centre that is asked for over the back: the one that most accounts live on.
const DC: i16 = 2;
/// Pings, of which the quickest counts.
const PINGS: usize = 3;
/// How long a ping, or the back's first word in a call, may take.
const WORD: Duration = Duration::from_secs(5);
/// How long Telegram's answer may take; a back gives up before.
const ANSWER: Duration = Duration::from_secs(25);
/// More than any answer takes, in bytes; what came in vain is not kept.
const LONGEST: usize = 64 << 10;

/// What was seen of a back, as far as it went.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// Which of its addresses took the connection, and how long its name and that took.
    pub(crate) connected: Option<(SocketAddr, Duration)>,
    /// What the certificate says that it has shown and that is believed.
    pub(crate) certificate: Option<About>,
    /// How long the answer to a ping took.
    pub(crate) round_trip: Option<Duration>,
    /// What it speaks in calls.
    pub(crate) version: Option<Version>,
    /// How long Telegram's answer took.
    pub(crate) telegram: Option<Duration>,
    /// Why it went no further.
    pub(crate) stop: Option<Stop>,
}

/// Why a look went no further.
#[derive(Debug)]
pub(crate) enum Stop {
    /// There is no connection, or none any more.
    Connection(Cause),
    /// It took no call of this front, and says so itself.
    Refused(String),
    /// It speaks another version.
    Version(String),
    /// What it says cannot be understood.
    Garbled,
    /// It took the call, and no answer of Telegram came.
    Telegram(Option<Status>),
}

/// Looks at one back. Takes a minute at most.
pub(crate) async fn look(front: &Front, endpoint: &Endpoint) -> Look {
    let mut look = Look::default();
    if let Err(stop) = look.go(front, endpoint).await {
        look.stop = Some(stop);
    }
    look
}

impl Look {
    async fn go(&mut self, front: &Front, endpoint: &Endpoint) -> Result<(), Stop> {
        let begun = clock::now();
        let stream = connect(endpoint).await?;
        let address = stream.peer_addr().map_err(|error| Cause::Connect(Some(error)))?;
        self.connected = Some((address, since(begun)));
        let counters = Arc::default();
        let meter = Rc::new(Meter::new(Arc::clone(&counters)));
        let stream = secure(front, endpoint, Metered::new(stream, Rc::clone(&meter))).await?;
        let (_, tls) = stream.get_ref();
        self.certificate = tls.peer_certificates().and_then(|chain| About::read(chain.first()?));
        let Connected { trunk, mut connection, .. } =
            Connected::over(stream, front, endpoint, &counters, meter).await?;
        let ping_pong = connection.ping_pong();
        tokio::select! {
            said = self.talk(&trunk, ping_pong, front.padding) => said,
            ended = &mut connection => Err(Cause::of_end(ended).into()),
        }
    }

    /// Asks what a session asks, while the connection is driven.
    async fn talk(&mut self, trunk: &Trunk, ping_pong: Option<PingPong>, padding: bool) -> Result<(), Stop> {
        self.ping(ping_pong.ok_or(Cause::Closed)?).await?;
        let (response, stream) = trunk.call().map_err(Cause::Protocol)?;
        let mut out = Outgoing::new(stream, padding, Arc::new(Memory::new(LONGEST)).part());
        out.say(call::note(&[(field::OPEN, &who_comes().encode())], &[]), false);
        let nonce = entropy::array();
        let begun = clock::now();
        out.send(question(nonce));
        let response = timeout(WORD, response).await.map_err(|_| Cause::Silent)?;
        let response = response.map_err(|error| Cause::of_end(Err(error)))?;
        if let Some(ended) = refusal(response.status(), response.headers()) {
            return Err(Stop::of(ended));
        }
        let mut incoming = Incoming::new(response.into_body());
        let first = timeout(WORD, poll_fn(|cx| incoming.poll_first(cx))).await.map_err(|_| Cause::Silent)?;
        self.version = Some(match first.map_err(Stop::of)? {
            Note::Field(field::OPEN, bytes) => Welcome::decode(&bytes)?.version,
            Note::Field(..) | Note::Number(..) => return Err(Stop::Garbled),
        });
        timeout(ANSWER, answer(&mut incoming, nonce)).await.map_err(|_| Stop::Telegram(None))??;
        self.telegram = Some(since(begun));
        out.end();
        Ok(())
    }

    async fn ping(&mut self, mut ping_pong: PingPong) -> Result<(), Stop> {
        for _ in 0..PINGS {
            let sent = clock::now();
            let pong = timeout(WORD, ping_pong.ping(Ping::opaque())).await.map_err(|_| Cause::Silent)?;
            pong.map_err(|error| Cause::of_end(Err(error)))?;
            let took = since(sent);
            self.round_trip = Some(self.round_trip.map_or(took, |best| best.min(took)));
        }
        Ok(())
    }
}

fn since(begun: std::time::Instant) -> Duration {
    clock::now().saturating_duration_since(begun)
}

/// A session of this machine itself.
const fn who_comes() -> Open {
    Open {
        version: call::VERSION,
        dc: DcId::new(DC),
        framing: Framing::Intermediate,
        client: None,
        ad_tag: None,
        origin: Origin::New,
    }
}

/// The question that opens every key exchange, behind free bytes.
fn question(nonce: [u8; 16]) -> Vec<u8> {
    let mut frame = vec![0; call::HEADROOM];
    encode(Framing::Intermediate, &req_pq_multi(clock::unix_time() << 32, nonce), false, &[], &mut frame);
    frame
}

/// Waits for Telegram's answer.
async fn answer(incoming: &mut Incoming, nonce: [u8; 16]) -> Result<(), Stop> {
    let mut frames = ServerDecoder::new(Framing::Intermediate);
    let mut buf = [0; 4096];
    let mut came = 0;
    loop {
        let read = poll_fn(|cx| incoming.poll_read(cx, &mut buf, drop)).await;
        let len = read.map_err(|ended| match ended {
            Ended::Said(status, _) if status != Some(Status::FailedPrecondition) => Stop::Telegram(status),
            ended => Stop::of(ended),
        })?;
        incoming.release();
        came += len;
        frames.push(&buf[..len]);
        while let Some(frame) = frames.next_frame().map_err(|_| Stop::Garbled)? {
            if let ServerFrame::Message(message) = frame
                && res_pq_nonce(&message) == Some(nonce)
            {
                return Ok(());
            }
        }
        if came > LONGEST {
            return Err(Stop::Garbled);
        }
    }
}

impl Stop {
    fn of(ended: Ended) -> Self {
        match ended {
            Ended::Said(Some(Status::FailedPrecondition), sentence) => {
                Self::Version(sentence.unwrap_or_else(|| "it does not say which".to_owned()))
            }
            Ended::Said(_, sentence) => {
                Self::Refused(sentence.unwrap_or_else(|| "it does not say why".to_owned()))
            }
            Ended::Garbled(error) => error.into(),
            Ended::Reset(_) | Ended::Lost { .. } => Self::Connection(Cause::Closed),
        }
    }
}

impl From<Cause> for Stop {
    fn from(cause: Cause) -> Self {
        Self::Connection(cause)
    }
}

impl From<CallError> for Stop {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Version(_) => Self::Version(error.to_string()),
            _ => Self::Garbled,
        }
    }
}
