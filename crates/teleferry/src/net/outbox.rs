//! What a socket would not take yet.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::net::{SendFlags, send};
use tokio::io::AsyncWrite;

use super::Stream;

/// Bytes on their way into a socket. Holds memory only while the socket refuses some: an idle connection keeps none.
#[derive(Debug, Default)]
pub(crate) struct Outbox(Option<Box<Waiting>>);

/// The most bytes in one block: room for what one read of the other side produces. Much that waits is many blocks, which are
/// freed as they are sent and fit into each other's places; a single buffer would have to be moved to grow, and would
/// keep what was sent.
const BLOCK: usize = 72 << 10;

/// Blocks that are offered to a socket at once.
const AT_ONCE: usize = 16;

/// Bytes that wait. Apart, so that an outbox with nothing in it is one word.
#[derive(Debug, Default)]
struct Waiting {
    /// None is empty.
    blocks: VecDeque<Vec<u8>>,
    /// How many bytes of the first block are sent.
    sent: usize,
    /// Bytes that are not sent, in all blocks.
    len: usize,
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
        self.0.get_or_insert_default().append(data);
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
        let taken = waiting.offer(cx, socket)?;
        if waiting.len == 0 {
            self.0 = None;
        }
        Ok(taken)
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.len)
    }

    /// True when nothing waits.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl Waiting {
    fn append(&mut self, mut data: &[u8]) {
        self.len += data.len();
        while !data.is_empty() {
            let block = match self.blocks.back_mut() {
                Some(last) if last.len() < BLOCK => last,
                _ => self.blocks.push_back_mut(Vec::new()),
            };
            let (now, later) = data.split_at(data.len().min(BLOCK - block.len()));
            let needed = block.len() + now.len();
            if block.capacity() < needed {
                block.reserve_exact((2 * block.capacity()).min(BLOCK).max(needed) - block.len());
            }
            block.extend_from_slice(now);
            data = later;
        }
    }

    /// Writes until all is taken or the socket is full; says how many bytes it took.
    fn offer<S: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, socket: &mut S) -> io::Result<usize> {
        let before = self.len;
        while self.len > 0 {
            let mut slices = [IoSlice::new(&[]); AT_ONCE];
            let offered = self.blocks.len().min(AT_ONCE);
            for (slice, block) in slices.iter_mut().zip(&self.blocks) {
                *slice = IoSlice::new(block);
            }
            IoSlice::advance(&mut slices[0], self.sent);
            match Pin::new(&mut *socket).poll_write_vectored(cx, &slices[..offered]) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(taken)) => self.forget(taken),
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        Ok(before - self.len)
    }

    /// The first `len` bytes are sent.
    fn forget(&mut self, len: usize) {
        self.len -= len;
        self.sent += len;
        while let Some(block) = self.blocks.pop_front_if(|block| block.len() <= self.sent) {
            self.sent -= block.len();
        }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A socket that takes so many bytes more.
    #[derive(Debug, Default)]
    struct Socket {
        room: usize,
        taken: Vec<u8>,
        vectored: bool,
    }

    impl AsyncWrite for Socket {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
            let len = data.len().min(self.room);
            if len == 0 {
                return Poll::Pending;
            }
            self.room -= len;
            self.taken.extend_from_slice(&data[..len]);
            Poll::Ready(Ok(len))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            let one = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
            let data = if self.vectored { &all } else { one };
            self.as_mut().poll_write(cx, data)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn is_write_vectored(&self) -> bool {
            self.vectored
        }
    }

    /// Bytes that are allocated.
    fn allocated(outbox: &Outbox) -> usize {
        outbox.0.iter().flat_map(|waiting| &waiting.blocks).map(Vec::capacity).sum()
    }

    fn cx() -> Context<'static> {
        Context::from_waker(std::task::Waker::noop())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn bytes_leave_in_order_whatever_the_socket_takes(
            steps in proptest::collection::vec((0..200_000_usize, 0..200_000_usize, 0..3_u8), 1..12),
            vectored in any::<bool>(),
        ) {
            let (mut outbox, mut socket) = (Outbox::default(), Socket { vectored, ..Socket::default() });
            let mut sent = Vec::new();
            let mut counted = 0;
            for (number, (len, room, how)) in steps.into_iter().enumerate() {
                socket.room = room;
                let data: Vec<u8> = (0..len).map(|at| (at / 7 + number) as u8).collect();
                sent.extend_from_slice(&data);
                counted += match how {
                    0 => outbox.write(&mut cx(), &mut socket, &data).unwrap(),
                    1 => {
                        let (one, other) = data.split_at(len / 3);
                        let slices = &mut [IoSlice::new(one), IoSlice::new(other)];
                        outbox.write_vectored(&mut cx(), &mut socket, slices).unwrap()
                    }
                    _ => {
                        outbox.hold(&data);
                        outbox.flush(&mut cx(), &mut socket).unwrap()
                    }
                };
                prop_assert_eq!((counted, outbox.len()), (socket.taken.len(), sent.len() - counted));
                prop_assert_eq!(outbox.is_empty(), socket.taken.len() == sent.len());
                prop_assert!(allocated(&outbox) <= outbox.len() + 2 * BLOCK);
            }
            socket.room = usize::MAX;
            outbox.flush(&mut cx(), &mut socket).unwrap();
            prop_assert!(outbox.is_empty() && socket.taken == sent);
        }
    }

    /// What was sent was kept until all was: a client that is always a little behind took memory without bound, that nobody
    /// counted.
    #[test]
    fn what_is_sent_is_not_kept_though_something_always_waits() {
        let (mut outbox, mut socket) = (Outbox::default(), Socket { vectored: true, ..Socket::default() });
        outbox.hold(&[0; 100_000]);
        for _ in 0..1000 {
            socket.room = 20_000;
            outbox.write(&mut cx(), &mut socket, &[1; 20_000]).unwrap();
            assert_eq!(outbox.len(), 100_000);
            assert!(allocated(&outbox) <= 100_000 + 2 * BLOCK, "{}", allocated(&outbox));
            socket.taken.clear();
        }
    }

    #[test]
    fn little_takes_little() {
        let mut outbox = Outbox::default();
        outbox.hold(&[0; 100]);
        assert!(allocated(&outbox) < 200);
    }
}
