//! The outgoing direction of a link: frames are appended to one buffer, padded and encrypted once a flush, and kept until
//! they are written.

use std::collections::VecDeque;

use crate::cipher::{BLOCK, CbcStream};
use crate::rpc::ConnId;
use crate::transport::full::{self, Checksum, Encoder};

/// A message that was taken for a link and certainly did not arrive: the link went away before all of it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    /// Whose it is.
    pub conn: ConnId,
    /// The message.
    pub message: Vec<u8>,
    /// It asked for a quick ack.
    pub quick_ack: bool,
}

/// What is being sent.
#[derive(Debug)]
pub(super) struct Sender {
    encoder: Encoder,
    /// Encrypts what is behind `sealed`; `None` while frames go out in the open.
    cipher: Option<CbcStream>,
    /// Frames that are not, or not all, written.
    out: Vec<u8>,
    /// Bytes at the front of `out` that are as they go out.
    sealed: usize,
    /// Bytes at the front of `out` that are written; never more than `sealed`.
    written: usize,
    /// Position of `out`'s first byte on the connection.
    base: u64,
    /// Position behind the last frame that is all written, its last block too.
    done: u64,
    /// Where in `out` the encrypted part begins, and the cipher as it stood before that.
    origin: Option<(usize, CbcStream)>,
    /// Frames that are not all written, in order.
    queue: VecDeque<Queued>,
    /// How many of them are replies.
    replies: usize,
    /// The most bytes that `out` had lately.
    most: usize,
}

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// A client's message: the last `len` bytes of the payload.
    Message { conn: ConnId, len: u32, quick_ack: bool },
    /// What the other side made us say.
    Reply,
    /// Anything else.
    Other,
}

#[derive(Debug)]
struct Queued {
    /// Position behind the frame on the connection.
    end: u64,
    content: Content,
}

/// What is written is moved out once it is this much, and half of all.
const COMPACT_AT: usize = 64 << 10;

/// Capacity that stays when all is written, in bytes, until [`Sender::relax`].
const KEPT_CAPACITY: usize = 1 << 20;

/// Replies that may wait at the same time. A peer that asks more without reading is not answered.
const MAX_REPLIES: usize = 1024;

impl Sender {
    /// A sender before the first frame.
    pub(super) const fn new() -> Self {
        Self {
            encoder: Encoder::new(),
            cipher: None,
            out: Vec::new(),
            sealed: 0,
            written: 0,
            base: 0,
            done: 0,
            origin: None,
            queue: VecDeque::new(),
            replies: 0,
            most: 0,
        }
    }

    /// Everything behind the frames so far goes out encrypted.
    pub(super) fn encrypt_with(&mut self, cipher: CbcStream) {
        self.seal();
        self.origin = Some((self.out.len(), cipher.clone()));
        self.cipher = Some(cipher);
    }

    /// All frames from the next one on carry this checksum.
    pub(super) const fn set_checksum(&mut self, checksum: Checksum) {
        self.encoder.set_checksum(checksum);
    }

    /// Appends one frame. Replies are left out while too many wait.
    pub(super) fn push(&mut self, parts: &[&[u8]], content: Content) {
        if content == Content::Reply {
            if self.replies >= MAX_REPLIES {
                return;
            }
            self.replies = self.replies.saturating_add(1);
        }
        self.encoder.encode(parts, &mut self.out);
        let end = self.base.saturating_add(self.out.len() as u64);
        self.queue.push_back(Queued { end, content });
    }

    /// Appends bytes as they are, before encryption: what no encoder would write.
    pub(super) fn push_raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        let end = self.base.saturating_add(self.out.len() as u64);
        self.queue.push_back(Queued { end, content: Content::Other });
    }

    /// All that is to be written now, encrypted.
    pub(super) fn transmit(&mut self) -> &[u8] {
        self.seal();
        self.out.get(self.written..).unwrap_or_default()
    }

    /// The first `len` bytes of the last [`transmit`](Self::transmit) are written.
    pub(super) fn transmitted(&mut self, len: usize) {
        self.written = self.written.saturating_add(len).min(self.sealed);
        let position = self.base.saturating_add(self.written as u64);
        let decipherable = self.base.saturating_add(self.decipherable() as u64);
        while let Some(frame) = self.queue.pop_front_if(|frame| frame.end <= decipherable) {
            self.done = frame.end;
            if frame.content == Content::Reply {
                self.replies = self.replies.saturating_sub(1);
            }
        }
        if self.written == self.out.len() {
            self.base = position;
            (self.sealed, self.written) = (0, 0);
            self.out.clear();
            self.out.shrink_to(KEPT_CAPACITY);
            self.origin = self.cipher.clone().map(|cipher| (0, cipher));
        } else {
            self.compact();
        }
    }

    /// Bytes at the front of `out` that the other side can read: what is encrypted only in whole blocks.
    fn decipherable(&self) -> usize {
        let origin = self.origin.as_ref().map_or(self.written, |(origin, _)| *origin);
        match self.written.checked_sub(origin) {
            Some(encrypted) => self.written.saturating_sub(encrypted % BLOCK),
            None => self.written,
        }
    }

    /// Gives back memory that was not needed since this was called last.
    pub(super) fn relax(&mut self) -> usize {
        let before = self.out.capacity();
        // Not for little: memory that is given back and taken again in turn comes to lie in pieces.
        if before / 4 > self.most {
            self.out.shrink_to(self.most);
        }
        self.most = self.out.len();
        self.queue.shrink_to(self.queue.len());
        before.saturating_sub(self.out.capacity())
    }

    /// Bytes that wait to be written.
    pub(super) const fn queued(&self) -> usize {
        self.out.len().saturating_sub(self.written)
    }

    /// The messages that are not, or not all, written, in order.
    pub(super) fn into_unsent(mut self) -> Vec<Unsent> {
        if let Some((origin, cipher)) = &mut self.origin
            && let Some(encrypted) = self.out.get_mut(*origin..self.sealed)
        {
            cipher.decrypt(encrypted);
        }
        let message = |frame: &Queued| {
            let Content::Message { conn, len, quick_ack } = frame.content else { return None };
            let end = frame.end.checked_sub(self.base)?.checked_sub(full::TRAILER as u64)? as usize;
            let message = self.out.get(end.checked_sub(len as usize)?..end)?.to_vec();
            Some(Unsent { conn, message, quick_ack })
        };
        self.queue.iter().filter_map(message).collect()
    }

    /// Bytes that were appended and are not ready to go out yet.
    pub(super) const fn unsealed(&self) -> usize {
        self.out.len().saturating_sub(self.sealed)
    }

    /// Makes what was appended to both ready to go out, which costs less than for each by itself.
    pub(super) fn seal_with(&mut self, other: &mut Self) {
        if let (Some(own), Some(others)) = (self.padded(), other.padded()) {
            CbcStream::encrypt_two(own, others);
            (self.sealed, other.sealed) = (self.out.len(), other.out.len());
        }
    }

    /// Makes what was appended ready to go out.
    fn seal(&mut self) {
        if let Some((cipher, data)) = self.padded() {
            cipher.encrypt(data);
        }
        self.sealed = self.out.len();
    }

    /// What was appended, in whole blocks, and its cipher; `None` while frames go out in the open.
    fn padded(&mut self) -> Option<(&mut CbcStream, &mut [u8])> {
        self.most = self.most.max(self.out.len());
        let cipher = self.cipher.as_mut()?;
        full::pad(&mut self.out, self.sealed);
        Some((cipher, self.out.get_mut(self.sealed..).unwrap_or_default()))
    }

    /// Moves out what is written, when it is much; but nothing of a frame that is only partly written, as it may have to
    /// be read again.
    fn compact(&mut self) {
        let done = self.done.saturating_sub(self.base) as usize;
        if done < COMPACT_AT || done < self.out.len() / 2 {
            return;
        }
        let Some((origin, cipher)) = &mut self.origin else { return };
        let Some(encrypted) = done.checked_sub(*origin) else { return };
        let cut = done.saturating_sub(encrypted % BLOCK);
        cipher.skip(self.out.get(*origin..cut).unwrap_or_default());
        *origin = 0;
        self.out.drain(..cut.min(self.out.len()));
        self.base = self.base.saturating_add(cut as u64);
        self.sealed = self.sealed.saturating_sub(cut);
        self.written = self.written.saturating_sub(cut);
    }
}
