//! Through a pipe, within the kernel. Pipes are taken from a pool while there is something in them.

use std::io;
use std::net::TcpStream;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};

use super::{Mover, Progress};

/// Bytes moved at once: what a pipe holds.
const CHUNK: usize = 64 << 10;

#[derive(Default)]
pub(super) struct Splicer {
    pool: Vec<Pipe>,
}

/// A pipe, and how much is in it.
pub(super) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    len: usize,
}

impl Mover for Splicer {
    /// The pipe that holds what the destination did not take.
    type Held = Option<Pipe>;

    fn advance(&mut self, from: &TcpStream, to: &TcpStream, held: &mut Self::Held) -> io::Result<Progress> {
        let mut pipe = match held.take().or_else(|| self.pool.pop()) {
            Some(pipe) => pipe,
            None => Pipe::new()?,
        };
        loop {
            while pipe.len > 0 {
                match splice(&pipe.read, None, to, None, pipe.len, FLAGS) {
                    Ok(len) => pipe.len -= len,
                    Err(Errno::AGAIN) => {
                        *held = Some(pipe);
                        return Ok(Progress::Blocked);
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            // The pipe is empty, so it is the socket that has nothing when this would block.
            match splice(from, None, &pipe.write, None, CHUNK, FLAGS) {
                Ok(len) if len > 0 => pipe.len = len,
                ended_or_not @ (Ok(_) | Err(Errno::AGAIN)) => {
                    self.pool.push(pipe);
                    return Ok(if ended_or_not.is_ok() { Progress::Over } else { Progress::Drained });
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn finish(&mut self, _held: Self::Held) {
        // A pipe with something in it is of no more use.
    }
}

const FLAGS: SpliceFlags = SpliceFlags::NONBLOCK.union(SpliceFlags::MOVE);

impl Pipe {
    fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        Ok(Self { read, write, len: 0 })
    }
}
