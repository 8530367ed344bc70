//! What a client sent and no back has for certain.

use std::collections::VecDeque;
use std::rc::Rc;

use teleferry_proto::call::HEADROOM;
use teleferry_proto::transport::{Collector, Framing};

use crate::trunk::Message;

/// The messages of one call that may have to be said again.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    messages: VecDeque<Rc<Message>>,
    /// The back has begun with the call: what left is with it.
    begun: bool,
}

impl Unsent {
    /// A message that was given to the connection.
    pub(super) fn push(&mut self, message: Rc<Message>) {
        self.forget_gone();
        self.messages.push_back(message);
    }

    /// Whether the back has taken the call.
    pub(super) const fn has_begun(&self) -> bool {
        self.begun
    }

    /// The back has taken the call.
    pub(super) fn begin(&mut self) {
        self.begun = true;
        self.forget_gone();
    }

    /// Lets go of what has left.
    pub(super) fn forget_gone(&mut self) {
        while self.begun && self.messages.front().is_some_and(|message| message.is_gone()) {
            self.messages.pop_front();
        }
    }

    /// The frames that are to be said again behind [`HEADROOM`] free bytes: all, when the back did not look at the call, else
    /// those of which not every byte has left. Empty when there are none.
    pub(super) fn frames(&self, framing: Framing, untouched: bool) -> Vec<u8> {
        let mut frames = Vec::new();
        for message in &self.messages {
            let data = message.data();
            let rest = if untouched { data } else { &data[whole_frames(framing, data, message.gone())..] };
            append(&mut frames, rest);
        }
        frames
    }
}

/// Appends frames to a buffer that has [`HEADROOM`] bytes free in front as soon as it has any.
pub(super) fn append(buffer: &mut Vec<u8>, frames: &[u8]) {
    if frames.is_empty() {
        return;
    }
    if buffer.is_empty() {
        buffer.resize(HEADROOM, 0);
    }
    buffer.extend_from_slice(frames);
}

/// How many of the first `gone` bytes belong to frames that end there or before.
fn whole_frames(framing: Framing, data: &[u8], gone: usize) -> usize {
    if gone >= data.len() {
        return data.len();
    }
    let mut collector = Collector::new(framing);
    let (mut rest, mut whole) = (&data[..gone], 0);
    // These frames have been judged before.
    while let Ok(Some(frame)) = collector.next_frame(&mut rest) {
        whole += frame.iter().map(|piece| piece.len()).sum::<usize>();
    }
    whole
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use teleferry_proto::transport::encode;

    use super::*;

    proptest! {
        #[test]
        fn a_frame_is_said_again_unless_all_of_it_has_gone(
            framing in prop::sample::select(Framing::ALL.to_vec()),
            lens in prop::collection::vec(7_usize..400, 1..6),
            gone in 0_usize..3000,
        ) {
            let (mut data, mut borders) = (Vec::new(), vec![0]);
            for len in lens {
                encode(framing, &vec![1; 4 * len], false, &[], &mut data);
                borders.push(data.len());
            }
            let whole = whole_frames(framing, &data, gone);
            let expected = borders.into_iter().filter(|border| *border <= gone).max();
            prop_assert_eq!(Some(whole), expected);
        }
    }
}
