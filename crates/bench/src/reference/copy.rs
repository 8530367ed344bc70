//! Read, then write.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use super::{Mover, Progress};

/// Bytes read at once.
const BUFFER: usize = 64 << 10;

pub(super) struct Copier {
    buffer: Box<[u8]>,
}

impl Copier {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; BUFFER].into() }
    }
}

impl Mover for Copier {
    /// What the destination did not take.
    type Held = Vec<u8>;

    fn advance(
        &mut self,
        mut from: &TcpStream,
        to: &TcpStream,
        held: &mut Self::Held,
    ) -> io::Result<Progress> {
        if !held.is_empty() {
            let sent = write(to, held)?;
            held.drain(..sent);
            if !held.is_empty() {
                return Ok(Progress::Blocked);
            }
            *held = Vec::new();
        }
        loop {
            let len = match from.read(&mut self.buffer) {
                Ok(0) => return Ok(Progress::Over),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Progress::Drained),
                Err(error) => return Err(error),
            };
            let sent = write(to, &self.buffer[..len])?;
            if sent < len {
                held.extend_from_slice(&self.buffer[sent..len]);
                return Ok(Progress::Blocked);
            }
        }
    }

    fn finish(&mut self, _held: Self::Held) {}
}

/// Writes what the socket takes; says how much.
fn write(mut to: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match to.write(&bytes[sent..]) {
            Ok(len) => sent += len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
