//! What one side of a call sends, and how far it is with that.
//!
//! h2 is given whole messages and takes them when window and socket allow. It says nothing of that, but it takes the bytes
//! out of a buffer of ours: so we know to the byte what has left for the connection and what has not.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Buf;
use h2::{Reason, SendStream};
use http::HeaderMap;
use teleferry_proto::call;

use crate::entropy;
use crate::net::Held;

/// From so many bytes that wait on they are counted as memory in use.
const COUNTED_FROM: usize = 16 << 10;

/// The sending end of a call.
pub(crate) struct Outgoing {
    stream: SendStream<Parcel>,
    account: Rc<Account>,
    held: Held,
    /// Whether random bytes hide how long messages are.
    padding: bool,
    /// Nothing more can be sent.
    ended: bool,
}

/// What waits of one call.
#[derive(Debug, Default)]
struct Account {
    /// Bytes.
    waiting: Cell<usize>,
    /// Who wants to know when all has gone.
    waker: RefCell<Option<Waker>>,
}

/// A message, and how much of it has gone.
#[derive(Debug)]
pub(crate) struct Message {
    bytes: Vec<u8>,
    /// Where it begins in there.
    start: usize,
    /// Where its data are.
    data_end: usize,
    /// Up to where h2 has taken it.
    taken: Cell<usize>,
}

/// A message on its way through h2.
#[derive(Debug)]
pub(crate) struct Parcel {
    message: Rc<Message>,
    account: Rc<Account>,
}

impl Outgoing {
    /// The sending end of this stream; what waits is counted as `held`.
    pub(crate) fn new(stream: SendStream<Parcel>, padding: bool, held: Held) -> Self {
        Self { stream, account: Rc::default(), held, padding, ended: false }
    }

    /// Sends the data of a buffer that begins with [`call::HEADROOM`] free bytes. When the call is over, they do not leave;
    /// its receiving end knows why it is.
    pub(crate) fn send(&mut self, mut bytes: Vec<u8>) -> Rc<Message> {
        let data_end = bytes.len();
        let padding = if self.padding { drawn_padding(data_end) } else { 0 };
        let start = call::seal(&mut bytes, padding, entropy::fill);
        self.dispatch(Message { bytes, start, data_end, taken: Cell::new(start) }, false)
    }

    /// Sends a message without data; with `last` nothing follows.
    pub(crate) fn say(&mut self, note: Vec<u8>, last: bool) {
        let message = Message { bytes: note, start: 0, data_end: 0, taken: Cell::new(0) };
        self.dispatch(message, last);
    }

    fn dispatch(&mut self, message: Message, last: bool) -> Rc<Message> {
        let message = Rc::new(message);
        let account = Rc::clone(&self.account);
        account.waiting.set(account.waiting.get() + message.bytes.len() - message.start);
        self.ended |= last;
        // Refused when the call is over: what is thrown away does not wait.
        let _ = self.stream.send_data(Parcel { message: Rc::clone(&message), account }, last);
        message
    }

    /// Nothing more is sent.
    pub(crate) fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            self.dispatch(Message::empty(), true);
        }
    }

    /// Nothing more is sent, for this reason: only the called side says so.
    pub(crate) fn end_with(&mut self, trailers: HeaderMap) {
        if !self.ended {
            self.ended = true;
            let _ = self.stream.send_trailers(trailers);
        }
    }

    /// Breaks the call off; what waits is thrown away.
    pub(crate) fn reset(&mut self, reason: Reason) {
        self.ended = true;
        self.stream.send_reset(reason);
    }

    /// Ready once nothing can be sent any more: the other side has broken the call off, for the reason given, or the
    /// connection is gone.
    pub(crate) fn poll_broken(&mut self, cx: &mut Context<'_>) -> Poll<Option<Reason>> {
        self.stream.poll_reset(cx).map(Result::ok)
    }

    /// Bytes that h2 has not taken.
    pub(crate) fn waiting(&self) -> usize {
        self.account.waiting.get()
    }

    /// Counts what waits as memory in use; says whether there is too much of that.
    pub(crate) fn count(&mut self) -> bool {
        let waiting = self.waiting();
        self.held.set(if waiting < COUNTED_FROM { 0 } else { waiting });
        waiting >= COUNTED_FROM && self.held.is_over()
    }

    /// The task is woken once nothing waits any more.
    pub(crate) fn listen(&self, cx: &Context<'_>) {
        if self.waiting() == 0 {
            return;
        }
        let mut waker = self.account.waker.borrow_mut();
        match &mut *waker {
            Some(known) => known.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("account", &self.account)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// More padding for what is short, whose length would tell most.
fn drawn_padding(len: usize) -> usize {
    let [drawn] = entropy::array::<1>();
    match len {
        0..1024 => usize::from(drawn),
        1024..16384 => usize::from(drawn) / 4,
        _ => 0,
    }
}

impl Message {
    const fn empty() -> Self {
        Self { bytes: Vec::new(), start: 0, data_end: 0, taken: Cell::new(0) }
    }

    /// True once all of it has gone to the connection.
    pub(crate) fn is_gone(&self) -> bool {
        self.taken.get() == self.bytes.len()
    }

    /// Its data.
    pub(crate) fn data(&self) -> &[u8] {
        self.bytes.get(call::HEADROOM..self.data_end).unwrap_or_default()
    }

    /// How many of the data's bytes have gone.
    pub(crate) fn gone(&self) -> usize {
        self.taken.get().saturating_sub(call::HEADROOM).min(self.data().len())
    }
}

impl Parcel {
    /// A whole answer to somebody who does not call.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        let message = Rc::new(Message { bytes, ..Message::empty() });
        Self { message, account: Rc::default() }
    }
}

impl Buf for Parcel {
    fn remaining(&self) -> usize {
        self.message.bytes.len() - self.message.taken.get()
    }

    fn chunk(&self) -> &[u8] {
        &self.message.bytes[self.message.taken.get()..]
    }

    fn advance(&mut self, count: usize) {
        self.message.taken.set(self.message.taken.get() + count);
        self.account.take(count);
    }
}

impl Account {
    fn take(&self, count: usize) {
        self.waiting.set(self.waiting.get().saturating_sub(count));
        if self.waiting.get() == 0
            && let Some(waker) = self.waker.borrow_mut().take()
        {
            waker.wake();
        }
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        // What h2 throws away does not wait any more either.
        let rest = self.remaining();
        if rest > 0 {
            self.account.take(rest);
        }
    }
}
