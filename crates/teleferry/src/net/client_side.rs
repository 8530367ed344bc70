//! The client's socket, with what it does not take yet.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use teleferry_proto::direct::{HEADROOM, TAILROOM};
use teleferry_proto::fake_tls::record;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::memory::Held;
use super::{Outbox, Pipe, Stream};

/// TLS records towards the client that one piece can fill.
const RECORDS: usize = 4;

/// The most bytes of the stream that are sent at once, up to [`ROOM`] more: full TLS records.
pub(crate) const PIECE: usize = RECORDS * record::MAX_RECORD;

/// What may be sent beyond that: what was kept before, and a no-op frame.
const ROOM: usize = HEADROOM + TAILROOM;

/// The client's end of a session. Its owner reads from it; whoever has bytes for the client writes them.
#[derive(Debug)]
pub(crate) struct ClientSide {
    stream: Stream,
    outbox: Outbox,
    /// The stream is wrapped in TLS records.
    tls: bool,
    held: Held,
}

impl ClientSide {
    /// A client whose stream goes in TLS records or not; what waits for it counts as `held`.
    pub(crate) fn new(stream: Stream, tls: bool, held: Held) -> Self {
        Self { stream, outbox: Outbox::default(), tls, held }
    }

    /// Reads what the client sent. 0 bytes: it has ended its side.
    ///
    /// # Errors
    /// The socket is broken.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut read = ReadBuf::new(buf);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Sends about [`PIECE`] bytes of the stream, with fake TLS between record headers; only what the socket does not take
    /// is copied. Says how many bytes it took; once it takes more, the task of `cx` is woken.
    ///
    /// # Errors
    /// The socket is broken.
    pub(crate) fn send(&mut self, cx: &mut Context<'_>, stream: &[u8]) -> io::Result<usize> {
        debug_assert!(stream.len() <= PIECE + ROOM, "more than fits into the records");
        let taken = if self.tls {
            self.send_records(cx, stream)
        } else {
            self.outbox.write(cx, &mut self.stream, stream)
        };
        self.held.set(self.outbox.len());
        taken
    }

    /// Offers the socket what waits; says how many bytes it took.
    ///
    /// # Errors
    /// The socket is broken.
    pub(crate) fn flush(&mut self, cx: &mut Context<'_>) -> io::Result<usize> {
        if self.outbox.is_empty() {
            return Ok(0);
        }
        let taken = self.outbox.flush(cx, &mut self.stream);
        self.held.set(self.outbox.len());
        taken
    }

    /// Begins a record of up to `len` bytes that the caller sends behind it; without fake TLS nothing has to be begun. Says
    /// how many bytes it is to have, and how many the socket took of its header.
    ///
    /// # Errors
    /// The socket is broken.
    pub(crate) fn begin_record(&mut self, cx: &mut Context<'_>, len: usize) -> io::Result<(usize, usize)> {
        if !self.tls {
            return Ok((len, 0));
        }
        let len = record::next_len(len);
        Ok((len, self.outbox.write_before_more(cx, &self.stream, &record::header(len))?))
    }

    /// Sends up to `len` bytes out of a pipe, with nothing waiting before them. With `more` others follow at once.
    pub(crate) fn drain(
        &self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
        len: usize,
        more: bool,
    ) -> Poll<io::Result<usize>> {
        pipe.drain(cx, &self.stream, len, more)
    }

    /// The address under which the client found us.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        self.stream.local_address()
    }

    /// Whether its stream goes in TLS records.
    pub(crate) const fn is_in_records(&self) -> bool {
        self.tls
    }

    /// Bytes that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.outbox.len()
    }

    /// Tells the client that nothing more comes.
    pub(crate) fn end(&mut self, cx: &mut Context<'_>) {
        // Never blocks on a TCP socket; an error shows in the next read.
        let _ = Pin::new(&mut self.stream).poll_shutdown(cx);
    }

    /// The socket itself; what waits is thrown away.
    pub(crate) fn into_stream(self) -> Stream {
        self.stream
    }

    fn send_records(&mut self, cx: &mut Context<'_>, stream: &[u8]) -> io::Result<usize> {
        let mut headers = [[0; record::HEADER_LEN]; RECORDS + 1];
        let mut contents = [&[][..]; RECORDS + 1];
        let (mut rest, mut used) = (stream, 0);
        for (header, content) in headers.iter_mut().zip(&mut contents) {
            if rest.is_empty() {
                break;
            }
            (*content, rest) = rest.split_at(record::next_len(rest.len()));
            *header = record::header(content.len());
            used += 2;
        }
        let mut slices = [IoSlice::new(&[]); 2 * (RECORDS + 1)];
        for (pair, (header, content)) in slices.chunks_exact_mut(2).zip(headers.iter().zip(contents)) {
            pair.copy_from_slice(&[IoSlice::new(header), IoSlice::new(content)]);
        }
        self.outbox.write_vectored(cx, &mut self.stream, &mut slices[..used])
    }
}
