//! What comes in a call.

use std::fmt;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use h2::{Reason, RecvStream};
use http::HeaderMap;
use teleferry_proto::call::{CallError, Piece, Reader};

use super::Status;
use crate::observe::CallRefusal;

/// The receiving end of a call.
pub(crate) struct Incoming {
    stream: RecvStream,
    reader: Reader,
    /// What came and is not read.
    chunk: Bytes,
    /// Bytes that were read and whose room the sender has not back.
    owed: usize,
    /// Nothing more comes.
    ended: Option<Ended>,
}

/// What is said beside the data.
#[derive(Debug)]
pub(crate) enum Note {
    /// A field with bytes.
    Field(u32, Vec<u8>),
    /// A field that is a number.
    Number(u32, u64),
}

/// How a call ended.
#[derive(Debug, Clone)]
pub(crate) enum Ended {
    /// The other side sends nothing more; only the called side gives a status.
    Said(Option<Status>, Option<String>),
    /// What it says cannot be understood.
    Garbled(CallError),
    /// The other side broke this call off.
    Reset(Reason),
    /// The connection is gone, or goes and has not taken this call.
    Lost {
        /// It is known that nothing of the call was looked at.
        untouched: bool,
    },
}

impl Ended {
    /// What a call that ends so before it was taken is counted as.
    pub(crate) fn refusal(&self) -> CallRefusal {
        match self {
            Self::Said(Some(status), _) => status.refusal(),
            Self::Garbled(error) => Status::from(*error).refusal(),
            Self::Said(None, _) | Self::Reset(_) | Self::Lost { .. } => CallRefusal::Lost,
        }
    }

    /// The end of which h2 tells.
    pub(crate) fn of(error: &h2::Error) -> Self {
        match error.reason() {
            Some(Reason::REFUSED_STREAM) => Self::Lost { untouched: true },
            // A connection that goes in order has not touched what came behind its last stream.
            Some(Reason::NO_ERROR) if error.is_go_away() => Self::Lost { untouched: true },
            Some(reason) if error.is_reset() && error.is_remote() => Self::Reset(reason),
            _ => Self::Lost { untouched: false },
        }
    }
}

impl Incoming {
    /// The receiving end of this stream.
    pub(crate) fn new(stream: RecvStream) -> Self {
        Self { stream, reader: Reader::default(), chunk: Bytes::new(), owed: 0, ended: None }
    }

    /// What was read so far has been used: the sender may send as much again.
    pub(crate) fn release(&mut self) {
        if self.owed > 0 {
            // Fails when the stream is over, and then nobody waits for it.
            let _ = self.stream.flow_control().release_capacity(std::mem::take(&mut self.owed));
        }
    }

    /// Bytes that came and were not used: what a reader that stands still keeps in memory.
    pub(crate) fn held(&mut self) -> usize {
        self.stream.flow_control().used_capacity()
    }

    /// Waits for a note that comes before any data.
    pub(crate) fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Result<Note, Ended>> {
        loop {
            while let Some((first, _)) = self.chunk.split_first_chunk::<1>() {
                if self.reader.is_in_data() {
                    return Poll::Ready(Err(Ended::Garbled(CallError::Field)));
                }
                let piece = self.reader.next(&mut &first[..]).map_err(Ended::Garbled)?;
                self.owed += 1;
                let note = match piece {
                    Some(Piece::Field(number, bytes)) => Some(Note::Field(number, bytes)),
                    Some(Piece::Number(number, value)) => Some(Note::Number(number, value)),
                    Some(Piece::Data(_)) | None => None,
                };
                self.chunk.advance(1);
                if let Some(note) = note {
                    return Poll::Ready(Ok(note));
                }
            }
            self.chunk = ready!(self.poll_chunk(cx))?;
        }
    }

    /// Reads data into `buf`, which has room, as many as are there and find some. Notes go to `note`.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        mut note: impl FnMut(Note),
    ) -> Poll<Result<usize, Ended>> {
        let mut filled = 0;
        loop {
            while !self.chunk.is_empty() && filled < buf.len() {
                let room = (buf.len() - filled).min(self.chunk.len());
                let mut rest = &self.chunk[..room];
                let piece = self.reader.next(&mut rest);
                let used = room - rest.len();
                match piece {
                    Ok(Some(Piece::Data(data))) => {
                        buf[filled..filled + data.len()].copy_from_slice(data);
                        filled += data.len();
                    }
                    Ok(Some(Piece::Field(number, bytes))) => note(Note::Field(number, bytes)),
                    Ok(Some(Piece::Number(number, value))) => note(Note::Number(number, value)),
                    Ok(None) => {}
                    Err(error) => {
                        self.ended = Some(Ended::Garbled(error));
                        self.chunk = Bytes::new();
                        break;
                    }
                }
                self.owed += used;
                self.chunk.advance(used);
            }
            if filled == buf.len() {
                return Poll::Ready(Ok(filled));
            }
            if let Some(ended) = &self.ended {
                return Poll::Ready(if filled > 0 { Ok(filled) } else { Err(ended.clone()) });
            }
            match self.poll_chunk(cx) {
                Poll::Pending if filled > 0 => return Poll::Ready(Ok(filled)),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(chunk)) => self.chunk = chunk,
                Poll::Ready(Err(ended)) => self.ended = Some(ended),
            }
        }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Ended>> {
        match ready!(self.stream.poll_data(cx)) {
            Some(Ok(chunk)) => Poll::Ready(Ok(chunk)),
            Some(Err(error)) => Poll::Ready(Err(Ended::of(&error))),
            None => {
                let trailers = ready!(self.stream.poll_trailers(cx));
                Poll::Ready(Err(match trailers {
                    Ok(trailers) => self.over(trailers.as_ref()),
                    Err(error) => Ended::of(&error),
                }))
            }
        }
    }

    fn over(&self, trailers: Option<&HeaderMap>) -> Ended {
        if !self.reader.is_between() {
            // Broken off inside a message: whoever stands between the two gave up.
            return Ended::Lost { untouched: false };
        }
        Ended::Said(trailers.and_then(Status::read), trailers.and_then(Status::sentence))
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("reader", &self.reader)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
