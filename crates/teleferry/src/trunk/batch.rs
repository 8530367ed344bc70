//! What h2 writes frame by frame leaves in one piece: one TLS record, one write to the socket, one time that the other end is
//! woken. h2 by itself flushes behind every frame of more than 256 bytes.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are gathered: as many as a TLS record holds. What is longer goes on as it is, behind what was gathered.
const MOST: usize = 16 << 10;

/// Pieces of one write that are looked at: what was gathered, a frame's head, and what is in it.
const PIECES: usize = 4;

/// A connection as h2 has it.
pub(crate) struct Batched<S>(Rc<Batch<S>>);

/// A connection, and what is gathered for it.
pub(crate) struct Batch<S> {
    stream: RefCell<S>,
    gathered: RefCell<Vec<u8>>,
    /// A round is under way: what is written waits for its end.
    holds: Cell<bool>,
    /// Something was written and not flushed.
    dirty: Cell<bool>,
    /// What went wrong at the end of a round; the next that reads or writes is told.
    failure: Cell<Option<io::Error>>,
}

impl<S> Batched<S> {
    /// This connection for h2, and for whoever drives it.
    pub(crate) fn new(stream: S) -> (Self, Rc<Batch<S>>) {
        let batch = Rc::new(Batch {
            stream: RefCell::new(stream),
            gathered: RefCell::default(),
            holds: Cell::new(false),
            dirty: Cell::new(false),
            failure: Cell::default(),
        });
        (Self(Rc::clone(&batch)), batch)
    }
}

impl<S: AsyncWrite + Unpin> Batch<S> {
    /// Has h2 go on, and then sends what it wrote. Outside of such a round it is sent when h2 says so.
    pub(crate) fn round<T>(&self, cx: &mut Context<'_>, go: impl FnOnce(&mut Context<'_>) -> T) -> T {
        self.holds.set(true);
        let went = go(cx);
        self.holds.set(false);
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            self.failure.set(Some(error));
            cx.waker().wake_by_ref();
        }
        went
    }

    /// Sends what is gathered.
    fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.dirty.get() {
            return Poll::Ready(Ok(()));
        }
        let stream = &mut *self.stream.borrow_mut();
        let gathered = &mut *self.gathered.borrow_mut();
        while !gathered.is_empty() {
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, gathered))?;
            take(gathered, written)?;
        }
        ready!(Pin::new(stream).poll_flush(cx))?;
        self.dirty.set(false);
        Poll::Ready(Ok(()))
    }

    fn poll_write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if let Some(error) = self.failure.take() {
            return Poll::Ready(Err(error));
        }
        self.dirty.set(true);
        let gathered = &mut *self.gathered.borrow_mut();
        let len: usize = slices.iter().map(|slice| slice.len()).sum();
        if gathered.len() + len <= MOST {
            slices.iter().for_each(|slice| gathered.extend_from_slice(slice));
            return Poll::Ready(Ok(len));
        }
        let stream = &mut *self.stream.borrow_mut();
        loop {
            let before = gathered.len();
            let mut pieces = [IoSlice::new(&[]); PIECES];
            let [first, others @ ..] = &mut pieces;
            *first = IoSlice::new(gathered);
            let count = slices.len().min(others.len());
            others[..count].copy_from_slice(&slices[..count]);
            let pieces = &pieces[usize::from(before == 0)..=count];
            let written = ready!(Pin::new(&mut *stream).poll_write_vectored(cx, pieces))?;
            take(gathered, written.min(before))?;
            if written > before {
                return Poll::Ready(Ok(written - before));
            }
        }
    }
}

/// So many of the bytes that were gathered are written.
fn take(gathered: &mut Vec<u8>, written: usize) -> io::Result<()> {
    if written == 0 && !gathered.is_empty() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    gathered.drain(..written);
    Ok(())
}

impl<S: AsyncRead + Unpin> AsyncRead for Batched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.0.failure.take() {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Batched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0.holds.get() {
            return Poll::Ready(Ok(()));
        }
        self.0.poll_send(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.0.poll_send(cx))?;
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_shutdown(cx)
    }
}

impl<S> fmt::Debug for Batched<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Batched").field(&self.0).finish()
    }
}

impl<S> fmt::Debug for Batch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("gathered", &self.gathered.borrow().len())
            .field("dirty", &self.dirty.get())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Takes `width` bytes of every other write and nothing of those between, or all of each; or fails.
    struct Narrow {
        width: usize,
        opens: bool,
        writes: Vec<Vec<u8>>,
        fails: bool,
    }

    impl Narrow {
        const fn new(width: usize) -> Self {
            Self { width, opens: width == usize::MAX, writes: Vec::new(), fails: false }
        }
    }

    impl AsyncWrite for Narrow {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(data)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            if self.fails {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            if self.width < usize::MAX {
                self.opens = !self.opens;
            }
            if !self.opens {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let mut bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            bytes.truncate(self.width);
            let len = bytes.len();
            self.writes.push(bytes);
            Poll::Ready(Ok(len))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncRead for Narrow {
        fn poll_read(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            _buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    /// Writes and flushes each, as h2 does.
    fn write_each(batched: &mut Batched<Narrow>, cx: &mut Context<'_>, pieces: &[&[u8]]) {
        for piece in pieces {
            let written = Pin::new(&mut *batched).poll_write(cx, piece).map(Result::ok);
            assert_eq!(written, Poll::Ready(Some(piece.len())));
            assert!(Pin::new(&mut *batched).poll_flush(cx).is_ready());
        }
    }

    #[test]
    fn what_is_written_in_one_round_leaves_in_one_piece() {
        let mut cx = Context::from_waker(Waker::noop());
        let (mut batched, batch) = Batched::new(Narrow::new(usize::MAX));
        batch.round(&mut cx, |cx| write_each(&mut batched, cx, &[b"one", b"two", b"three"]));
        write_each(&mut batched, &mut cx, &[b"four", b"five"]);
        batch.round(&mut cx, |_| ());
        let writes = &batch.stream.borrow().writes;
        assert_eq!(*writes, [&b"onetwothree"[..], b"four", b"five"]);
    }

    #[test]
    fn what_is_long_goes_on_behind_what_was_gathered() {
        let mut cx = Context::from_waker(Waker::noop());
        let (mut batched, batch) = Batched::new(Narrow::new(usize::MAX));
        let long = vec![7; MOST];
        batch.round(&mut cx, |cx| write_each(&mut batched, cx, &[b"short", &long, b"end"]));
        let writes = &batch.stream.borrow().writes;
        assert_eq!(*writes, [[b"short", &long[..]].concat(), b"end".to_vec()]);
    }

    #[tokio::test]
    async fn nothing_is_lost_or_doubled_however_little_is_taken() {
        for width in [1, 7, 1000, MOST, 3 * MOST] {
            let (mut batched, batch) = Batched::new(Narrow::new(width));
            let mut sent = Vec::new();
            for round in 0..40_usize {
                let len = if width < 1000 { round * 37 % 300 } else { round * 997 % (2 * MOST) };
                let data: Vec<u8> = (0..len).map(|at| (at * 31 + round) as u8).collect();
                let mut at = 0;
                poll_fn(|cx| {
                    batch.round(cx, |cx| {
                        while at < data.len() {
                            at += ready!(Pin::new(&mut batched).poll_write(cx, &data[at..]))?;
                        }
                        Poll::Ready(io::Result::Ok(()))
                    })
                })
                .await
                .expect("written");
                sent.extend_from_slice(&data);
                assert!(batch.gathered.borrow().len() <= MOST);
            }
            batched.shutdown().await.expect("all of it");
            assert!(batch.stream.borrow().writes.concat() == sent, "in writes of {width}");
        }
    }

    #[tokio::test]
    async fn what_goes_wrong_at_the_end_of_a_round_is_told() {
        let (mut batched, batch) = Batched::new(Narrow::new(usize::MAX));
        batch.stream.borrow_mut().fails = true;
        poll_fn(|cx| {
            batch.round(cx, |cx| write_each(&mut batched, cx, &[b"lost"]));
            Poll::Ready(())
        })
        .await;
        let error = batched.read(&mut [0; 1]).await.expect_err("it failed");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
