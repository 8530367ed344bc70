//! An accepted client: from its raw bytes to judged frames, in place, whatever the cut of the input.

use std::ops::Range;

use crate::cipher::CtrStream;
use crate::fake_tls::record;
use crate::message::{JUDGED_PREFIX, Judgement, judge};
use crate::transport::{FrameError, Framing, HEADER_MAX, client_header};

/// Bytes that must be free in front of the data given to [`Session::receive`]: the undecided beginning of a frame, kept
/// from the last call, goes there.
pub const HEADROOM: usize = HEADER_MAX + JUDGED_PREFIX;

/// Why a session cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionError {
    /// An illegal frame.
    Frame(FrameError),
    /// An illegal TLS record.
    Record(record::RecordError),
}

impl From<FrameError> for SessionError {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

impl From<record::RecordError> for SessionError {
    fn from(error: record::RecordError) -> Self {
        Self::Record(error)
    }
}

/// What one call of [`Session::receive`] made of its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Where in the buffer the decrypted frames stand that go on to Telegram; may begin or end inside a frame. It may
    /// begin up to [`HEADROOM`] bytes before the data that were given.
    pub stream: Range<usize>,
    /// Messages that began and may pass.
    pub messages: u32,
    /// Messages that began and are dropped at the edge.
    pub filtered: u32,
}

/// The client's direction of an accepted connection: TLS records off, decrypted, frames judged. A stream codec: works in
/// place, keeps at most [`HEADROOM`] bytes between calls.
#[derive(Debug)]
pub struct Session {
    records: Option<record::Reader>,
    from_client: CtrStream,
    edge: EdgeFilter,
}

impl Session {
    /// A session right behind the 64-byte header. `records` is the reader that the header came through, with fake TLS.
    #[must_use]
    pub const fn new(framing: Framing, from_client: CtrStream, records: Option<record::Reader>) -> Self {
        Self { records, from_client, edge: EdgeFilter::new(framing) }
    }

    /// Takes the raw bytes at `buf[data]`. At least [`HEADROOM`] bytes in front of them are free to be written over.
    ///
    /// # Errors
    /// The client broke the protocol; what it sent before that in the same call is lost with it.
    pub fn receive(&mut self, buf: &mut [u8], data: Range<usize>) -> Result<Received, SessionError> {
        let payload = match (&mut self.records, buf.get_mut(data.clone())) {
            (Some(records), Some(raw)) => records.read(raw)?,
            _ => data.len(),
        };
        self.receive_stream(buf, data.start..data.start.saturating_add(payload))
    }

    /// As [`receive`](Self::receive), for bytes that are out of their TLS records already.
    ///
    /// # Errors
    /// The client broke the protocol.
    pub fn receive_stream(&mut self, buf: &mut [u8], data: Range<usize>) -> Result<Received, SessionError> {
        if let Some(stream) = buf.get_mut(data.clone()) {
            self.from_client.apply(stream);
        }
        Ok(self.edge.filter(buf, data)?)
    }

    /// True when the client has begun a frame that is not complete.
    #[must_use]
    pub const fn is_inside_frame(&self) -> bool {
        self.edge.held_len > 0 || !matches!(self.edge.at, Position::Border)
    }
}

/// Walks the frames of a decrypted stream, refuses illegal lengths, and takes out the messages that may not pass.
#[derive(Debug)]
struct EdgeFilter {
    framing: Framing,
    at: Position,
    /// The beginning of a frame that cannot be judged yet: `held[..held_len]`.
    held: [u8; HEADROOM],
    held_len: u8,
}

#[derive(Debug, Clone, Copy)]
enum Position {
    /// Between two frames.
    Border,
    /// This many bytes of a frame are still to come and pass on.
    Forwarding(u32),
    /// This many bytes of a frame are still to come and are dropped.
    Dropping(u32),
}

impl EdgeFilter {
    const fn new(framing: Framing) -> Self {
        Self { framing, at: Position::Border, held: [0; HEADROOM], held_len: 0 }
    }

    fn filter(&mut self, buf: &mut [u8], data: Range<usize>) -> Result<Received, FrameError> {
        let start = self.unhold(buf, data.start);
        let mut received = Received { stream: start..start, messages: 0, filtered: 0 };
        let mut read = start;
        while read < data.end {
            let rest = buf.get(read..data.end).unwrap_or_default();
            match self.at {
                Position::Border => match self.begin(rest)? {
                    None => {
                        self.hold(rest);
                        break;
                    }
                    Some(Position::Dropping(len)) => {
                        self.at = Position::Dropping(len);
                        received.filtered = received.filtered.saturating_add(1);
                    }
                    Some(at) => {
                        self.at = at;
                        received.messages = received.messages.saturating_add(1);
                    }
                },
                Position::Forwarding(left) => {
                    let len = rest.len().min(left as usize);
                    let to = received.stream.end;
                    if to != read {
                        buf.copy_within(read..read.saturating_add(len), to);
                    }
                    received.stream.end = to.saturating_add(len);
                    read = read.saturating_add(len);
                    self.at = after(left, len, Position::Forwarding);
                }
                Position::Dropping(left) => {
                    let len = rest.len().min(left as usize);
                    read = read.saturating_add(len);
                    self.at = after(left, len, Position::Dropping);
                }
            }
        }
        Ok(received)
    }

    /// Judges the frame that begins with `rest`; `None` when more of it is needed.
    fn begin(&self, rest: &[u8]) -> Result<Option<Position>, FrameError> {
        let Some(header) = client_header(self.framing, rest)? else { return Ok(None) };
        let header_len = usize::from(header.header_len);
        let whole = header.body_len.saturating_add(u32::from(header.header_len));
        Ok(match judge(header.message_len(), rest.get(header_len..).unwrap_or_default()) {
            Judgement::NeedMore => None,
            Judgement::Forward => Some(Position::Forwarding(whole)),
            Judgement::Drop => Some(Position::Dropping(whole)),
        })
    }

    /// Keeps the undecided beginning of a frame for the next call.
    fn hold(&mut self, undecided: &[u8]) {
        debug_assert!(undecided.len() <= HEADROOM, "a frame is judged by its first bytes");
        for (to, from) in self.held.iter_mut().zip(undecided) {
            *to = *from;
        }
        self.held_len = undecided.len().min(HEADROOM) as u8;
    }

    /// Puts what was kept in front of the new data; says where the stream begins now.
    fn unhold(&mut self, buf: &mut [u8], data_start: usize) -> usize {
        let len = usize::from(self.held_len);
        let Some(start) = data_start.checked_sub(len) else { return data_start };
        if let (Some(to), Some(from)) = (buf.get_mut(start..data_start), self.held.get(..len)) {
            to.copy_from_slice(from);
        }
        self.held_len = 0;
        start
    }
}

/// Where a frame stands after `len` of the `left` bytes were taken.
fn after(left: u32, len: usize, inside: fn(u32) -> Position) -> Position {
    match left.saturating_sub(len as u32) {
        0 => Position::Border,
        left => inside(left),
    }
}
