//! Collecting whole frames from a stream.

use super::header::raw_is_quick_ack;
use super::{FrameError, FrameHeader, Framing, client_header, quick_ack_bytes, server_header};

/// One message from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The message, without what is known to be padding.
    pub message: Vec<u8>,
    /// The client wants a quick ack.
    pub quick_ack: bool,
}

/// What a server sends to its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerFrame {
    /// A message, or a small special payload (below 16 bytes: an error code or a no-op).
    Message(Vec<u8>),
    /// The four bytes of a quick ack, as they stood in the server's packet.
    QuickAck([u8; 4]),
}

/// Collects frames from a client. Buffers at most one frame, its length checked first, beside what was pushed.
#[derive(Debug)]
pub struct ClientDecoder {
    framing: Framing,
    buffer: Buffer,
}

impl ClientDecoder {
    /// A decoder at a frame border.
    #[must_use]
    pub const fn new(framing: Framing) -> Self {
        Self { framing, buffer: Buffer::new() }
    }

    /// Adds decrypted bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.push(bytes);
    }

    /// The next whole frame; `Ok(None)` when more bytes are needed.
    ///
    /// # Errors
    /// An illegal length. The stream cannot be read any further.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some(header) = client_header(self.framing, self.buffer.rest())? else { return Ok(None) };
        Ok(self.buffer.take_frame(&header).map(|message| Frame { message, quick_ack: header.quick_ack }))
    }
}

/// Collects frames from a server. Buffers at most one frame, its length checked first, beside what was pushed.
#[derive(Debug)]
pub struct ServerDecoder {
    framing: Framing,
    buffer: Buffer,
}

impl ServerDecoder {
    /// A decoder at a frame border.
    #[must_use]
    pub const fn new(framing: Framing) -> Self {
        Self { framing, buffer: Buffer::new() }
    }

    /// Adds decrypted bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.push(bytes);
    }

    /// The next whole frame or quick ack; `Ok(None)` when more bytes are needed.
    ///
    /// # Errors
    /// An illegal length. The stream cannot be read any further.
    pub fn next_frame(&mut self) -> Result<Option<ServerFrame>, FrameError> {
        match raw_is_quick_ack(self.framing, self.buffer.rest()) {
            None => return Ok(None),
            Some(true) => {
                let ack = self.buffer.take(4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
                return Ok(ack.map(|wire| ServerFrame::QuickAck(quick_ack_bytes(self.framing, wire))));
            }
            Some(false) => {}
        }
        let Some(header) = server_header(self.framing, self.buffer.rest())? else { return Ok(None) };
        Ok(self.buffer.take_frame(&header).map(ServerFrame::Message))
    }
}

/// Bytes not yet taken. Taken ones are moved out only when more are pushed, so that many small frames in one read cost
/// one move.
#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    taken: usize,
}

impl Buffer {
    const fn new() -> Self {
        Self { bytes: Vec::new(), taken: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken.min(self.bytes.len()));
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    fn take(&mut self, len: usize) -> Option<&[u8]> {
        let end = self.taken.checked_add(len)?;
        let bytes = self.bytes.get(self.taken..end)?;
        self.taken = end;
        Some(bytes)
    }

    /// The message of a frame that has arrived whole.
    fn take_frame(&mut self, header: &FrameHeader) -> Option<Vec<u8>> {
        let skip = usize::from(header.header_len);
        let message_end = skip.checked_add(header.message_len() as usize)?;
        let whole = self.take(skip.checked_add(header.body_len as usize)?)?;
        let message = whole.get(skip..message_end).map(<[u8]>::to_vec);
        self.give_back();
        message
    }

    /// Gives the memory of a long frame back when nothing is left to take: a connection may be idle for days.
    fn give_back(&mut self) {
        const KEPT: usize = 4 << 10;
        if self.taken == self.bytes.len() && self.bytes.capacity() > KEPT {
            *self = Self::new();
        }
    }
}
