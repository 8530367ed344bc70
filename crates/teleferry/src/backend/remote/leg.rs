//! One session's way to Telegram over a back.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use h2::Reason;
use h2::client::ResponseFuture;
use http::{HeaderMap, StatusCode};
use teleferry_proto::call::{self, Down, Open, Origin, Welcome, field};
use teleferry_proto::direct::{HEADROOM, TAILROOM};
use teleferry_proto::transport::Collector;
use tracing::{debug, warn};

use super::backs::{Backs, SHY};
use super::trunk::Trunk;
use super::unsent::{Unsent, append};
use crate::backend::{Exit, Passenger};
use crate::clock;
use crate::entropy;
use crate::net::{Held, Peer};
use crate::observe::{CloseReason, Kind};
use crate::shard::{Alarm, Expiry, Moment, Shard};
use crate::trunk::{Ended, FULL, Incoming, Note, Outgoing, Status};

/// How long a new session waits for a back, at most.
const FIRST_TIME: Duration = Duration::from_secs(5);
/// How long one waits whose back asked it to go, when there is no other.
const MOVING_TIME: Duration = Duration::from_secs(5);
/// How often it is looked what waits of a client that does not read.
const LOOK: Duration = Duration::from_secs(1);
/// From so many bytes that are held of a frame on they are counted as memory in use.
const COUNTED_FROM: usize = 16 << 10;

/// A session's call, and what it takes to go on with another one.
pub(crate) struct RemoteLeg {
    shard: Rc<Shard>,
    backs: Rc<Backs>,
    open: Open,
    place: Place,
    /// The call that it left, as long as answers may come over it.
    tail: Option<Box<Call>>,
    /// What was read last came over that.
    reads_tail: bool,
    down: Down,
    collector: Collector,
    /// Frames that go with the next call, behind free bytes; empty while there is one.
    kept: Vec<u8>,
    held: Held,
    /// What came for a client that does not take it.
    untaken: Held,
    /// Set while its client does not read.
    stall: Option<Alarm>,
    /// When it last left a call.
    uprooted: Option<Moment>,
    /// A back would not take it: so long it looks for one that has not just refused somebody.
    picky: Option<Instant>,
    /// The client sends nothing more.
    ended: bool,
}

#[derive(Debug)]
enum Place {
    /// On a call.
    On(Box<Call>),
    /// Nowhere until there is a trunk, or this alarm goes off.
    Between(Alarm),
}

/// A call of a session.
struct Call {
    trunk: Rc<Trunk>,
    out: Outgoing,
    answer: Answer,
    unsent: Unsent,
    /// The back asks that the client be taken elsewhere.
    asked_to_move: bool,
}

enum Answer {
    /// The back has said nothing.
    Awaited(ResponseFuture),
    Here(Incoming),
}

impl RemoteLeg {
    /// Calls a back; waits for a connection to one when there is none. Nothing waits for the back's answer.
    ///
    /// # Errors
    /// There is none in time.
    pub(crate) async fn open(
        shard: &Rc<Shard>,
        backs: &Rc<Backs>,
        passenger: &Passenger<'_>,
    ) -> Result<Box<Self>, CloseReason> {
        let fault = CloseReason::proxy(Kind::Fault);
        let Exit::Client { cipher, .. } = &passenger.exit else { return Err(fault) };
        let framing = passenger.header.framing;
        let alarm = shard.alarm();
        alarm.set(FIRST_TIME);
        let mut leg = Box::new(Self {
            shard: Rc::clone(shard),
            backs: Rc::clone(backs),
            open: Open {
                version: call::VERSION,
                dc: passenger.header.dc,
                framing,
                client: match passenger.peer {
                    Peer::Inet(address) => Some(address),
                    Peer::Local => None,
                },
                ad_tag: passenger.ad_tag,
                origin: Origin::New,
            },
            place: Place::Between(alarm),
            tail: None,
            reads_tail: false,
            down: Down::new(framing, cipher, passenger.exit.is_in_records()),
            collector: Collector::new(framing),
            kept: Vec::new(),
            held: shard.shared.memory.part(),
            untaken: shard.shared.memory.part(),
            stall: None,
            uprooted: None,
            picky: None,
            ended: false,
        });
        std::future::poll_fn(|cx| leg.poll_placed(cx)).await?;
        Ok(leg)
    }

    /// Takes decrypted frames of the client; every frame that is whole goes out with the connection's next flush. Says how
    /// many bytes were taken.
    ///
    /// # Errors
    /// The session is over, for this reason.
    pub(crate) fn send(&mut self, frames: &[u8]) -> Result<usize, CloseReason> {
        let mut rest = frames;
        let mut whole = Vec::new();
        while let Some(frame) =
            self.collector.next_frame(&mut rest).map_err(|_| CloseReason::client(Kind::FrameLength))?
        {
            frame.into_iter().for_each(|piece| append(&mut whole, piece));
        }
        self.dispatch(whole);
        self.count_held()?;
        Ok(frames.len())
    }

    /// Sends whole frames behind free bytes, or keeps them until there is a call.
    fn dispatch(&mut self, frames: Vec<u8>) {
        match &mut self.place {
            _ if frames.is_empty() => {}
            Place::On(call) => call.send(frames),
            Place::Between(_) => append(&mut self.kept, &frames[call::HEADROOM..]),
        }
    }

    /// Goes on where nothing has to come for that.
    ///
    /// # Errors
    /// The session is over, for this reason.
    pub(crate) fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        if let Place::Between(_) = &self.place
            && let Poll::Ready(Err(reason)) = self.poll_placed(cx)
        {
            return Err(reason);
        }
        if let Place::On(call) = &mut self.place {
            call.unsent.forget_gone();
            call.out.listen(cx);
            count_untaken(&mut self.untaken, &mut call.answer);
            if call.out.count() {
                return Err(CloseReason::client(Kind::Memory));
            }
        }
        Ok(())
    }

    /// The client does not take what came. What ends the session now does not wait until it does: the back gave it up, or is
    /// lost and there is no other, or what waits for those who do not read takes more memory than there is.
    ///
    /// # Errors
    /// The session is over, for this reason.
    pub(crate) fn stalled(&mut self, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        // Nobody tells when more comes for it.
        let alarm = self.stall.get_or_insert_with(|| {
            let alarm = self.shard.alarm();
            alarm.set(LOOK);
            alarm
        });
        if alarm.poll(cx) == Poll::Ready(Expiry::Deadline) {
            alarm.set(LOOK);
            let _ = alarm.poll(cx);
        }
        let Place::On(call) = &mut self.place else { return Ok(()) };
        match call.out.poll_broken(cx) {
            Poll::Ready(Some(Reason::ENHANCE_YOUR_CALM)) => return Err(CloseReason::client(Kind::Queue)),
            Poll::Ready(None) if !self.backs.take_calls() => {
                return Err(CloseReason::telegram(Kind::LinkLost));
            }
            Poll::Ready(_) | Poll::Pending => {}
        }
        let untaken = count_untaken(&mut self.untaken, &mut call.answer);
        if untaken >= COUNTED_FROM && self.untaken.is_over() {
            return Err(CloseReason::client(Kind::Memory));
        }
        Ok(())
    }

    /// True when more can be sent without piling up; when not, the session is woken once it can.
    pub(crate) fn is_clear(&self) -> bool {
        match &self.place {
            Place::On(call) => call.out.waiting() < FULL,
            Place::Between(_) => false,
        }
    }

    /// Reads into `buf` what goes to the client, encrypted; says where it stands. 0 bytes: nothing more comes.
    ///
    /// # Errors
    /// The session is over, for this reason.
    pub(crate) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<Range<usize>, CloseReason>> {
        let room = HEADROOM..buf.len() - TAILROOM;
        loop {
            ready!(self.poll_placed(cx))?;
            let len = match self.poll_tail(cx, &mut buf[room.clone()]) {
                Poll::Ready(Err(reason)) => return Poll::Ready(Err(reason)),
                Poll::Ready(Ok(len)) => len,
                Poll::Pending if self.reads_tail && !self.down.is_at_border() => return Poll::Pending,
                Poll::Pending => {
                    self.reads_tail = false;
                    let Place::On(call) = &mut self.place else { return Poll::Pending };
                    match call.poll_read(cx, &mut buf[room.clone()]) {
                        Poll::Pending if self.move_on(cx) => continue,
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Ok(len)) => len,
                        Poll::Ready(Err(ended)) => match self.over(ended) {
                            None => continue,
                            Some(reason) if reason.kind != Kind::Closed => return Poll::Ready(Err(reason)),
                            Some(_) => {
                                let rest = self.down.end();
                                buf[..rest.len()].copy_from_slice(rest);
                                return Poll::Ready(Ok(0..rest.len()));
                            }
                        },
                    }
                }
            };
            if len > 0 {
                self.open.origin = Origin::Moved;
                let stream = self.down.receive(buf, room.start..room.start + len, entropy::fill);
                if !stream.is_empty() {
                    return Poll::Ready(Ok(stream));
                }
            }
        }
    }

    /// Reads what still comes over the call that the client has left. Never between the parts of a frame that comes over the
    /// other one.
    fn poll_tail(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, CloseReason>> {
        let Some(tail) = &mut self.tail else { return Poll::Pending };
        if !self.reads_tail && !self.down.is_at_border() {
            return Poll::Pending;
        }
        match ready!(tail.poll_read(cx, buf)) {
            Ok(len) => {
                self.reads_tail |= len > 0;
                Poll::Ready(Ok(len))
            }
            Err(ended) => {
                let untouched = matches!(
                    ended,
                    Ended::Said(Some(Status::Unavailable), _) | Ended::Lost { untouched: true }
                ) && !tail.unsent.has_begun();
                let frames = tail.unsent.frames(self.open.framing, untouched);
                self.tail = None;
                if !self.down.is_at_border() {
                    return Poll::Ready(Err(CloseReason::telegram(Kind::LinkLost)));
                }
                self.dispatch(frames);
                Poll::Ready(Ok(0))
            }
        }
    }

    /// The client sends nothing more.
    pub(crate) fn end(&mut self) {
        self.ended = true;
        if let Place::On(call) = &mut self.place {
            call.out.end();
        }
    }

    /// When its call last went away under it, or it left that; what it had asked for there may be lost.
    pub(crate) const fn uprooted(&self) -> Option<Moment> {
        self.uprooted
    }

    /// Bytes that are held of a frame that is not whole.
    pub(crate) fn held(&self) -> usize {
        self.collector.held()
    }

    /// Ready once it is on a call, or there is none for it.
    fn poll_placed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        let Place::Between(alarm) = &self.place else { return Poll::Ready(Ok(())) };
        let mut expired = alarm.poll(cx);
        if expired == Poll::Ready(Expiry::Deadline) && self.picky.is_some_and(|until| until > clock::now()) {
            // Those that refused before may think better of it.
            alarm.set(SHY);
            expired = alarm.poll(cx);
        }
        if self.begin() {
            return Poll::Ready(Ok(()));
        }
        match expired {
            Poll::Ready(Expiry::Deadline) => Poll::Ready(Err(match self.open.origin {
                Origin::New => CloseReason::telegram(Kind::Unreachable),
                Origin::Moved => CloseReason::telegram(Kind::LinkLost),
            })),
            Poll::Ready(Expiry::Drained) => Poll::Ready(Err(CloseReason::proxy(Kind::Drained))),
            Poll::Pending => {
                self.backs.wait(cx.waker());
                Poll::Pending
            }
        }
    }

    /// Calls a back, with what is kept.
    fn begin(&mut self) -> bool {
        while let Some(trunk) = self.backs.choose(&self.shard, self.picky.is_some()) {
            let Some(mut call) = Call::begin(trunk, &self.shard, &self.backs, &self.open) else { continue };
            let kept = std::mem::take(&mut self.kept);
            if !kept.is_empty() {
                call.send(kept);
            }
            if self.ended {
                call.out.end();
            }
            self.place = Place::On(Box::new(call));
            return true;
        }
        false
    }

    /// The back asked for it: as soon as there is another one, the client goes on there. What the old one still has for it
    /// comes over what is left of its call.
    fn move_on(&mut self, cx: &Context<'_>) -> bool {
        let Place::On(call) = &self.place else { return false };
        if !call.asked_to_move || self.tail.is_some() || self.ended {
            return false;
        }
        let left = Rc::clone(&call.trunk);
        self.picky = None;
        self.backs.refused(&self.shard, &left);
        let alarm = self.shard.alarm();
        let Place::On(mut tail) = std::mem::replace(&mut self.place, Place::Between(alarm)) else {
            return false;
        };
        if !self.begin() {
            self.place = Place::On(tail);
            self.backs.wait(cx.waker());
            return false;
        }
        tail.out.say(call::note(&[], &[(field::MOVE, 1)]), true);
        left.counters().moved.add(1);
        self.uprooted = Some(self.shard.moment());
        self.tail = Some(tail);
        true
    }

    /// The call is over. `None`: the session goes on with another one.
    fn over(&mut self, ended: Ended) -> Option<CloseReason> {
        let Place::On(call) = &mut self.place else { return Some(CloseReason::proxy(Kind::Fault)) };
        let refused = !call.unsent.has_begun();
        let declined = refused && !matches!(ended, Ended::Lost { untouched: false });
        if refused {
            call.trunk.counters().refused.add(ended.refusal());
        }
        let mut reason = CloseReason::telegram(Kind::LinkLost);
        let (untouched, patience) = match ended {
            Ended::Said(Some(Status::Unavailable), _) => (refused, MOVING_TIME),
            Ended::Said(Some(status), sentence) => {
                tell(&self.shard, status, sentence);
                reason = status.reason();
                if !refused || !status.is_of_this_back() {
                    return Some(reason);
                }
                (true, Duration::ZERO)
            }
            Ended::Garbled(error) => {
                let status = Status::from(error);
                tell(&self.shard, status, Some(error.to_string()));
                if !refused || !status.is_of_this_back() {
                    return Some(reason);
                }
                (true, Duration::ZERO)
            }
            // The connection takes no more: there will be another one.
            Ended::Lost { untouched: true } if refused => (true, MOVING_TIME),
            // What a back has begun with it has looked at.
            Ended::Lost { .. } => (false, Duration::ZERO),
            // An intermediary's way to say that its back is lost.
            Ended::Said(None, _) => (false, Duration::ZERO),
            Ended::Reset(Reason::ENHANCE_YOUR_CALM) => return Some(CloseReason::client(Kind::Queue)),
            Ended::Reset(_) => (false, Duration::ZERO),
        };
        if self.ended || !self.down.is_at_border() {
            return Some(CloseReason::telegram(if self.ended { Kind::Closed } else { Kind::LinkLost }));
        }
        let mut frames = call.unsent.frames(self.open.framing, untouched);
        append(&mut frames, self.kept.get(call::HEADROOM..).unwrap_or_default());
        self.kept = frames;
        if !refused {
            call.trunk.counters().moved.add(1);
        }
        self.backs.refused(&self.shard, &call.trunk);
        debug!("a session goes on over another back");
        // It does not go round and round between backs that do not take it.
        if !declined {
            self.picky = None;
        } else if *self.picky.get_or_insert_with(|| clock::now() + MOVING_TIME) <= clock::now() {
            return Some(reason);
        }
        let alarm = self.shard.alarm();
        alarm.set(if declined { patience.min(SHY) } else { patience });
        self.place = Place::Between(alarm);
        self.uprooted = Some(self.shard.moment());
        // Whoever lost its back without a word is closed at once when there is no other.
        (!self.begin() && patience.is_zero()).then_some(reason)
    }

    /// What is kept takes memory; when there is none left, its client goes.
    fn count_held(&mut self) -> Result<(), CloseReason> {
        let held = self.collector.held() + self.kept.len();
        self.held.set(if held < COUNTED_FROM { 0 } else { held });
        if held >= COUNTED_FROM && self.held.is_over() {
            return Err(CloseReason::client(Kind::Memory));
        }
        Ok(())
    }
}

/// Counts what came and was not taken as memory in use; says how many bytes that are.
fn count_untaken(held: &mut Held, answer: &mut Answer) -> usize {
    let Answer::Here(incoming) = answer else { return 0 };
    let untaken = incoming.held();
    held.set(if untaken < COUNTED_FROM { 0 } else { untaken });
    untaken
}

/// A back says what is to be mended.
fn tell(shard: &Shard, status: Status, sentence: Option<String>) {
    if matches!(
        status,
        Status::FailedPrecondition | Status::PermissionDenied | Status::InvalidArgument | Status::Internal
    ) && let Some(more) = shard.throttles.back_refuses.pass(clock::now())
    {
        let sentence = sentence.unwrap_or_else(|| "it does not say why".to_owned());
        warn!(?status, more, "a back takes no session of ours: {sentence}");
    }
}

impl Call {
    /// Calls, and says who comes. `None`: this trunk takes no calls any more.
    fn begin(trunk: Rc<Trunk>, shard: &Rc<Shard>, backs: &Rc<Backs>, open: &Open) -> Option<Self> {
        let padding = backs.front().is_some_and(|front| front.padding);
        let Ok((response, stream)) = trunk.call() else {
            trunk.leave();
            backs.refused(shard, &trunk);
            return None;
        };
        trunk.enter();
        let out = Outgoing::new(stream, padding, shard.shared.memory.part());
        let mut call = Self {
            trunk,
            out,
            answer: Answer::Awaited(response),
            unsent: Unsent::default(),
            asked_to_move: false,
        };
        call.out.say(call::note(&[(field::OPEN, &open.encode())], &[]), false);
        Some(call)
    }

    fn send(&mut self, frames: Vec<u8>) {
        let message = self.out.send(frames);
        self.unsent.push(message);
    }

    /// Reads data; 0 when there was something else.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Ended>> {
        let incoming = match &mut self.answer {
            Answer::Awaited(response) => match ready!(Pin::new(response).poll(cx)) {
                Err(error) => return Poll::Ready(Err(Ended::of(&error))),
                Ok(response) => {
                    if let Some(ended) = refusal(response.status(), response.headers()) {
                        return Poll::Ready(Err(ended));
                    }
                    self.answer = Answer::Here(Incoming::new(response.into_body()));
                    return Poll::Ready(Ok(0));
                }
            },
            Answer::Here(incoming) => incoming,
        };
        // The client has taken what was read before.
        incoming.release();
        let (unsent, trunk, asked) = (&mut self.unsent, &self.trunk, &mut self.asked_to_move);
        let mut garbled = None;
        let read = incoming.poll_read(cx, buf, |note| match note {
            Note::Field(field::OPEN, bytes) => match Welcome::decode(&bytes) {
                Ok(_) => unsent.begin(),
                Err(error) => garbled = Some(Ended::Garbled(error)),
            },
            Note::Number(field::MOVE, 1..) => {
                *asked = true;
                trunk.leave();
            }
            Note::Number(field::MIGRATED, times) => trunk.counters().migrated.add(times),
            Note::Field(..) | Note::Number(..) => {}
        });
        match garbled {
            Some(ended) => Poll::Ready(Err(ended)),
            None => read,
        }
    }
}

/// What an answer means that is none of a back which takes the call.
pub(super) fn refusal(code: StatusCode, headers: &HeaderMap) -> Option<Ended> {
    if let Some(status) = Status::read(headers) {
        return Some(Ended::Said(Some(status), Status::sentence(headers)));
    }
    let status = match code {
        StatusCode::OK => return None,
        StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT
        | StatusCode::TOO_MANY_REQUESTS => Status::Unavailable,
        _ => Status::PermissionDenied,
    };
    Some(Ended::Said(
        Some(status),
        Some(format!(
            "the answer is {code}: it does not know this front's certificate or token, or is no back"
        )),
    ))
}

impl Drop for Call {
    fn drop(&mut self) {
        self.trunk.exit();
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("trunk", &self.trunk).finish_non_exhaustive()
    }
}

impl fmt::Debug for RemoteLeg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteLeg")
            .field("place", &self.place)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
