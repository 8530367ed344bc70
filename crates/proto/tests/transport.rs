//! Frames against the vectors, and what arbitrary bytes can do to the decoders.

mod common;

use common::{array, cases, det, hex, vectors};
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};
use teleferry_proto::message::{Judgement, judge};
use teleferry_proto::transport::{
    ClientDecoder, FrameError, Framing, MAX_CLIENT_MESSAGE, ServerDecoder, ServerFrame, client_header,
    encode, encode_quick_ack, server_header,
};

fn framing(value: &Value) -> Framing {
    match value.as_str() {
        Some("abridged") => Framing::Abridged,
        Some("intermediate") => Framing::Intermediate,
        Some("padded") => Framing::Padded,
        other => panic!("framing {other:?}"),
    }
}

#[test]
fn every_encode_vector() {
    let file = vectors("transport-frames");
    for case in cases(&file, "encode") {
        let len = case["payload_len"].as_u64().expect("length") as usize;
        let payload =
            if case["payload"].is_null() { det(&format!("tfe{len}"), len) } else { hex(&case["payload"]) };
        let framing = framing(&case["codec"]);
        let padding = if case["padding"].is_null() {
            det(&format!("tfp{len}"), len % 16)
        } else {
            hex(&case["padding"])
        };
        let mut wire = Vec::new();
        encode(framing, &payload, case["quick_ack"] == true, &padding, &mut wire);
        assert_eq!(wire.len() as u64, case["wire_len"], "{framing:?} {len}");
        assert!(wire.starts_with(&hex(&case["wire_prefix"])), "{framing:?} {len}");
        assert_eq!(Sha256::digest(&wire).as_slice(), hex(&case["wire_sha256"]), "{framing:?} {len}");

        let mut decoder = ClientDecoder::new(framing);
        decoder.push(&wire);
        let frame = decoder.next_frame().expect("legal").expect("whole");
        assert!(frame.message.starts_with(&payload), "{framing:?} {len}");
        assert_eq!(frame.quick_ack, case["quick_ack"] == true, "{framing:?} {len}");
    }
}

#[test]
fn every_decode_vector_at_once_and_byte_by_byte() {
    let file = vectors("transport-frames");
    for case in cases(&file, "decode") {
        let (wire, comment) = (hex(&case["wire"]), &case["comment"]);
        for step in [wire.len(), 1] {
            let mut decoder = ClientDecoder::new(framing(&case["codec"]));
            let mut frames = Vec::new();
            let mut error = None;
            for chunk in wire.chunks(step) {
                decoder.push(chunk);
                loop {
                    match decoder.next_frame() {
                        Ok(Some(frame)) => frames.push(frame),
                        Ok(None) => break,
                        Err(found) => {
                            error = Some(found);
                            break;
                        }
                    }
                }
            }
            let expected = match case["expect"]["error"].as_str() {
                Some("overlong length") => Some(FrameError::Overlong),
                Some("zero length") => Some(FrameError::ZeroLength),
                Some("too long") => Some(FrameError::TooLong),
                Some("length not a multiple of 4") => Some(FrameError::Unaligned),
                Some("shorter than 4") => Some(FrameError::TooShort),
                None => None,
                Some(other) => panic!("unknown expectation {other}"),
            };
            assert_eq!(error, expected, "{comment}");
            if expected.is_none() {
                let expected = case["expect"]["frames"].as_array().expect("frames");
                assert_eq!(frames.len(), expected.len(), "{comment}");
                for (frame, expected) in frames.iter().zip(expected) {
                    assert_eq!(frame.message, hex(&expected["payload"]), "{comment}");
                    assert_eq!(frame.quick_ack, expected["quick_ack"] == true, "{comment}");
                }
            }
        }
    }
}

#[test]
fn f_16_quick_acks_in_every_framing() {
    let file = vectors("transport-frames");
    for case in cases(&file, "quick_acks") {
        let token = array(&case["token_in_rpc_simple_ack"]);
        for (framing, wire) in [
            (Framing::Abridged, &case["abridged_wire"]),
            (Framing::Intermediate, &case["intermediate_wire"]),
            (Framing::Padded, &case["padded_wire_old_form"]),
        ] {
            let mut out = Vec::new();
            encode_quick_ack(framing, token, &mut out);
            assert_eq!(out, hex(wire), "{framing:?}");
            let mut decoder = ServerDecoder::new(framing);
            decoder.push(&out);
            assert_eq!(decoder.next_frame(), Ok(Some(ServerFrame::QuickAck(token))), "{framing:?}");
        }
    }
}

#[test]
fn small_server_payloads_pass() {
    let file = vectors("transport-frames");
    for case in cases(&file, "small_server_payloads") {
        for framing in Framing::ALL {
            let (payload, mut wire) = (hex(&case["payload"]), Vec::new());
            encode(framing, &payload, false, &[], &mut wire);
            let mut decoder = ServerDecoder::new(framing);
            decoder.push(&wire);
            assert_eq!(decoder.next_frame(), Ok(Some(ServerFrame::Message(payload))), "{framing:?} {case}");
        }
    }
}

#[test]
fn the_edge_judges_like_the_official_proxy() {
    let file = vectors("transport-frames");
    for case in cases(&file, "message_filter_of_c_reference") {
        let message = hex(&case["message"]);
        let expected =
            if case["forwarded_by_c_reference"] == true { Judgement::Forward } else { Judgement::Drop };
        let judgements: Vec<_> =
            (0..=message.len()).map(|n| judge(message.len() as u32, &message[..n])).collect();
        assert_eq!(judgements.last(), Some(&expected), "{}", case["name"]);
        // A verdict never changes with more bytes, and comes after 24 at the latest.
        let first =
            judgements.iter().position(|&judgement| judgement != Judgement::NeedMore).expect("a verdict");
        assert!(first <= 24, "{}", case["name"]);
        assert!(judgements[first..].iter().all(|judgement| judgement == &expected), "{}", case["name"]);
    }
}

proptest! {
    #[test]
    fn a_57_headers_are_judged_alike_however_little_is_there(bytes: [u8; 8], framing in prop::sample::select(Framing::ALL.as_slice())) {
        for read in [client_header, server_header] {
            let whole = read(framing, &bytes);
            prop_assert!(whole != Ok(None));
            for len in 0..bytes.len() {
                let partial = read(framing, &bytes[..len]);
                prop_assert!(partial == Ok(None) || partial == whole);
            }
            prop_assert_eq!(read(framing, &[]), Ok(None));
        }
    }

    #[test]
    fn no_more_than_one_message_is_ever_awaited(bytes in prop::collection::vec(any::<u8>(), 0..64), framing in prop::sample::select(Framing::ALL.as_slice())) {
        if let Ok(Some(header)) = client_header(framing, &bytes) {
            prop_assert!(header.message_len() as usize <= MAX_CLIENT_MESSAGE);
        }
        let mut decoder = ClientDecoder::new(framing);
        decoder.push(&bytes);
        while let Ok(Some(frame)) = decoder.next_frame() {
            prop_assert!(frame.message.len() <= bytes.len());
        }
        let mut decoder = ServerDecoder::new(framing);
        decoder.push(&bytes);
        while let Ok(Some(_)) = decoder.next_frame() {}
    }
}
