//! What goes through a trunk's socket.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock;
use crate::observe::TrunkCounters;
use crate::sys::{self, Way};

/// Bytes that are read at once where there are many. TLS asks for 4 KiB, a quarter of a record.
const AHEAD: usize = 128 << 10;

/// A socket whose bytes are counted, and read ahead of those who ask for few.
pub(crate) struct Metered<S> {
    socket: S,
    meter: Rc<Meter>,
    ahead: Ahead,
}

/// What was read and not asked for.
#[derive(Default)]
struct Ahead {
    /// Of [`AHEAD`] bytes once a read has come full: who only knocks needs none.
    buffer: Box<[u8]>,
    /// Where it stands there.
    kept: Range<usize>,
}

/// What is known of a trunk's socket.
#[derive(Debug)]
pub(crate) struct Meter {
    counters: RefCell<Arc<TrunkCounters>>,
    heard: Cell<Instant>,
    /// Bytes that were written to the socket.
    written: Cell<u64>,
    /// Nothing that was to be written waits in front of the socket.
    flushed: Cell<bool>,
    /// The same socket, to be asked how far the other end has come.
    socket: RefCell<Option<OwnedFd>>,
}

impl Meter {
    /// Counts there.
    pub(crate) fn new(counters: Arc<TrunkCounters>) -> Self {
        Self {
            counters: RefCell::new(counters),
            heard: Cell::new(clock::now()),
            written: Cell::new(0),
            flushed: Cell::new(true),
            socket: RefCell::default(),
        }
    }

    /// From now on the socket can be asked how far the other end has come.
    pub(crate) fn watch(&self, socket: BorrowedFd<'_>) {
        // Without a descriptor for it, less is known.
        self.socket.replace(socket.try_clone_to_owned().ok());
    }

    /// From now on it is counted there.
    pub(crate) fn count_for(&self, counters: Arc<TrunkCounters>) {
        self.counters.replace(counters);
    }

    fn sent(&self, bytes: usize) {
        self.counters.borrow().sent.add(bytes as u64);
        self.written.set(self.written.get() + bytes as u64);
    }

    /// Bytes that were written so far, once nothing waits in front of the socket.
    pub(crate) fn flushed(&self) -> Option<u64> {
        self.flushed.get().then_some(self.written.get())
    }

    /// Bytes that the other end's system is known to have; `None` where ours does not tell.
    pub(crate) fn acknowledged(&self) -> Option<u64> {
        let unacknowledged = sys::unacknowledged(self.socket.borrow().as_ref()?.as_fd())?;
        Some(self.written.get().saturating_sub(unacknowledged))
    }

    /// What the system knows of the way to the other end; `None` where it does not tell.
    pub(crate) fn way(&self) -> Option<Way> {
        sys::way(self.socket.borrow().as_ref()?.as_fd())
    }

    /// When something last came.
    pub(crate) const fn heard(&self) -> Instant {
        self.heard.get()
    }
}

impl<S> Metered<S> {
    /// This socket.
    pub(crate) fn new(socket: S, meter: Rc<Meter>) -> Self {
        Self { socket, meter, ahead: Ahead::default() }
    }
}

impl<S: AsyncRead + Unpin> Metered<S> {
    /// Reads what there is from the socket.
    fn poll_socket(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        self.meter.counters.borrow().received.add((buf.filled().len() - before) as u64);
        self.meter.heard.set(clock::now());
        Poll::Ready(Ok(()))
    }

    /// Fills the buffer that is read ahead.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut buffer = std::mem::take(&mut self.ahead.buffer);
        let mut read = ReadBuf::new(&mut buffer);
        let polled = self.poll_socket(cx, &mut read);
        self.ahead.kept = 0..read.filled().len();
        self.ahead.buffer = buffer;
        polled
    }

    /// The socket.
    pub(crate) const fn socket(&self) -> &S {
        &self.socket
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.kept.is_empty() {
            if self.ahead.buffer.is_empty() {
                ready!(self.poll_socket(cx, buf))?;
                if buf.remaining() == 0 {
                    self.ahead.buffer = vec![0; AHEAD].into();
                }
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_ahead(cx))?;
        }
        let Ahead { buffer, kept } = &mut self.ahead;
        let end = kept.end.min(kept.start + buf.remaining());
        buf.put_slice(&buffer[kept.start..end]);
        kept.start = end;
        Poll::Ready(Ok(()))
    }
}

impl<S> fmt::Debug for Metered<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metered")
            .field("meter", &self.meter)
            .field("kept", &self.ahead.kept)
            .finish_non_exhaustive()
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.meter.flushed.set(false);
        let written = ready!(Pin::new(&mut self.socket).poll_write(cx, data))?;
        self.meter.sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.meter.flushed.set(false);
        let written = ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, slices))?;
        self.meter.sent(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        // TLS asks for it once it has nothing left.
        self.meter.flushed.set(true);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn metered<S>(socket: S) -> Metered<S> {
        Metered::new(socket, Rc::new(Meter::new(Arc::default())))
    }

    #[tokio::test]
    async fn bytes_stay_in_order_however_few_are_asked_for() {
        let sent: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        let (near, mut far) = tokio::io::duplex(100_000);
        let mut near = metered(near);
        let writing = async {
            for piece in sent.chunks(70_001) {
                far.write_all(piece).await.expect("written");
            }
            drop(far);
        };
        let reading = async {
            let mut got = Vec::new();
            for asked in (1..).map(|round: usize| 1 + round * 977 % 9000) {
                let mut buf = vec![0; asked];
                let read = near.read(&mut buf).await.expect("read");
                if read == 0 {
                    return got;
                }
                got.extend_from_slice(&buf[..read]);
            }
            got
        };
        let ((), got) = tokio::join!(writing, reading);
        assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
        assert_eq!(near.meter.counters.borrow().received.get(), sent.len() as u64);
    }

    #[tokio::test]
    async fn who_sends_little_gets_no_buffer() {
        let (near, mut far) = tokio::io::duplex(100_000);
        let mut near = metered(near);
        for _ in 0..10 {
            far.write_all(&[1; 4095]).await.expect("written");
            assert_eq!(near.read(&mut [0; 4096]).await.expect("read"), 4095);
        }
        assert!(near.ahead.buffer.is_empty());
        far.write_all(&[1; 9000]).await.expect("written");
        for expected in [4096, 4096, 808] {
            assert_eq!(near.read(&mut [0; 4096]).await.expect("read"), expected);
        }
        assert_eq!(near.ahead.buffer.len(), AHEAD);
    }
}
