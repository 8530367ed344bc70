//! The incoming direction of a link: first frames in the open, then frames under a cipher.

use crate::cipher::{BLOCK, CbcStream};
use crate::transport::full::{Checksum, Decoder, FullFrameError, PADDING_WORD, Place};

/// Decrypts in place and finds the frames. Keeps less than a block of bytes that cannot be decrypted yet, beside what the
/// [`Decoder`] keeps.
#[derive(Debug)]
pub(super) struct Receiver {
    decoder: Decoder,
    stage: Stage,
    /// What is not decrypted yet: `carry[..carry_len]`, less than a block.
    carry: [u8; BLOCK],
    carry_len: usize,
    /// How far the current input is decrypted; `None` before that.
    decrypted: Option<usize>,
}

#[derive(Debug)]
enum Stage {
    /// Frames in the open.
    Open,
    /// Behind the last frame in the open, where padding may stand.
    Padding(CbcStream),
    Encrypted(CbcStream),
}

impl Receiver {
    /// A receiver before the first frame, that takes frames up to `limit` bytes.
    pub(super) const fn new(limit: usize) -> Self {
        let mut decoder = Decoder::new();
        decoder.set_limit(limit);
        Self { decoder, stage: Stage::Open, carry: [0; BLOCK], carry_len: 0, decrypted: None }
    }

    /// Everything behind the last frame is encrypted.
    pub(super) fn decrypt_with(&mut self, cipher: CbcStream) {
        self.stage = Stage::Padding(cipher);
    }

    /// Whether what follows is encrypted.
    pub(super) const fn is_keyed(&self) -> bool {
        !matches!(self.stage, Stage::Open)
    }

    /// From the next frame on: this checksum, and frames of up to `limit` bytes.
    pub(super) const fn expect(&mut self, checksum: Checksum, limit: usize) {
        self.decoder.set_checksum(checksum);
        self.decoder.set_limit(limit);
    }

    /// A new piece of input is at hand; what was found in the last one is forgotten.
    pub(super) fn begin(&mut self) {
        self.decoder.begin();
        self.decrypted = None;
    }

    /// Gives back memory that was not needed since this was called last.
    pub(super) fn relax(&mut self) -> usize {
        self.decoder.relax()
    }

    /// The payload of the next whole frame in `data`, of which `read` bytes are used.
    pub(super) fn next_frame(
        &mut self,
        data: &mut [u8],
        read: &mut usize,
    ) -> Result<Option<Place>, FullFrameError> {
        if matches!(self.stage, Stage::Padding(_)) {
            self.skip_padding(data, read);
        }
        let end = match (&mut self.stage, self.decrypted) {
            (Stage::Open, _) => data.len(),
            (Stage::Padding(_), _) => return Ok(None),
            (Stage::Encrypted(_), Some(end)) => end,
            (Stage::Encrypted(cipher), None) => {
                let found = decrypt(cipher, &mut self.carry, &mut self.carry_len, data, *read);
                // The block that lay across the border of two inputs is whole now, and stands in neither.
                if let Some(block) = found.block {
                    self.decoder.hold(&block);
                }
                *read = found.whole_from;
                *self.decrypted.insert(found.whole_to)
            }
        };
        self.decoder.next_frame(data.get(..end).unwrap_or_default(), read)
    }

    /// The bytes at a place of the current input.
    pub(super) fn at<'a>(&'a self, data: &'a [u8], place: Place) -> &'a [u8] {
        self.decoder.at(data, place)
    }

    /// Some pad their frame in the open as if it were encrypted.
    fn skip_padding(&mut self, data: &[u8], read: &mut usize) {
        while let Some(&byte) = data.get(*read) {
            if let Some(to) = self.carry.get_mut(self.carry_len) {
                *to = byte;
            }
            self.carry_len = self.carry_len.saturating_add(1);
            *read = read.saturating_add(1);
            if self.carry_len < PADDING_WORD.len() {
                continue;
            }
            if self.carry.starts_with(&PADDING_WORD) {
                self.carry_len = 0;
                continue;
            }
            if let Stage::Padding(cipher) = &self.stage {
                self.stage = Stage::Encrypted(cipher.clone());
            }
            return;
        }
    }
}

/// What one piece of encrypted input gave.
struct Decrypted {
    /// The block whose beginning was carried over from the last piece.
    block: Option<[u8; BLOCK]>,
    /// The blocks that are whole in this piece, now decrypted: `data[whole_from..whole_to]`.
    whole_from: usize,
    whole_to: usize,
}

/// Decrypts what of `data[from..]` can be decrypted, and carries the rest over.
fn decrypt(
    cipher: &mut CbcStream,
    carry: &mut [u8; BLOCK],
    carry_len: &mut usize,
    data: &mut [u8],
    from: usize,
) -> Decrypted {
    let mut from = from.min(data.len());
    let mut block = None;
    if *carry_len > 0 {
        let missing = carry.iter_mut().skip(*carry_len);
        let taken = missing.zip(data.iter().skip(from)).map(|(to, byte)| *to = *byte).count();
        *carry_len = carry_len.saturating_add(taken);
        from = from.saturating_add(taken);
        if *carry_len == BLOCK {
            cipher.decrypt(carry);
            block = Some(*carry);
            *carry_len = 0;
        }
    }
    let rest = data.get_mut(from..).unwrap_or_default();
    let to = cipher.decrypt(rest);
    if *carry_len == 0 {
        let tail = rest.iter().skip(to);
        *carry_len = carry.iter_mut().zip(tail).map(|(to, byte)| *to = *byte).count();
    }
    Decrypted { block, whole_from: from, whole_to: from.saturating_add(to) }
}
