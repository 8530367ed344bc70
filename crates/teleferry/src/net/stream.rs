//! A connection of either kind that the system has: TCP, or a unix socket on this machine.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::sys;

/// A connected stream socket.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Over the network.
    Tcp(TcpStream),
    /// Within this machine.
    Unix(UnixStream),
}

/// Which kind of socket a listening descriptor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SocketKind {
    /// TCP over IPv4 or IPv6.
    Tcp,
    /// A unix socket.
    Unix,
}

/// The other end of an accepted connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// Its address.
    Inet(SocketAddr),
    /// A process on this machine.
    Local,
}

impl Stream {
    /// Takes over a connected, non-blocking descriptor.
    ///
    /// # Errors
    /// The runtime cannot watch it.
    pub(crate) fn adopt(fd: OwnedFd, kind: SocketKind) -> io::Result<Self> {
        Ok(match kind {
            SocketKind::Tcp => Self::Tcp(TcpStream::from_std(fd.into())?),
            SocketKind::Unix => Self::Unix(UnixStream::from_std(fd.into())?),
        })
    }
}

/// A socket that bytes can be taken from by other means than reading.
pub(crate) trait Source {
    /// Calls `read` with the socket when it is readable, until it does something else than to find nothing.
    fn poll_read_with<T>(
        &self,
        cx: &mut Context<'_>,
        read: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Poll<io::Result<T>>;
}

impl Source for TcpStream {
    fn poll_read_with<T>(
        &self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(self.poll_read_ready(cx))?;
            match self.try_io(Interest::READABLE, || read(self.as_fd())) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl Source for Stream {
    fn poll_read_with<T>(
        &self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_with(cx, read),
            Self::Unix(stream) => loop {
                ready!(stream.poll_read_ready(cx))?;
                match stream.try_io(Interest::READABLE, || read(stream.as_fd())) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    done => return Poll::Ready(done),
                }
            },
        }
    }
}

impl Stream {
    /// Ready once there is something to read: bytes, an end or an error.
    ///
    /// # Errors
    /// The runtime stops.
    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    /// Whether the other end has reset since it ended. Told once.
    pub(crate) fn was_reset(&self) -> bool {
        match self {
            Self::Tcp(stream) => !matches!(stream.take_error(), Ok(None)),
            Self::Unix(stream) => !matches!(stream.take_error(), Ok(None)),
        }
    }

    /// Closes with a reset, which a unix socket does not have. Bytes that the system has not sent are lost.
    pub(crate) fn reset(self) {
        if let Self::Tcp(stream) = &self {
            // It fails only when the connection is gone already.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }

    /// Bytes that the system has taken and not sent yet, because the other end does not read. None on a unix socket,
    /// where all are with the other end at once.
    pub(crate) fn unsent(&self) -> usize {
        match self {
            Self::Tcp(stream) => sys::unsent(stream.as_fd()),
            Self::Unix(_) => 0,
        }
    }

    /// Our address, over the network.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// The other end's address; `None` for a unix socket.
    pub(crate) fn peer_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Calls `write` with the socket when it is writable, until it does something else than to find no room.
    pub(super) fn poll_write_with<T>(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            let done = match self {
                Self::Tcp(stream) => {
                    ready!(stream.poll_write_ready(cx))?;
                    stream.try_io(Interest::WRITABLE, || write(stream.as_fd()))
                }
                Self::Unix(stream) => {
                    ready!(stream.poll_write_ready(cx))?;
                    stream.try_io(Interest::WRITABLE, || write(stream.as_fd()))
                }
            };
            match done {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Local => f.write_str("local"),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, data),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, data),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
