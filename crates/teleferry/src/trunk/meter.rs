//! What goes through a trunk's socket.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock;
use crate::observe::TrunkCounters;

/// A socket whose bytes are counted.
#[derive(Debug)]
pub(crate) struct Metered<S> {
    socket: S,
    meter: Rc<Meter>,
}

/// What is known of a trunk's socket.
#[derive(Debug)]
pub(crate) struct Meter {
    counters: RefCell<Arc<TrunkCounters>>,
    heard: Cell<Instant>,
}

impl Meter {
    /// Counts there.
    pub(crate) fn new(counters: Arc<TrunkCounters>) -> Self {
        Self { counters: RefCell::new(counters), heard: Cell::new(clock::now()) }
    }

    /// From now on it is counted there.
    pub(crate) fn count_for(&self, counters: Arc<TrunkCounters>) {
        self.counters.replace(counters);
    }

    fn sent(&self, bytes: usize) {
        self.counters.borrow().sent.add(bytes as u64);
    }

    /// When something last came.
    pub(crate) const fn heard(&self) -> Instant {
        self.heard.get()
    }
}

impl<S> Metered<S> {
    /// This socket.
    pub(crate) const fn new(socket: S, meter: Rc<Meter>) -> Self {
        Self { socket, meter }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        self.meter.counters.borrow().received.add((buf.filled().len() - before) as u64);
        self.meter.heard.set(clock::now());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write(cx, data))?;
        self.meter.sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, slices))?;
        self.meter.sent(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
