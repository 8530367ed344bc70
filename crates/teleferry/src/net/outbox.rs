//! What a socket would not take yet.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

/// Bytes on their way into a socket. Holds memory only while the socket refuses some: an idle connection keeps none.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
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
            self.bytes.extend_from_slice(data);
            return self.flush(cx, socket);
        }
        let taken = write_all(cx, socket, data)?;
        if taken < data.len() {
            self.bytes.extend_from_slice(&data[taken..]);
        }
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
            self.bytes.extend_from_slice(slice);
        }
        Ok(taken)
    }

    /// Keeps `data` until the next write or flush.
    pub(crate) fn hold(&mut self, data: &[u8]) {
        self.bytes.extend_from_slice(data);
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
        let taken = write_all(cx, socket, &self.bytes[self.sent..])?;
        self.sent += taken;
        if self.sent == self.bytes.len() {
            *self = Self::default();
        }
        Ok(taken)
    }

    /// Bytes that wait.
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// True when nothing waits.
    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
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
