//! The two ends of the load, made so that they cost little: what is sent is one block over and over, sealed as the
//! protocol wants it, and each end knows every byte that has to come. The key stream makes a lost or doubled piece garble
//! all that follows it.
//!
//! A client sends orders, each one message of [`ECHO`] bytes: send it back; send so many blocks; take so many blocks and
//! then send the order back.

pub(crate) mod client;
pub(crate) mod codec;
pub(crate) mod dc;
pub(crate) mod middle;
mod padding;
mod part;
pub(crate) mod published;

use std::cell::RefCell;
use std::io;
use std::sync::LazyLock;

use teleferry_sim::pattern;
use tokio::net::TcpStream;

/// Length of every order, in bytes of message.
pub(crate) const ECHO: usize = 152;
/// The same with its frame.
pub(crate) const ORDER: usize = 4 + ECHO;
/// Length of a block, in bytes: one message with its frame.
pub(crate) const BLOCK: usize = 64 << 10;

/// What a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// This order back.
    Echo,
    /// So many blocks.
    Down(u64),
    /// To send so many blocks, and then this order back.
    Up(u64),
}

/// Stands where an encrypted message has its key id.
const KEY_ID: [u8; 8] = *b"TFBENCH1";

impl Order {
    /// The order as a frame. `number` makes its content differ.
    pub(crate) fn encode(self, number: u64) -> [u8; ORDER] {
        let (kind, blocks) = match self {
            Self::Echo => (0, 0),
            Self::Down(blocks) => (1, blocks),
            Self::Up(blocks) => (2, blocks),
        };
        let mut frame = [0; ORDER];
        frame[..4].copy_from_slice(&(ECHO as u32).to_le_bytes());
        frame[4..12].copy_from_slice(&KEY_ID);
        frame[12..20].copy_from_slice(&u64::to_le_bytes(kind));
        frame[20..28].copy_from_slice(&blocks.to_le_bytes());
        pattern::fill(number, 0, &mut frame[28..]);
        frame
    }

    /// What a frame orders; `None` when it is no order.
    pub(crate) fn decode(frame: &[u8; ORDER]) -> Option<Self> {
        let number = |at: usize| Some(u64::from_le_bytes(*frame.get(at..)?.first_chunk()?));
        if frame[..4] != (ECHO as u32).to_le_bytes() || frame[4..12] != KEY_ID {
            return None;
        }
        match (number(12)?, number(20)?) {
            (0, 0) => Some(Self::Echo),
            (1, blocks) => Some(Self::Down(blocks)),
            (2, blocks) => Some(Self::Up(blocks)),
            _ => None,
        }
    }
}

/// The block that is sent over and over.
pub(crate) fn block() -> &'static [u8] {
    static SHARED: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut block = vec![0; BLOCK];
        block[..4].copy_from_slice(&((BLOCK - 4) as u32).to_le_bytes());
        block[4..12].copy_from_slice(&KEY_ID);
        pattern::fill(0, 0, &mut block[12..]);
        block
    });
    &SHARED
}

/// Blocks that are expected.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    /// Bytes still to come.
    left: u64,
}

impl Expected {
    pub(crate) const fn blocks(blocks: u64) -> Self {
        Self { left: blocks * BLOCK as u64 }
    }

    pub(crate) const fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Whether these bytes are what had to come next.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() && self.left > 0 {
            let at = BLOCK - 1 - ((self.left - 1) % BLOCK as u64) as usize;
            let (now, rest) = bytes.split_at(bytes.len().min(BLOCK - at));
            if now != &block()[at..at + now.len()] {
                return false;
            }
            self.left -= now.len() as u64;
            bytes = rest;
        }
        bytes.is_empty()
    }
}

/// Sends all of it.
pub(crate) async fn send(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(len) => bytes = &bytes[len..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits for bytes and hands them over, in a buffer that all connections of this thread share.
pub(crate) async fn receive<T>(
    stream: &TcpStream,
    mut take: impl FnMut(&mut [u8]) -> io::Result<T>,
) -> io::Result<T> {
    loop {
        stream.readable().await?;
        let taken = SCRATCH.with_borrow_mut(|scratch| match stream.try_read(scratch) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => take(&mut scratch[..len]).map(Some),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        })?;
        if let Some(taken) = taken {
            return Ok(taken);
        }
    }
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; 4 * BLOCK]);
}

/// Something else came than what was sent.
pub(crate) fn mismatch(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a byte is wrong: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_survive() {
        for order in [Order::Echo, Order::Down(7), Order::Up(u64::MAX)] {
            let frame = order.encode(3);
            assert_eq!(Order::decode(&frame), Some(order));
            assert_ne!(frame, order.encode(4));
        }
        assert_eq!(Order::decode(&[0; ORDER]), None);
    }

    #[test]
    fn blocks_are_expected_in_any_pieces_and_no_byte_may_differ() {
        let sent = block().repeat(2);
        for size in [1, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK] {
            let mut expected = Expected::blocks(2);
            assert!(sent.chunks(size).all(|chunk| expected.take(chunk)) && expected.is_over(), "{size}");
            assert!(!expected.take(&[0]), "one byte too many");
            let mut spoilt = sent.clone();
            spoilt[BLOCK + 5] ^= 1;
            let mut expected = Expected::blocks(2);
            assert!(!spoilt.chunks(size).all(|chunk| expected.take(chunk)), "{size}");
        }
    }
}
