//! The stream to a client behind fake TLS: which of its bytes may end a record.
//!
//! A record of TLS 1.3 has 18 bytes or more: content, its type, and the authentication tag. A shorter one gives the tunnel
//! away. The bytes that would stand alone are kept until more of their frame comes, which is sure to come, and nobody can use
//! half a frame. What is whole and too short, a quick ack or an error, gets a no-op frame behind it; official apps skip
//! those, but only after the first answer, so others get it as it is.

use std::ops::Range;

use crate::cipher::CtrStream;
use crate::fake_tls::record::MIN_RECORD;

/// Bytes that must be free in front of the data of a data centre: what was kept goes there.
pub const HEADROOM: usize = 2 * MIN_RECORD;
/// Bytes that must be free behind them, for a no-op frame.
pub const TAILROOM: usize = NOOP_MAX;

/// The longest no-op frame that every official app skips: a length, and 11 bytes of which the first four are zeros.
pub(crate) const NOOP_MAX: usize = 15;
/// Bytes of a frame's length field.
const HEADER: usize = 4;
/// The shortest body of a message; what is shorter is an error or a no-op.
const SHORTEST_MESSAGE: u32 = 24;

/// One direct connection's stream from the data centre to a client behind fake TLS. A stream codec: works in place, keeps
/// at most [`HEADROOM`] bytes between calls.
#[derive(Debug)]
pub(crate) struct Downlink {
    /// `None` where the stream comes decrypted.
    from_dc: Option<CtrStream>,
    /// `None` on the fast path: what the data centre encrypts, the client decrypts.
    to_client: Option<CtrStream>,
    frames: Frames,
    /// What is kept, as the client gets it: `held[..held_len]`.
    held: [u8; HEADROOM],
    held_len: u8,
}

/// Where the frames of a stream stand.
#[derive(Debug, Default)]
struct Frames {
    /// Bytes of the current frame's body that are still to come.
    left: u32,
    /// The beginning of a length field that is not whole: `header[..header_len]`.
    header: [u8; HEADER],
    header_len: u8,
    /// A quick ack came, so the client has asked for one, as only official apps do.
    acked: bool,
    /// A message came.
    answered: bool,
}

impl Downlink {
    /// At position 0 of the stream. Without `to_client` both sides use the same key; without `from_dc` the stream comes
    /// decrypted. One of them is there.
    pub(crate) fn new(from_dc: Option<CtrStream>, to_client: Option<CtrStream>) -> Self {
        debug_assert!(from_dc.is_some() || to_client.is_some(), "nothing is sent in the open");
        Self { from_dc, to_client, frames: Frames::default(), held: [0; HEADROOM], held_len: 0 }
    }

    /// Whether bytes pass as they are.
    pub(crate) const fn is_fast_path(&self) -> bool {
        self.to_client.is_none()
    }

    /// How many of the next bytes may pass unseen, on the fast path: those of a frame whose end comes through here.
    pub(crate) fn unseen(&self) -> usize {
        if self.held_len > 0 || !self.is_fast_path() {
            return 0;
        }
        (self.frames.left as usize).saturating_sub(MIN_RECORD)
    }

    /// So many bytes of [`unseen`](Self::unseen) have passed.
    pub(crate) fn passed(&mut self, len: usize) {
        if let Some(from_dc) = &mut self.from_dc {
            from_dc.skip(len as u64);
        }
        self.frames.left = self.frames.left.saturating_sub(len as u32);
    }

    /// Takes the data centre's bytes at `buf[data]`, with [`HEADROOM`] in front of them and [`TAILROOM`] behind. Says where
    /// what goes to the client stands now; nothing, when all of it is kept. `random` fills bytes.
    pub(crate) fn receive(
        &mut self,
        buf: &mut [u8],
        data: Range<usize>,
        random: impl FnOnce(&mut [u8]),
    ) -> Range<usize> {
        let Some(bytes) = buf.get_mut(data.clone()) else { return data.start..data.start };
        self.pass(bytes);
        let start = self.unhold(buf, data.start);
        let total = data.end.saturating_sub(start);
        let end = match self.frames.to_come() {
            0 if total > 0 && total < MIN_RECORD && self.frames.may_pad() => {
                data.end.saturating_add(self.pad(buf, data.end, total, random))
            }
            0 => data.end,
            to_come => {
                let keep = MIN_RECORD.saturating_sub(to_come);
                let keep = if total.saturating_sub(keep) < MIN_RECORD { total } else { keep };
                self.hold(buf, data.end.saturating_sub(keep)..data.end)
            }
        };
        start..end
    }

    /// True between two frames.
    pub(crate) fn is_at_border(&self) -> bool {
        self.frames.to_come() == 0
    }

    /// Nothing more comes: what was kept, as it is.
    pub(crate) fn end(&mut self) -> &[u8] {
        let len = usize::from(std::mem::take(&mut self.held_len));
        self.held.get(..len).unwrap_or_default()
    }

    /// Turns the data centre's bytes into the client's, and walks their frames.
    fn pass(&mut self, bytes: &mut [u8]) {
        let Self { from_dc, to_client, frames, .. } = self;
        if let Some(to_client) = to_client {
            if let Some(from_dc) = from_dc {
                from_dc.apply(bytes);
            }
            frames.walk(bytes.len(), |at, header| copy(header, bytes.get(at..).unwrap_or_default()));
            to_client.apply(bytes);
        } else if let Some(from_dc) = from_dc {
            // Only length fields are decrypted, beside the stream.
            frames.walk(bytes.len(), |at, header| {
                copy(header, bytes.get(at..).unwrap_or_default());
                let mut here = from_dc.clone();
                here.skip(at as u64);
                here.apply(header);
            });
            from_dc.skip(bytes.len() as u64);
        }
    }

    /// Writes a no-op frame behind `total` bytes that end at `end`; says how long it is. From here on the streams of both
    /// sides are apart.
    fn pad(&mut self, buf: &mut [u8], end: usize, total: usize, random: impl FnOnce(&mut [u8])) -> usize {
        let len = noop_len(total);
        let Some(frame) = buf.get_mut(end..end.saturating_add(len)) else { return 0 };
        write_noop(frame, random);
        if self.to_client.is_none() {
            self.to_client.clone_from(&self.from_dc);
        }
        if let Some(to_client) = &mut self.to_client {
            to_client.apply(frame);
        }
        len
    }

    /// Puts what was kept in front of the new data; says where the stream begins now.
    fn unhold(&mut self, buf: &mut [u8], data_start: usize) -> usize {
        let Some(start) = data_start.checked_sub(self.held_len.into()) else { return data_start };
        let held = self.end();
        if let Some(to) = buf.get_mut(start..data_start) {
            copy(to, held);
        }
        start
    }

    /// Keeps the bytes at `range`; says where they began.
    fn hold(&mut self, buf: &[u8], range: Range<usize>) -> usize {
        let bytes = buf.get(range.clone()).unwrap_or_default();
        debug_assert!(bytes.len() <= HEADROOM, "less than two records are kept");
        copy(&mut self.held, bytes);
        self.held_len = bytes.len().min(HEADROOM) as u8;
        range.start
    }
}

impl Frames {
    /// Moves on by `len` bytes; `header` gives decrypted bytes at an offset.
    fn walk(&mut self, len: usize, mut header: impl FnMut(usize, &mut [u8])) {
        let mut at = 0_usize;
        while at < len {
            let rest = len.saturating_sub(at);
            if self.left > 0 {
                let step = rest.min(self.left as usize);
                self.left = self.left.saturating_sub(step as u32);
                at = at.saturating_add(step);
                continue;
            }
            let known = usize::from(self.header_len);
            let step = rest.min(HEADER.saturating_sub(known));
            if let Some(missing) = self.header.get_mut(known..known.saturating_add(step)) {
                header(at, missing);
            }
            at = at.saturating_add(step);
            self.header_len = known.saturating_add(step) as u8;
            if usize::from(self.header_len) == HEADER {
                self.begin();
            }
        }
    }

    /// A length field is whole.
    const fn begin(&mut self) {
        self.header_len = 0;
        let word = u32::from_le_bytes(self.header);
        if word >> 31 == 1 {
            self.acked = true;
        } else {
            self.left = word;
            self.answered |= word >= SHORTEST_MESSAGE;
        }
    }

    /// Bytes that are sure to come before the next border of frames; 0 at one.
    fn to_come(&self) -> usize {
        match self.header_len {
            0 => self.left as usize,
            known => HEADER.saturating_sub(known.into()),
        }
    }

    /// Whether the client skips no-op frames.
    const fn may_pad(&self) -> bool {
        self.acked && self.answered
    }
}

/// The length of the no-op frame that makes `total` bytes a record.
#[must_use]
pub const fn noop_len(total: usize) -> usize {
    if total.saturating_add(12) >= MIN_RECORD { 12 } else { NOOP_MAX }
}

/// Writes a no-op frame of the padded framing: a length, four zeros, and random bytes. `frame` has 12 or 15 bytes.
pub fn write_noop(frame: &mut [u8], random: impl FnOnce(&mut [u8])) {
    let body = frame.len().saturating_sub(HEADER) as u32;
    random(frame);
    for (to, from) in frame.iter_mut().zip(body.to_le_bytes().into_iter().chain([0; 4])) {
        *to = from;
    }
}

/// Copies as much as fits.
fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn cipher() -> CtrStream {
        CtrStream::new(&KEY, &[1; 16])
    }

    /// What a data centre sends.
    #[derive(Debug, Clone)]
    enum Sent {
        Message(usize),
        Ack,
        Error(usize),
    }

    fn sent() -> impl Strategy<Value = Sent> {
        prop_oneof![
            (24_usize..200).prop_map(Sent::Message),
            (40_usize..40_000).prop_map(Sent::Message),
            Just(Sent::Ack),
            (4_usize..8).prop_map(Sent::Error),
        ]
    }

    fn encode(what: &Sent) -> Vec<u8> {
        let frame = |len: usize| [&(len as u32).to_le_bytes()[..], &vec![0x55; len]].concat();
        match what {
            Sent::Message(len) | Sent::Error(len) => frame(*len),
            Sent::Ack => vec![1, 2, 3, 0x84],
        }
    }

    /// Passes pieces on as a leg does; gives what went out at once each time, encrypted.
    fn run(downlink: &mut Downlink, pieces: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        for piece in pieces {
            let mut buf = vec![0; HEADROOM];
            buf.extend(piece);
            let data = HEADROOM..buf.len();
            buf.extend([0; TAILROOM]);
            let range = downlink.receive(&mut buf, data, |bytes| bytes.fill(9));
            if !range.is_empty() {
                out.push(buf[range].to_vec());
            }
        }
        if downlink.held_len > 0 {
            out.push(downlink.end().to_vec());
        }
        out
    }

    /// The client's frames, without no-ops.
    fn frames(stream: &[u8]) -> Vec<Vec<u8>> {
        let (mut rest, mut frames) = (stream, Vec::new());
        while let [a, b, c, d, behind @ ..] = rest {
            let word = u32::from_le_bytes([*a, *b, *c, *d]);
            if word >> 31 == 1 {
                frames.push(vec![*a, *b, *c, *d]);
                rest = behind;
                continue;
            }
            let (body, next) = behind.split_at(word as usize);
            if !body.starts_with(&[0; 4]) {
                frames.push(body.to_vec());
            } else {
                assert!([8, 11].contains(&body.len()), "a no-op that some app does not skip: {}", body.len());
            }
            rest = next;
        }
        frames
    }

    proptest! {
        /// Whatever comes in whatever cut: the client gets every frame, and nothing shorter than a record but an ack or an
        /// error that nothing may be put behind.
        #[test]
        fn no_record_is_shorter_than_a_real_one(
            sent in prop::collection::vec(sent(), 0..12),
            cuts in prop::collection::vec(1_usize..70_000, 0..12),
            small in prop::collection::vec(1_usize..40, 0..30),
            way in 0..3,
        ) {
            let plain: Vec<u8> = sent.iter().flat_map(encode).collect();
            // On the fast path, encrypted again, or decrypted before it came here.
            let (fast, plain_input) = (way == 0, way == 2);
            let mut wire = plain.clone();
            if !plain_input {
                cipher().apply(&mut wire);
            }
            // Each message in pieces of its own where the cuts allow it: small and large ones in turn.
            let mut lens = cuts.iter().copied().zip(small.iter().copied().chain(std::iter::repeat(1))).flat_map(|(a, b)| [b, a]);
            let (mut rest, mut pieces) = (&wire[..], Vec::new());
            while !rest.is_empty() {
                let len = lens.next().unwrap_or(rest.len()).min(rest.len());
                pieces.push(rest[..len].to_vec());
                rest = &rest[len..];
            }
            let other = CtrStream::new(&[8; 32], &[2; 16]);
            let mut downlink = Downlink::new((!plain_input).then(cipher), (!fast).then(|| other.clone()));
            let out = run(&mut downlink, &pieces);
            let mut stream = out.concat();
            (if fast { cipher() } else { other }).apply(&mut stream);
            prop_assert_eq!(frames(&stream), frames(&plain));
            let unpadded = !(downlink.frames.acked && downlink.frames.answered);
            let mut at = 0;
            for piece in &out {
                let text = &stream[at..at + piece.len()];
                at += piece.len();
                if piece.len() < MIN_RECORD {
                    // Alone, whole and before anything may be put behind it.
                    let seen = frames(&stream[..at]);
                    let acked = seen.iter().any(|frame| frame.len() == 4 && frame[3] & 0x80 != 0);
                    let answered = seen.iter().any(|frame| frame.len() >= 24);
                    prop_assert!(unpadded || !(acked && answered), "{} bytes", piece.len());
                    prop_assert!(!frames(text).is_empty());
                }
            }
        }

        #[test]
        fn what_passes_unseen_leaves_the_rest_as_it_is(len in 100_usize..5000, part in 0.0..1.0, tail in 1_usize..60) {
            let plain = [encode(&Sent::Message(len)), encode(&Sent::Message(40))].concat();
            let mut wire = plain.clone();
            cipher().apply(&mut wire);
            let mut downlink = Downlink::new(Some(cipher()), None);
            let mut out = run(&mut downlink, &[wire[..50].to_vec()]).concat();
            let unseen = (downlink.unseen() as f64 * part) as usize;
            out.extend(&wire[50..50 + unseen]);
            downlink.passed(unseen);
            let pieces: Vec<_> = wire[50 + unseen..].chunks(tail).map(<[u8]>::to_vec).collect();
            let rest = run(&mut downlink, &pieces);
            prop_assert!(rest.iter().all(|piece| piece.len() >= MIN_RECORD));
            out.extend(rest.concat());
            prop_assert_eq!(out, wire);
        }
    }

    #[test]
    fn a_lone_ack_is_padded_once_the_client_has_shown_what_it_is() {
        let mut downlink = Downlink::new(Some(cipher()), None);
        let parts = [Sent::Ack, Sent::Message(40), Sent::Ack, Sent::Error(4), Sent::Message(50)];
        let plain: Vec<Vec<u8>> = parts.iter().map(encode).collect();
        let mut encrypt = cipher();
        let pieces: Vec<_> = plain
            .into_iter()
            .map(|mut piece| {
                encrypt.apply(&mut piece);
                piece
            })
            .collect();
        let lens: Vec<_> = run(&mut downlink, &pieces).iter().map(Vec::len).collect();
        // The first ack comes before the first answer.
        assert_eq!(lens, [4, 44, 19, 20, 54]);
        assert!(!downlink.is_fast_path(), "both streams are apart now");
        assert_eq!(downlink.unseen(), 0);
    }
}
