//! One client of a pool: where its messages go, and how answers reach it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use teleferry_proto::downlink::noop_len;
use teleferry_proto::fake_tls::record::MIN_RECORD;
use teleferry_proto::middle::{Client, SendError};
use teleferry_proto::rpc::ConnId;
use teleferry_proto::transport::Framing;

use super::link::Link;
use crate::backend::Exit;
use crate::config::ErrorFilter;
use crate::net::Held;
use crate::observe::{CloseReason, Kind, ListenerCounters, ShardCounters};
use crate::shard::{Listener, Moment};

/// The shortest message, in bytes; what is shorter is an error.
const SHORTEST_MESSAGE: usize = 24;

/// What Telegram's transport says of an unknown key: −404.
const NOT_FOUND: [u8; 4] = (-404_i32).to_le_bytes();

/// A session's place in a pool, shared by the session, its link and the pool. None of them waits for another: what one has
/// to say to the session is left here, and the session's task is woken.
#[derive(Debug)]
pub(super) struct Port {
    /// What the middle proxy is told of the client.
    client: Arc<Client>,
    listener: Rc<Listener>,
    place: RefCell<Place>,
    /// When its client had proven itself, in milliseconds of the shard's counting; it goes round every 49 days.
    begun: u32,
    /// `None` once the session has gone.
    down: RefCell<Option<Down>>,
    /// Something came from Telegram, and when it last did.
    heard: Cell<Option<Moment>>,
    /// How often it was put on a link.
    placed: Cell<u32>,
    /// When a link last went away under it.
    uprooted: Cell<Option<Moment>>,
    /// The client has asked for a quick ack, as only official apps do.
    asked_ack: Cell<bool>,
    /// Nothing more comes: in order, or for this reason.
    end: Cell<Option<Result<(), CloseReason>>>,
    /// The session's task.
    waker: RefCell<Option<Waker>>,
}

/// Where a client's messages go.
#[derive(Debug)]
enum Place {
    /// To the middle proxy of this link, which knows the client by this id.
    On(Rc<Link>, ConnId),
    /// Nowhere until there is a link; they are kept, in order. Few wait, and not for long, so that the others need no room for
    /// it.
    Waiting(Box<Waiting>),
    /// Nowhere any more.
    Gone,
}

#[derive(Debug)]
struct Waiting {
    until: Instant,
    /// What it means when there is none until then.
    otherwise: CloseReason,
    unsent: Vec<Message>,
    held: Held,
}

/// A client's message that no link has taken.
pub(super) struct Message {
    pub(super) bytes: Vec<u8>,
    pub(super) quick_ack: bool,
}

/// How answers reach the client.
#[derive(Debug)]
pub(super) struct Down {
    /// Where it is.
    pub(super) exit: Exit,
    /// How its answers are framed.
    pub(super) framing: Framing,
    /// Which errors it does not get.
    pub(super) filter: ErrorFilter,
    /// Bytes that may wait for it.
    pub(super) queue_limit: usize,
    /// A message came for it, so that it skips no-op frames if it is an official app.
    pub(super) answered: bool,
}

impl Port {
    /// A client that waits for a link until then. What it sends meanwhile counts as `held`.
    pub(super) fn new(
        client: Client,
        listener: Rc<Listener>,
        down: Down,
        begun: u32,
        until: Instant,
        held: Held,
    ) -> Self {
        let otherwise = CloseReason::telegram(Kind::Unreachable);
        let waiting = Box::new(Waiting { until, otherwise, unsent: Vec::new(), held });
        Self {
            client: Arc::new(client),
            listener,
            begun,
            place: RefCell::new(Place::Waiting(waiting)),
            down: RefCell::new(Some(down)),
            heard: Cell::new(None),
            placed: Cell::new(0),
            uprooted: Cell::new(None),
            asked_ack: Cell::new(false),
            end: Cell::new(None),
            waker: RefCell::default(),
        }
    }

    /// The counters of the listener that it came through.
    pub(super) fn counters(&self) -> &ListenerCounters {
        &self.listener.counters
    }

    /// Sends a message, which stands in two places, or keeps it until there is a link.
    pub(super) fn send(&self, now: Instant, bytes: [&[u8]; 2], quick_ack: bool) -> Result<(), CloseReason> {
        self.asked_ack.set(self.asked_ack.get() || quick_ack);
        match &mut *self.place.borrow_mut() {
            Place::On(link, conn) => match link.send(now, *conn, bytes, quick_ack) {
                Ok(()) => {}
                Err(SendError::Length) => return Err(CloseReason::client(Kind::FrameLength)),
                // A link that goes takes its clients off in the same turn.
                Err(_) => return Err(CloseReason::telegram(Kind::LinkLost)),
            },
            Place::Waiting(waiting) => {
                waiting.unsent.push(Message { bytes: bytes.concat(), quick_ack });
                waiting.count();
            }
            // Closed by Telegram: what the client still says is of no interest.
            Place::Gone => {}
        }
        Ok(())
    }

    /// True when more can be sent without piling up. When not, the session is woken once it can.
    pub(super) fn is_clear(&self) -> bool {
        match &*self.place.borrow() {
            Place::On(link, _) => {
                let clear = !link.is_full();
                if !clear && let Some(waker) = &*self.waker.borrow() {
                    link.wait_for_room(waker);
                }
                clear
            }
            Place::Waiting(_) => false,
            Place::Gone => true,
        }
    }

    /// The session's task is this one.
    pub(super) fn listen(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(known) => known.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
    }

    /// Ready once nothing more comes for the client.
    pub(super) fn poll_end(&self, cx: &Context<'_>) -> Poll<Result<(), CloseReason>> {
        self.listen(cx);
        self.end.get().map_or(Poll::Pending, Poll::Ready)
    }

    /// Ready once it is on a link, or no link could be had.
    pub(super) fn poll_placed(&self, cx: &Context<'_>) -> Poll<Result<(), CloseReason>> {
        match (self.end.get(), &*self.place.borrow()) {
            (Some(Err(reason)), _) => Poll::Ready(Err(reason)),
            (None, Place::Waiting(_)) => {
                self.listen(cx);
                Poll::Pending
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    /// How long it has waited, as long as nothing came from Telegram.
    pub(super) fn unanswered(&self, shard: &ShardCounters, now: Instant) -> Option<Duration> {
        let waited = (shard.millis(now) as u32).wrapping_sub(self.begun);
        self.heard.get().is_none().then(|| Duration::from_millis(waited.into()))
    }

    /// When something last came from Telegram.
    pub(super) const fn heard(&self) -> Option<Moment> {
        self.heard.get()
    }

    /// When a link last went away under it, with what it had asked for there.
    pub(super) const fn uprooted(&self) -> Option<Moment> {
        self.uprooted.get()
    }

    /// The address of the middle proxy that it is on.
    pub(super) fn endpoint(&self) -> Option<std::net::SocketAddr> {
        match &*self.place.borrow() {
            Place::On(link, _) => Some(link.endpoint()),
            Place::Waiting(_) | Place::Gone => None,
        }
    }

    /// How often it went from one link to another.
    pub(super) const fn migrations(&self) -> u32 {
        self.placed.get().saturating_sub(1)
    }

    /// True while it waits for a link.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(&*self.place.borrow(), Place::Waiting(_))
    }

    /// When it waits for a link and has waited long enough: what that means.
    pub(super) fn late(&self, now: Instant) -> Option<CloseReason> {
        match &*self.place.borrow() {
            Place::Waiting(waiting) if waiting.until <= now => Some(waiting.otherwise),
            _ => None,
        }
    }

    /// Goes on to a link; what was kept is sent there, in order. False when it does not wait for one any more.
    pub(super) fn place_on(self: &Rc<Self>, link: &Rc<Link>, now: Instant) -> bool {
        let mut place = self.place.borrow_mut();
        let Place::Waiting(waiting) = &mut *place else { return false };
        let Some(conn) = link.open(Arc::clone(&self.client), self) else { return false };
        for Message { bytes, quick_ack } in waiting.unsent.drain(..) {
            if link.send(now, conn, [&bytes, &[]], quick_ack).is_err() {
                // It was taken by a link before; nothing can be wrong with it but the link.
                self.finish(Err(CloseReason::telegram(Kind::LinkLost)));
                break;
            }
        }
        *place = Place::On(Rc::clone(link), conn);
        drop(place);
        self.placed.set(self.placed.get().saturating_add(1));
        self.wake();
        true
    }

    /// Its link went away at this moment, with these of its messages: it waits for another until then.
    pub(super) fn uproot(&self, moment: Moment, until: Instant, unsent: Vec<Message>, held: Held) {
        self.uprooted.set(Some(moment));
        let mut place = self.place.borrow_mut();
        if matches!(*place, Place::On(..)) {
            let otherwise = CloseReason::telegram(Kind::LinkLost);
            let mut waiting = Box::new(Waiting { until, otherwise, unsent, held });
            waiting.count();
            *place = Place::Waiting(waiting);
        }
    }

    /// Nothing more comes for it: its session ends, by itself.
    pub(super) fn finish(&self, end: Result<(), CloseReason>) {
        if self.end.get().is_none() {
            self.end.set(Some(end));
            self.wake();
        }
    }

    /// The middle proxy has closed it; its id is gone.
    pub(super) fn closed_by_telegram(&self) {
        *self.place.borrow_mut() = Place::Gone;
        self.finish(Ok(()));
    }

    /// The session has gone, or sends nothing more.
    pub(super) fn leave(&self) {
        let place = self.place.replace(Place::Gone);
        if let Place::On(link, conn) = place {
            link.close(conn);
        }
        self.down.take();
    }

    /// Something came from Telegram for it, whether it gets that or not.
    pub(super) fn hear(&self, moment: Moment) {
        self.heard.set(Some(moment));
    }

    /// How it frames its answers, when it takes this one.
    pub(super) fn takes(&self, message: &[u8]) -> Option<Framing> {
        let mut down = self.down.borrow_mut();
        let down = down.as_mut().filter(|_| self.end.get().is_none())?;
        if message == NOT_FOUND && down.filter != ErrorFilter::Off {
            self.counters().errors_filtered.add(1);
            return None;
        }
        down.answered |= message.len() >= SHORTEST_MESSAGE;
        if down.filter == ErrorFilter::First {
            // Only what comes before anything else is kept from it.
            down.filter = ErrorFilter::Off;
        }
        Some(down.framing)
    }

    /// How it frames quick acks, when it takes any.
    pub(super) fn takes_ack(&self) -> Option<Framing> {
        self.down.borrow().as_ref().filter(|_| self.end.get().is_none()).map(|down| down.framing)
    }

    /// How long a no-op frame behind a piece of the stream has to be for it to be no shorter than a TLS record: nothing where
    /// none is needed, or none may be sent.
    pub(super) fn missing(&self, len: usize) -> usize {
        let down = self.down.borrow();
        let Some(down) = &*down else { return 0 };
        let skips = self.asked_ack.get() && down.answered;
        let short = len > 0 && len < MIN_RECORD && down.exit.is_in_records();
        if short && skips { noop_len(len) } else { 0 }
    }

    /// Encrypts the next bytes of the stream in place, if that is done here.
    pub(super) fn encrypt(&self, bytes: &mut [u8]) {
        if let Some(down) = &mut *self.down.borrow_mut() {
            down.exit.encrypt(bytes);
        }
    }

    /// Encrypts the next bytes of the stream; they come to stand in `to`, which is as long.
    pub(super) fn encrypt_to(&self, bytes: &[u8], to: &mut [u8]) {
        if let Some(down) = &mut *self.down.borrow_mut() {
            down.exit.encrypt_to(bytes, to);
        }
    }

    /// Sends an encrypted piece of the stream to the client. What is not taken waits, and the session's task is woken once
    /// more is.
    pub(super) fn deliver(&self, piece: &[u8]) {
        let down = self.down.borrow();
        let Some(down) = down.as_ref().filter(|_| self.end.get().is_none()) else { return };
        let waker = self.waker.borrow();
        let mut cx = Context::from_waker(waker.as_ref().unwrap_or(Waker::noop()));
        let sent = down.exit.deliver(&mut cx, piece);
        let over = down.exit.waiting() > down.queue_limit;
        drop(waker);
        match sent {
            Ok(taken) => self.counters().to_client.add(taken as u64),
            Err(_) => return self.finish(Err(CloseReason::client(Kind::Reset))),
        }
        if over {
            self.finish(Err(CloseReason::client(Kind::Queue)));
        }
    }

    /// Bytes that wait for the client.
    pub(super) fn queued(&self) -> usize {
        self.down.borrow().as_ref().map_or(0, |down| down.exit.waiting())
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("len", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Waiting {
    fn count(&mut self) {
        self.held.set(self.unsent.iter().map(|message| message.bytes.len()).sum());
    }
}
