//! Collecting whole messages from a client's judged frames, without a copy of those that are whole already.

use super::{FrameError, FrameHeader, Framing, HEADER_MAX, client_header};

/// What is kept of the buffer when a message that came in pieces is done, in bytes.
const KEPT: usize = 4 << 10;

/// Finds the messages in a client's frames. A stream codec: it keeps at most one frame, its length checked first.
#[derive(Debug)]
pub struct Collector {
    framing: Framing,
    /// The beginning of a frame that is not whole.
    partial: Vec<u8>,
    /// That frame was given out.
    done: bool,
}

/// One message of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collected<'a> {
    /// The message, without what is known to be padding: two pieces, one behind the other. What was kept of it is in the
    /// first, and what stands in the input is not copied.
    pub message: [&'a [u8]; 2],
    /// The client wants a quick ack.
    pub quick_ack: bool,
}

/// A whole frame in two pieces, one behind the other.
type Pieces<'a> = [&'a [u8]; 2];

impl Collector {
    /// A collector at a frame border.
    #[must_use]
    pub const fn new(framing: Framing) -> Self {
        Self { framing, partial: Vec::new(), done: false }
    }

    /// The next whole message of the stream that goes on with `rest`; what is used of it is cut off. `Ok(None)`: all of
    /// it is used, and more is needed.
    ///
    /// # Errors
    /// An illegal length. The stream cannot be read any further.
    pub fn next<'a, 'r: 'a>(&'a mut self, rest: &mut &'r [u8]) -> Result<Option<Collected<'a>>, FrameError> {
        Ok(self.next_whole(rest)?.and_then(|(header, [frame, last])| collected(&header, frame, last)))
    }

    /// The same as the frame that the message came in, in two pieces.
    ///
    /// # Errors
    /// An illegal length. The stream cannot be read any further.
    pub fn next_frame<'a, 'r: 'a>(
        &'a mut self,
        rest: &mut &'r [u8],
    ) -> Result<Option<[&'a [u8]; 2]>, FrameError> {
        Ok(self.next_whole(rest)?.map(|(_, frame)| frame))
    }

    fn next_whole<'a, 'r: 'a>(
        &'a mut self,
        rest: &mut &'r [u8],
    ) -> Result<Option<(FrameHeader, Pieces<'a>)>, FrameError> {
        self.forget();
        if self.partial.is_empty() {
            if let Some(header) = client_header(self.framing, rest)?
                && let Some((frame, behind)) = rest.split_at_checked(whole(&header))
            {
                *rest = behind;
                return Ok(Some((header, [frame, &[]])));
            }
            self.partial.extend_from_slice(rest);
            *rest = &[];
            return Ok(None);
        }
        let header = loop {
            match client_header(self.framing, &self.partial)? {
                Some(header) => break header,
                None if self.partial.len() >= HEADER_MAX || !self.take(rest, 1) => return Ok(None),
                None => {}
            }
        };
        let missing = whole(&header).saturating_sub(self.partial.len());
        let Some((last, behind)) = rest.split_at_checked(missing) else {
            self.take(rest, missing);
            return Ok(None);
        };
        *rest = behind;
        self.done = true;
        Ok(Some((header, [&self.partial, last])))
    }

    /// Bytes that are kept of a frame that is not whole.
    #[must_use]
    pub fn held(&self) -> usize {
        if self.done { 0 } else { self.partial.len() }
    }

    /// Gives the memory of the message that was given out last back, but for a little.
    pub fn forget(&mut self) {
        if self.done {
            self.done = false;
            self.partial.clear();
            if self.partial.capacity() > KEPT {
                self.partial = Vec::new();
            }
        }
    }

    /// Moves `len` bytes over; false when that was all and it was not enough.
    fn take(&mut self, rest: &mut &[u8], len: usize) -> bool {
        let (taken, behind) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        self.partial.extend_from_slice(taken);
        *rest = behind;
        taken.len() == len
    }
}

fn whole(header: &FrameHeader) -> usize {
    usize::from(header.header_len).saturating_add(header.body_len as usize)
}

/// The message of a frame that goes on in `last`.
fn collected<'a>(header: &FrameHeader, frame: &'a [u8], last: &'a [u8]) -> Option<Collected<'a>> {
    let (_, body) = frame.split_at_checked(header.header_len.into())?;
    let len = header.message_len() as usize;
    let first = body.get(..len).unwrap_or(body);
    let last = last.get(..len.saturating_sub(first.len()))?;
    Some(Collected { message: [first, last], quick_ack: header.quick_ack })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::transport::encode;

    fn collect(framing: Framing, pieces: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let mut collector = Collector::new(framing);
        let mut all = Vec::new();
        for mut piece in pieces.iter().copied() {
            while let Some(Collected { message, quick_ack }) = collector.next(&mut piece).expect("legal") {
                all.push((message.concat(), quick_ack));
            }
            assert!(piece.is_empty(), "all is used");
        }
        assert_eq!(collector.held(), 0);
        all
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_messages(
            framing in prop::sample::select(Framing::ALL.to_vec()),
            messages in prop::collection::vec((prop::collection::vec(any::<[u8; 4]>(), 7..200), any::<bool>()), 1..6),
            cuts in prop::collection::vec(1_usize..300, 0..20),
        ) {
            let messages: Vec<(Vec<u8>, bool)> =
                messages.into_iter().map(|(words, ack)| (words.concat(), ack)).collect();
            let mut wire = Vec::new();
            for (message, ack) in &messages {
                let padding: &[u8] = if framing == Framing::Padded { &[1, 2, 3] } else { &[] };
                encode(framing, message, *ack, padding, &mut wire);
            }
            let (mut collector, mut frames, mut all) = (Collector::new(framing), Vec::new(), wire.as_slice());
            while let Some(frame) = collector.next_frame(&mut all).expect("legal") {
                frames.extend(frame.concat());
            }
            prop_assert_eq!(&frames, &wire);
            let (mut pieces, mut rest) = (Vec::new(), wire.as_slice());
            for cut in cuts {
                let (piece, behind) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = behind;
            }
            pieces.push(rest);
            prop_assert_eq!(collect(framing, &pieces), messages);
        }
    }

    #[test]
    fn what_is_not_whole_is_held_and_given_back() {
        let mut wire = Vec::new();
        encode(Framing::Intermediate, &[7; 100_000], false, &[], &mut wire);
        let mut collector = Collector::new(Framing::Intermediate);
        let (mut first, mut second) = wire.split_at(60_000);
        assert_eq!(collector.next(&mut first), Ok(None));
        assert_eq!(collector.held(), 60_000);
        let message = collector.next(&mut second).expect("legal").expect("whole").message;
        assert_eq!(message.map(<[u8]>::len), [60_000 - 4, 40_004], "the rest is where it was");
        collector.forget();
        assert_eq!((collector.held(), collector.partial.capacity()), (0, 0));
    }

    #[test]
    fn an_illegal_length_is_an_error_also_in_pieces() {
        let mut collector = Collector::new(Framing::Intermediate);
        assert_eq!(collector.next(&mut [0xff].as_slice()), Ok(None));
        assert_eq!(collector.next(&mut [0xff, 0xff, 0x7f].as_slice()), Err(FrameError::TooLong));
    }
}
