//! The accepted client's stream: whatever the cut, the same frames pass, and the same error ends it.

mod common;

use proptest::prelude::*;
use teleferry_proto::dc::DcId;
use teleferry_proto::fake_tls::record;
use teleferry_proto::message::req_pq_multi;
use teleferry_proto::obfuscated::{Header, accept, initiate};
use teleferry_proto::secret::SecretKey;
use teleferry_proto::session::{HEADROOM, Session, SessionError};
use teleferry_proto::transport::{ClientDecoder, FrameError, Framing, MAX_CLIENT_MESSAGE, encode};

/// A message that may pass: encrypted, of this many words above the shortest.
fn encrypted(words: usize, fill: u8) -> Vec<u8> {
    let mut message = vec![fill; 56 + words * 4];
    message[..8].copy_from_slice(b"somekeys");
    message
}

/// What a session made of a stream.
#[derive(Debug, PartialEq)]
struct Outcome {
    stream: Vec<u8>,
    messages: u32,
    filtered: u32,
    error: Option<SessionError>,
}

fn feed(session: &mut Session, wire: &[u8], step: usize) -> Outcome {
    let mut outcome = Outcome { stream: Vec::new(), messages: 0, filtered: 0, error: None };
    for chunk in wire.chunks(step.max(1)) {
        let mut buf = vec![0xee; HEADROOM];
        buf.extend(chunk);
        let data = HEADROOM..buf.len();
        match session.receive(&mut buf, data) {
            Ok(received) => {
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

/// Both ends of a connection: the client's encrypted bytes in records or bare, and the session that takes them.
fn pair(framing: Framing, plain: &[u8], tls: bool) -> (Vec<u8>, Session) {
    let key = SecretKey::new([3; 16]);
    let header = Header { framing, dc: DcId::new(2) };
    let mut client = initiate(&[0x5a; 64], header, Some(&key)).expect("fine");
    let server = accept(&client.wire, Some(&key)).expect("tag");
    let mut wire = plain.to_vec();
    client.to_server.apply(&mut wire);
    if tls {
        let stream = std::mem::take(&mut wire);
        for content in stream.chunks(2878) {
            wire.extend(record::header(content.len()));
            wire.extend(content);
        }
    }
    (wire, Session::new(framing, server.from_client, tls.then(record::Reader::of_client)))
}

fn messages(stream: &[u8], framing: Framing) -> Vec<Vec<u8>> {
    let mut decoder = ClientDecoder::new(framing);
    decoder.push(stream);
    std::iter::from_fn(|| decoder.next_frame().expect("legal").map(|frame| frame.message)).collect()
}

fn framing() -> impl Strategy<Value = Framing> {
    prop::sample::select(Framing::ALL.as_slice())
}

proptest! {
    /// any list of messages, through records and encryption, in any cut: those that may pass come out as they
    /// went in, padding and quick-ack wish included, the others are left out and counted.
    #[test]
    fn a_34_frames_pass_or_are_left_out_whatever_the_cut(
        framing in framing(),
        list in prop::collection::vec((0usize..6000, any::<bool>(), any::<bool>(), 0usize..16), 0..8),
        tls: bool,
        step in 1usize..9000,
    ) {
        let (mut plain, mut passing, mut filtered) = (Vec::new(), Vec::new(), 0);
        for (i, (words, passes, ack, padding)) in list.iter().enumerate() {
            let mut message = encrypted(*words, i as u8);
            if !passes {
                // An unencrypted message that is no part of a key exchange.
                message[..8].fill(0);
                filtered += 1;
            }
            let padding = vec![0xaa; if framing == Framing::Padded { *padding } else { 0 }];
            let before = plain.len();
            encode(framing, &message, *ack, &padding, &mut plain);
            if *passes {
                passing.extend_from_slice(&plain[before..]);
            }
        }
        let (wire, mut session) = pair(framing, &plain, tls);
        let outcome = feed(&mut session, &wire, step);
        prop_assert_eq!(outcome.error, None);
        prop_assert_eq!(outcome.messages as usize, list.len() - filtered);
        prop_assert_eq!(outcome.filtered as usize, filtered);
        prop_assert_eq!(outcome.stream, passing);
        prop_assert!(!session.is_inside_frame());
    }

    #[test]
    fn arbitrary_streams_are_safe_and_chunk_invariant(
        framing in framing(),
        plain in prop::collection::vec(any::<u8>(), 0..600),
        tls: bool,
        step in 1usize..70,
    ) {
        let (wire, mut session) = pair(framing, &plain, tls);
        let at_once = feed(&mut session, &wire, wire.len());
        let (wire, mut session) = pair(framing, &plain, tls);
        let cut = feed(&mut session, &wire, step);
        prop_assert_eq!(&cut.error, &at_once.error);
        if cut.error.is_none() {
            prop_assert_eq!(cut, at_once);
        }
    }
}

#[test]
fn a_06_one_word_too_many_is_refused_from_the_length_alone() {
    for framing in Framing::ALL {
        let longest = encrypted((MAX_CLIENT_MESSAGE - 56) / 4, 1);
        let mut plain = Vec::new();
        encode(framing, &longest, false, &[], &mut plain);
        let (wire, mut session) = pair(framing, &plain, false);
        assert_eq!(feed(&mut session, &wire, 16_384).error, None, "{framing:?}");

        let mut plain = Vec::new();
        encode(framing, &vec![1; MAX_CLIENT_MESSAGE + 4], false, &[], &mut plain);
        let (wire, mut session) = pair(framing, &plain[..4], false);
        assert_eq!(
            feed(&mut session, &wire, 4).error,
            Some(SessionError::Frame(FrameError::TooLong)),
            "{framing:?}"
        );
    }
}

#[test]
fn f_01_illegal_frames_end_the_session() {
    for (framing, plain, error) in [
        (Framing::Intermediate, vec![58, 0, 0, 0], FrameError::Unaligned),
        (Framing::Intermediate, vec![0, 0, 0, 0], FrameError::ZeroLength),
        (Framing::Padded, vec![3, 0, 0, 0], FrameError::TooShort),
        (Framing::Abridged, vec![0], FrameError::ZeroLength),
        (Framing::Abridged, vec![0x7f, 1, 0, 0], FrameError::Overlong),
    ] {
        let (wire, mut session) = pair(framing, &plain, false);
        assert_eq!(feed(&mut session, &wire, 4).error, Some(SessionError::Frame(error)), "{framing:?}");
    }
}

#[test]
fn a_key_exchange_passes_in_every_framing() {
    for framing in Framing::ALL {
        let question = req_pq_multi(4, [9; 16]);
        let mut plain = Vec::new();
        encode(framing, &question, false, &[], &mut plain);
        let (wire, mut session) = pair(framing, &plain, true);
        let outcome = feed(&mut session, &wire, 1);
        assert_eq!((outcome.messages, outcome.filtered, outcome.error), (1, 0, None));
        assert_eq!(messages(&outcome.stream, framing), [question]);
    }
}
