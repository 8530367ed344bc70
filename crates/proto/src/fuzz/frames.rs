//! Framed streams: the decoders of both sides, and the accepted client's session.

use super::{Steering, header_bytes, keys};
use crate::dc::DcId;
use crate::fake_tls::record;
use crate::message::{Judgement, judge};
use crate::obfuscated::{self, Header};
use crate::session::{HEADROOM, Session, SessionError};
use crate::transport::{
    ClientDecoder, Frame, FrameError, MAX_CLIENT_MESSAGE, MAX_SERVER_MESSAGE, ServerDecoder, ServerFrame,
    encode, encode_quick_ack,
};

/// Both decoders: the same frames in any cut, inside their bounds, and the same again when written by us.
pub fn frames(data: &[u8]) {
    let Some((steering, bytes)) = Steering::split(data) else { return };
    let (framing, step) = (steering.framing(), steering.step());
    let client = |bytes: &[u8], step| {
        let mut decoder = ClientDecoder::new(framing);
        collect(bytes, step, &mut decoder, ClientDecoder::push, ClientDecoder::next_frame)
    };
    let server = |bytes: &[u8], step| {
        let mut decoder = ServerDecoder::new(framing);
        collect(bytes, step, &mut decoder, ServerDecoder::push, ServerDecoder::next_frame)
    };

    let (sent, error) = client(bytes, usize::MAX);
    assert_eq!(client(bytes, step), (sent.clone(), error));
    let mut written = Vec::new();
    for Frame { message, quick_ack } in &sent {
        assert!((4..=MAX_CLIENT_MESSAGE).contains(&message.len()), "a message out of bounds");
        encode(framing, message, *quick_ack, &[], &mut written);
    }
    assert_eq!(client(&written, step), (sent, None));

    let (received, error) = server(bytes, usize::MAX);
    assert_eq!(server(bytes, step), (received.clone(), error));
    let mut written = Vec::new();
    for frame in &received {
        match frame {
            ServerFrame::QuickAck(token) => encode_quick_ack(framing, *token, &mut written),
            ServerFrame::Message(message) => {
                assert!((4..=MAX_SERVER_MESSAGE).contains(&message.len()), "a message out of bounds");
                encode(framing, message, false, &[], &mut written);
            }
        }
    }
    assert_eq!(server(&written, step), (received, None));
}

/// Everything that comes out of a decoder, and how it ends.
fn collect<D, F>(
    bytes: &[u8],
    step: usize,
    decoder: &mut D,
    push: fn(&mut D, &[u8]),
    next: fn(&mut D) -> Result<Option<F>, FrameError>,
) -> (Vec<F>, Option<FrameError>) {
    let mut frames = Vec::new();
    for piece in bytes.chunks(step) {
        push(decoder, piece);
        loop {
            match next(decoder) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

/// What a session made of a stream.
#[derive(Debug, PartialEq)]
struct Outcome {
    stream: Vec<u8>,
    messages: u32,
    filtered: u32,
    error: Option<SessionError>,
}

/// The accepted client: the same in any cut; what passes is whole messages that may pass.
pub fn session(data: &[u8]) {
    let Some((steering, plain)) = Steering::split(data) else { return };
    let (tls, raw_records) = (steering.bit(4) || steering.bit(5), steering.bit(5));
    let framing = steering.framing();
    let key = &keys()[0];
    let header = Header { framing, dc: DcId::new(2) };
    let mut client = obfuscated::initiate(&header_bytes(&[]), header, Some(key)).expect("fine");
    let server = obfuscated::accept(&client.wire, Some(key)).expect("ours");
    let mut wire = plain.to_vec();
    // Either legal records around the stream, or whatever records the input has.
    if !raw_records {
        client.to_server.apply(&mut wire);
        if tls {
            let mut records = Vec::new();
            record::wrap(&wire, &mut records);
            wire = records;
        }
    }
    let open = || {
        let records = tls.then(record::Reader::of_client);
        Session::new(framing, server.from_client.clone(), records)
    };
    let whole = feed(&mut open(), &wire, usize::MAX);
    let mut in_pieces = open();
    let pieces = feed(&mut in_pieces, &wire, steering.step());
    if raw_records {
        // At once, a broken record is seen before an illegal frame in front of it.
        assert_eq!(whole.error.is_some(), pieces.error.is_some());
    } else {
        assert_eq!(whole.error, pieces.error);
    }
    if whole.error.is_some() {
        return;
    }
    assert_eq!(whole, pieces);
    let mut decoder = ClientDecoder::new(framing);
    decoder.push(&whole.stream);
    let mut passed = 0;
    while let Some(frame) = decoder.next_frame().expect("judged before") {
        assert_eq!(judge(frame.message.len() as u32, &frame.message), Judgement::Forward);
        passed += 1;
    }
    // The last one may be under way.
    assert!(passed == whole.messages || (passed + 1 == whole.messages && in_pieces.is_inside_frame()));
}

fn feed(session: &mut Session, wire: &[u8], step: usize) -> Outcome {
    let mut outcome = Outcome { stream: Vec::new(), messages: 0, filtered: 0, error: None };
    for piece in wire.chunks(step) {
        let mut buf = vec![0xee; HEADROOM];
        buf.extend(piece);
        let data = HEADROOM..buf.len();
        match session.receive(&mut buf, data) {
            Ok(received) => {
                assert!(received.stream.start <= received.stream.end && received.stream.end <= buf.len());
                outcome.stream.extend(&buf[received.stream]);
                outcome.messages += received.messages;
                outcome.filtered += received.filtered;
            }
            Err(error) => {
                outcome.error = Some(error);
                break;
            }
        }
    }
    outcome
}
