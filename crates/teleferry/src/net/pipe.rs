//! Pipes, through which bytes go from socket to socket without being copied.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll};

use rustix::io::read;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use super::{Source, Stream};

/// Bytes that a pipe can hold, if the system lets it.
const CAPACITY: usize = 256 << 10;

/// Pipes that one shard has at most, two descriptors each. Who finds none copies.
pub(crate) const PIPES: usize = 32;

/// The pipes of one shard.
#[derive(Debug)]
pub(crate) struct Pipes {
    free: RefCell<Vec<Ends>>,
    /// How many more may be made.
    budget: RefCell<usize>,
}

#[derive(Debug)]
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

/// A pipe on loan. It goes back empty, or is closed.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// There until it is dropped.
    ends: Option<Ends>,
    filled: usize,
    home: Rc<Pipes>,
}

impl Default for Pipes {
    fn default() -> Self {
        Self { free: RefCell::default(), budget: RefCell::new(PIPES) }
    }
}

impl Pipes {
    /// An empty pipe; `None` when all are in use or the system has none to give.
    pub(crate) fn lend(self: &Rc<Self>) -> Option<Pipe> {
        let ends = match self.free.borrow_mut().pop() {
            Some(ends) => ends,
            None => {
                let mut budget = self.budget.borrow_mut();
                *budget = budget.checked_sub(1)?;
                match Ends::make() {
                    Ok(ends) => ends,
                    Err(_) => {
                        *budget += 1;
                        return None;
                    }
                }
            }
        };
        Some(Pipe { ends: Some(ends), filled: 0, home: Rc::clone(self) })
    }
}

impl Pipes {
    /// Closes those that nobody uses.
    pub(crate) fn close_free(&self) {
        let free = self.free.take();
        *self.budget.borrow_mut() += free.len();
    }
}

impl Ends {
    fn make() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        // Refused to those who have many already; it works with less.
        let _ = fcntl_setpipe_size(&write, CAPACITY);
        Ok(Self { read, write })
    }
}

impl Pipe {
    /// Bytes in it.
    pub(crate) const fn filled(&self) -> usize {
        self.filled
    }

    /// Moves up to `limit` bytes of what a socket has into the pipe, which must be empty; so that nothing moved means an idle socket, not a full
    /// pipe. 0: the other end has closed.
    pub(crate) fn fill(
        &mut self,
        cx: &mut Context<'_>,
        from: &impl Source,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        debug_assert!(self.filled == 0, "a full pipe would look like an idle socket");
        let Some(ends) = &self.ends else { return Poll::Ready(Ok(0)) };
        let moved = from.poll_read_with(cx, |socket| {
            move_bytes(socket, &ends.write, limit.min(CAPACITY), SpliceFlags::empty())
        });
        if let Poll::Ready(Ok(n)) = &moved {
            self.filled += n;
        }
        moved
    }

    /// Takes bytes out of the pipe; says how many.
    ///
    /// # Errors
    /// The pipe is broken.
    pub(crate) fn take(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some(ends) = &self.ends else { return Ok(0) };
        let taken = read(&ends.read, buf)?;
        self.filled -= taken;
        Ok(taken)
    }

    /// Moves up to `limit` bytes from the pipe, which holds as many, into a socket. `more`: something follows at once.
    pub(crate) fn drain(
        &mut self,
        cx: &mut Context<'_>,
        to: &Stream,
        limit: usize,
        more: bool,
    ) -> Poll<io::Result<usize>> {
        debug_assert!(limit > 0 && limit <= self.filled, "an empty pipe would look like a full socket");
        let Some(ends) = &self.ends else { return Poll::Ready(Ok(0)) };
        let flags = if more { SpliceFlags::MORE } else { SpliceFlags::empty() };
        let moved = to.poll_write_with(cx, |socket| move_bytes(&ends.read, socket, limit, flags));
        if let Poll::Ready(Ok(n)) = &moved {
            self.filled -= n;
        }
        moved
    }
}

fn move_bytes(from: impl AsFd, to: impl AsFd, len: usize, flags: SpliceFlags) -> io::Result<usize> {
    Ok(splice(from, None, to, None, len, flags | SpliceFlags::NONBLOCK | SpliceFlags::MOVE)?)
}

impl Drop for Pipe {
    fn drop(&mut self) {
        match self.ends.take() {
            Some(ends) if self.filled == 0 => self.home.free.borrow_mut().push(ends),
            // What is in it is nobody else's.
            _ => *self.home.budget.borrow_mut() += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_come_back_and_there_are_only_so_many() {
        let pipes = Rc::new(Pipes::default());
        let mut lent: Vec<_> = (0..PIPES).map(|_| pipes.lend().expect("a pipe")).collect();
        assert!(pipes.lend().is_none());
        lent[0].filled = 1;
        drop(lent);
        assert_eq!((pipes.free.borrow().len(), *pipes.budget.borrow()), (PIPES - 1, 1));
        assert!(pipes.lend().is_some());
        pipes.close_free();
        assert_eq!((pipes.free.borrow().len(), *pipes.budget.borrow()), (0, PIPES));
    }
}
