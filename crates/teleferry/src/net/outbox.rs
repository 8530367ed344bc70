//! What a socket would not take yet.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::net::{SendFlags, send};
use tokio::io::AsyncWrite;

use super::Stream;

/// Bytes on their way into a socket. Holds memory only while the socket refuses some: an idle connection keeps none.
#[derive(Debug, Default)]
pub(crate) struct Outbox(Option<Box<Waiting>>);

/// Bytes that wait, some of them sent already. Apart, so that an outbox with nothing in it is one word.
#[derive(Debug)]
struct Waiting {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outbox {
    /// Writes `data` behind what waits already; what the socket does not take now is kept. Says how many bytes the
    /// socket took. When some are left, the task is woken once the socket takes more.
    ///
    /// # Errors
    /// The socket is broken.
    pub(crate) fn write<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut S,
        data: &[u8],
    ) -> io::Result<usize> {
        if !self.is_empty() {
            self.hold(data);
            return self.flush(cx, socket);
        }
        let taken = write_all(cx, socket, data)?;
        self.hold(&data[taken..]);
        Ok(taken)
    }

    /// As [`write`](Self::write), for data that stand in several places; they leave in one system call where the socket
    /// takes them. What was taken is cut off `slices`.
    ///
    /// # Errors
    /// The socket is broken.
    pub(crate) fn write_vectored<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut S,
        mut slices: &mut [IoSlice<'_>],
    ) -> io::Result<usize> {
        let mut taken = if self.is_empty() { 0 } else { self.flush(cx, socket)? };
        while self.is_empty() && !slices.is_empty() {
            match Pin::new(&mut *socket).poll_write_vectored(cx, slices) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => {
                    taken += n;
                    IoSlice::advance_slices(&mut slices, n);
                }
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        for slice in slices {
            self.hold(slice);
        }
        Ok(taken)
    }

    /// As [`write`](Self::write) with nothing waiting before it, for a few bytes that others follow at once: the kernel
    /// sends them together.
    ///
    /// # Errors
    /// The socket is broken.
    pub(crate) fn write_before_more(
        &mut self,
        cx: &mut Context<'_>,
        socket: &Stream,
        data: &[u8],
    ) -> io::Result<usize> {
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
        let taken = match socket.poll_write_with(cx, |fd| Ok(send(fd, data, flags)?)) {
            Poll::Pending => 0,
            Poll::Ready(taken) => taken?,
        };
        self.hold(&data[taken..]);
        Ok(taken)
    }

    /// Keeps `data` until the next write or flush.
    pub(crate) fn hold(&mut self, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        let waiting = self.0.get_or_insert_with(|| Box::new(Waiting { bytes: Vec::new(), sent: 0 }));
        waiting.bytes.extend_from_slice(data);
    }

    /// Offers the socket what waits; says how many bytes it took.
    ///
    /// # Errors
    /// The socket is broken.
    pub(crate) fn flush<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut S,
    ) -> io::Result<usize> {
        let Some(waiting) = &mut self.0 else { return Ok(0) };
        let taken = write_all(cx, socket, &waiting.bytes[waiting.sent..])?;
        waiting.sent += taken;
        if waiting.sent == waiting.bytes.len() {
            self.0 = None;
        }
        Ok(taken)
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.bytes.len() - waiting.sent)
    }

    /// True when nothing waits.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// Writes until all is taken or the socket is full.
fn write_all<S: AsyncWrite + Unpin>(cx: &mut Context<'_>, socket: &mut S, data: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    while taken < data.len() {
        match Pin::new(&mut *socket).poll_write(cx, &data[taken..]) {
            Poll::Pending => break,
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(n)) => taken += n,
            Poll::Ready(Err(error)) => return Err(error),
        }
    }
    Ok(taken)
}
