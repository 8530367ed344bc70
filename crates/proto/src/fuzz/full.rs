//! What is spoken with middle proxies: frames, and the packets in them.

use super::Steering;
use crate::reader::Reader;
use crate::rpc::{Handshake, HandshakeError, Nonce, Packet, Request, RequestHead};
use crate::transport::full::{Checksum, Decoder, Encoder, FIRST_SEQUENCE, FullFrameError, OVERHEAD};

/// The full framing: the same frames in any cut, inside their bounds, and the same again when written by us.
pub fn full(data: &[u8]) {
    let Some((steering, bytes)) = Steering::split(data) else { return };
    let checksum = if steering.bit(0) { Checksum::Crc32c } else { Checksum::Crc32 };
    // Small limits are met by short inputs.
    let limit = if steering.bit(1) { 256 } else { 1 << 16 };
    let first = if steering.bit(2) { 0 } else { FIRST_SEQUENCE };
    let written = |payloads: &[&[u8]]| {
        let (mut encoder, mut wire) = (Encoder::starting_at(first, checksum), Vec::new());
        payloads.iter().for_each(|payload| encoder.encode(&[payload], &mut wire));
        wire
    };
    let read = |wire: &[u8], step| read_full(wire, step, &mut Decoder::starting_at(first, checksum), limit);

    let wire = if steering.bit(3) { written(&payloads(bytes)) } else { bytes.to_vec() };
    let (frames, error) = read(&wire, usize::MAX);
    assert_eq!(read(&wire, steering.step()), (frames.clone(), error));
    for frame in &frames {
        assert!(!frame.is_empty() && frame.len() <= limit - OVERHEAD, "a frame out of bounds");
    }
    let again = written(&frames.iter().map(Vec::as_slice).collect::<Vec<_>>());
    assert_eq!(read(&again, steering.step()), (frames, None));
}

/// Every payload that comes out, and how it ends.
fn read_full(
    wire: &[u8],
    step: usize,
    decoder: &mut Decoder,
    limit: usize,
) -> (Vec<Vec<u8>>, Option<FullFrameError>) {
    decoder.set_limit(limit);
    let mut frames = Vec::new();
    for piece in wire.chunks(step) {
        let mut read = 0;
        decoder.begin();
        assert!(decoder.held() < limit, "more is kept than the beginning of one frame");
        loop {
            match decoder.next_frame(piece, &mut read) {
                Ok(Some(place)) => frames.push(decoder.at(piece, place).to_vec()),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert_eq!(read, piece.len(), "not all is read");
    }
    (frames, None)
}

/// Cuts input into payloads of whole words: each begins with a byte that says how many words.
pub(super) fn payloads(bytes: &[u8]) -> Vec<&[u8]> {
    let mut reader = Reader::new(bytes);
    let mut payloads = Vec::new();
    while let Some(words) = reader.u8() {
        let payload = reader.take_up_to(4 * usize::from(words));
        let whole = &payload[..payload.len() / 4 * 4];
        if !whole.is_empty() {
            payloads.push(whole);
        }
    }
    payloads
}

/// Every payload: what can be read can be written, and is read again as the same.
pub fn rpc(data: &[u8]) {
    let Some((steering, payload)) = Steering::split(data) else { return };
    if let Some(nonce) = Nonce::decode(payload) {
        assert!(nonce.encode().as_ref() == payload, "another nonce");
    }
    if let Some(handshake) = Handshake::decode(payload) {
        assert_eq!(handshake.encode().as_ref(), payload);
        assert!(handshake.sender.stands_for(handshake.sender), "is not itself");
    }
    if let Some(error) = HandshakeError::decode(payload) {
        assert_eq!(error.encode().as_ref(), payload);
    }
    if let Ok(packet) = Packet::decode(payload) {
        assert!(payload.ends_with(packet.message()), "not its message");
        let written = [packet.head().as_ref(), packet.message()].concat();
        assert_eq!(Packet::decode(&written), Ok(packet));
        if !matches!(packet, Packet::Request(_)) {
            assert_eq!(written, payload);
        }
        if let Packet::Request(request) = packet {
            is_written(&request, steering);
        }
    }
}

/// A client's request, as a link writes it.
fn is_written(request: &Request<'_>, steering: Steering) {
    let Request { conn, client, proxy, ad_tag, message, .. } = *request;
    let head = RequestHead::new(conn, client, proxy, steering.framing(), ad_tag);
    let written = [head.before(message, steering.bit(3)).as_ref(), message].concat();
    let Ok(Packet::Request(again)) = Packet::decode(&written) else { panic!("a request that is none") };
    assert_eq!(Request { flags: request.flags, ..again }, *request);
}
