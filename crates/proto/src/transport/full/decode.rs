//! Reading full frames.

use super::{Checksum, FIRST_SEQUENCE, FullFrameError, HEADER, MAX_FRAME, MIN_FRAME, PADDING_WORD, TRAILER};

/// Reads the frames of one direction. Frames that are whole in the input stay there; others are collected.
///
/// For every piece of input: [`begin`](Self::begin), then [`next_frame`](Self::next_frame) until it has none. Between two pieces at most one
/// frame is kept, its length judged before; memory follows the bytes that came, not the length that was claimed.
/// Chunk-invariant.
#[derive(Debug)]
pub struct Decoder {
    /// Of the next frame.
    sequence: i32,
    checksum: Checksum,
    /// The longest frame taken, in bytes.
    limit: usize,
    /// Frames, or the beginning of one, that are not whole in the input: `held[..taken]` were given out already.
    held: Vec<u8>,
    taken: usize,
    /// The most bytes that were held lately.
    most: usize,
}

/// Where a payload stands; valid until the decoder's next [`begin`](Decoder::begin). [`Decoder::at`] finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    held: bool,
    start: usize,
    end: usize,
}

impl Place {
    /// The last `len` bytes of this place.
    #[must_use]
    pub const fn last(self, len: usize) -> Self {
        let start = self.end.saturating_sub(len);
        Self { start: if start < self.start { self.start } else { start }, ..self }
    }

    /// How many bytes stand there.
    #[must_use]
    pub const fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// True when nothing stands there.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl Decoder {
    /// A decoder before the first frame of a connection, with CRC-32.
    #[must_use]
    pub const fn new() -> Self {
        Self::starting_at(FIRST_SEQUENCE, Checksum::Crc32)
    }

    /// A decoder in the middle of a connection.
    #[must_use]
    pub const fn starting_at(sequence: i32, checksum: Checksum) -> Self {
        Self { sequence, checksum, limit: MAX_FRAME, held: Vec::new(), taken: 0, most: 0 }
    }

    /// The next frame and all later ones carry this checksum.
    pub const fn set_checksum(&mut self, checksum: Checksum) {
        self.checksum = checksum;
    }

    /// Takes no frame that is longer than this many bytes from now on. At the beginning it is [`MAX_FRAME`].
    pub const fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// A new piece of input is at hand; what was given out of the last one is forgotten.
    pub fn begin(&mut self) {
        self.most = self.most.max(self.held.len());
        self.held.drain(..self.taken.min(self.held.len()));
        self.taken = 0;
        if self.held.is_empty() {
            self.held.shrink_to(KEPT_CAPACITY);
        }
    }

    /// Gives back memory that was not needed since this was called last. What was given out of the last input is forgotten.
    pub fn relax(&mut self) -> usize {
        self.begin();
        let before = self.held.capacity();
        // Not for little: memory that is given back and taken again in turn comes to lie in pieces.
        if before / 4 > self.most {
            self.held.shrink_to(self.most);
        }
        self.most = self.held.len();
        before.saturating_sub(self.held.capacity())
    }

    /// Adds bytes that stand before the rest of the input and not in it.
    pub fn hold(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Bytes that are kept and were not given out: between two pieces of input, the beginning of one frame.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len().saturating_sub(self.taken)
    }

    /// The payload of the next whole frame. `read` says how much of the input is used, and is moved on; it is all used
    /// when there is no frame left.
    ///
    /// # Errors
    /// A frame that is refused. The stream cannot be read any further.
    pub fn next_frame(&mut self, input: &[u8], read: &mut usize) -> Result<Option<Place>, FullFrameError> {
        loop {
            let held = self.held() > 0;
            let Some(&word) = self.beginning(input, read, 4).and_then(<[u8]>::first_chunk) else {
                return Ok(None);
            };
            if word == PADDING_WORD {
                self.pass(held, read, word.len());
                continue;
            }
            let len = frame_len(word, self.limit)?;
            let (sequence, checksum) = (self.sequence, self.checksum);
            let Some(frame) = self.beginning(input, read, len) else { return Ok(None) };
            check(frame, sequence, checksum)?;
            self.sequence = sequence.wrapping_add(1);
            let start = self.pass(held, read, len);
            let end = start.saturating_add(len).saturating_sub(TRAILER);
            return Ok(Some(Place { held, start: start.saturating_add(HEADER), end }));
        }
    }

    /// The bytes at a place of the input it was found in.
    #[must_use]
    pub fn at<'a>(&'a self, input: &'a [u8], place: Place) -> &'a [u8] {
        let bytes = if place.held { &self.held } else { input };
        bytes.get(place.start..place.end).unwrap_or_default()
    }

    /// The next `len` bytes, in the input when nothing is held. When they are not all here, what is here is held.
    fn beginning<'a>(&'a mut self, input: &'a [u8], read: &mut usize, len: usize) -> Option<&'a [u8]> {
        let rest = input.get(*read..).unwrap_or_default();
        let pending = self.held();
        if pending == 0 && rest.len() >= len {
            return rest.get(..len);
        }
        let missing = rest.get(..len.saturating_sub(pending)).unwrap_or(rest);
        self.held.extend_from_slice(missing);
        *read = read.saturating_add(missing.len());
        self.held.get(self.taken..)?.get(..len)
    }

    /// Goes on behind `len` bytes; says where they began.
    fn pass(&mut self, held: bool, read: &mut usize, len: usize) -> usize {
        let position = if held { &mut self.taken } else { read };
        let start = *position;
        *position = start.saturating_add(len);
        start
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Capacity that stays when nothing is held, in bytes, until [`Decoder::relax`].
const KEPT_CAPACITY: usize = 1 << 20;

/// The length of the frame that begins with `word`, in bytes.
fn frame_len(word: [u8; 4], limit: usize) -> Result<usize, FullFrameError> {
    let len = u32::from_le_bytes(word) as usize;
    let legal = len.is_multiple_of(4) && len >= MIN_FRAME && len <= limit;
    legal.then_some(len).ok_or(FullFrameError::Length)
}

/// Judges a whole frame.
fn check(frame: &[u8], sequence: i32, checksum: Checksum) -> Result<(), FullFrameError> {
    let (covered, trailer) = frame.split_last_chunk::<TRAILER>().ok_or(FullFrameError::Length)?;
    if *trailer != checksum.of(covered).to_le_bytes() {
        return Err(FullFrameError::Checksum);
    }
    let found = covered.get(4..HEADER).ok_or(FullFrameError::Length)?;
    if found != sequence.to_le_bytes() { Err(FullFrameError::Sequence) } else { Ok(()) }
}
