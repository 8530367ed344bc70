//! The full framing against the vectors, and under CBC in any cut.

mod common;

use common::{cases, hex, vectors};
use proptest::prelude::*;
use serde_json::Value;
use teleferry_proto::cipher::{BLOCK, CbcStream};
use teleferry_proto::transport::full::{
    Checksum, Decoder, Encoder, FullFrameError, MAX_FRAME, MIN_FRAME, OVERHEAD, PADDING_WORD, pad,
};

fn checksum(value: &Value) -> Checksum {
    match value.as_str() {
        Some("crc32") => Checksum::Crc32,
        Some("crc32c") => Checksum::Crc32c,
        other => panic!("checksum {other:?}"),
    }
}

/// The payloads of a stream that comes in pieces, and what ended it.
fn read(
    decoder: &mut Decoder,
    wire: &[u8],
    cuts: impl Iterator<Item = usize>,
) -> (Vec<Vec<u8>>, Option<FullFrameError>) {
    let (mut payloads, mut rest) = (Vec::new(), wire);
    for len in cuts {
        let (piece, behind) = rest.split_at(len.min(rest.len()));
        let mut used = 0;
        decoder.begin();
        loop {
            match decoder.next_frame(piece, &mut used) {
                Ok(Some(place)) => payloads.push(decoder.at(piece, place).to_vec()),
                Ok(None) => break,
                Err(error) => return (payloads, Some(error)),
            }
        }
        assert_eq!(used, piece.len(), "input left over");
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    (payloads, None)
}

#[test]
fn both_checksums() {
    for case in cases(&vectors("full-transport"), "checksums") {
        let (input, number) =
            (hex(&case["input"]), |name: &str| u32::from_str_radix(case[name].as_str().expect("text"), 16));
        assert_eq!(Ok(Checksum::Crc32.of(&input)), number("crc32_hex"));
        assert_eq!(Ok(Checksum::Crc32c.of(&input)), number("crc32c_hex"));
    }
}

#[test]
fn a_65_a_66_a_67_a_69_frames_with_and_without_padding() {
    for case in cases(&vectors("full-transport"), "frames") {
        let sequence = case["seq"].as_i64().expect("number") as i32;
        let (checksum, payload) = (checksum(&case["checksum"]), hex(&case["payload"]));
        let mut wire = Vec::new();
        // In two parts: the border between them must not show.
        let (head, tail) = payload.split_at(payload.len() / 8 * 4);
        Encoder::starting_at(sequence, checksum).encode(&[head, tail], &mut wire);
        assert_eq!(wire, hex(&case["frame"]), "{sequence}");
        if case["padded_to_16"].is_string() {
            pad(&mut wire, 0);
            assert_eq!(wire, hex(&case["padded_to_16"]), "{sequence}");
        }
        for step in [1, 3, 16, wire.len()] {
            let mut decoder = Decoder::starting_at(sequence, checksum);
            let (payloads, error) = read(&mut decoder, &wire, std::iter::repeat(step));
            assert_eq!(
                (payloads.as_slice(), error),
                ([payload.clone()].as_slice(), None),
                "{sequence} {step}"
            );
        }
    }
}

#[test]
fn a_68_nothing_is_no_frame() {
    let mut decoder = Decoder::new();
    decoder.begin();
    assert_eq!(decoder.next_frame(&[], &mut 0), Ok(None));
    let mut out = vec![1; 7];
    pad(&mut out, 7);
    assert_eq!(out, [1; 7]);
}

#[test]
fn a_70_every_reader_vector_in_every_cut() {
    for case in cases(&vectors("full-transport"), "reader") {
        let wire = hex(&case["wire"]);
        for step in 1..=wire.len() {
            let sequence = case["first_expected_seq"].as_i64().expect("number") as i32;
            let mut decoder = Decoder::starting_at(sequence, checksum(&case["checksum"]));
            let (payloads, error) = read(&mut decoder, &wire, std::iter::repeat(step));
            let expected = match case["expect"]["error"].as_str() {
                Some("length") => Some(FullFrameError::Length),
                Some("checksum") => Some(FullFrameError::Checksum),
                Some("sequence") => Some(FullFrameError::Sequence),
                None => None,
                Some(other) => panic!("unknown expectation {other}"),
            };
            assert_eq!(error, expected, "{} {step}", case["name"]);
            if let Some(frames) = case["expect"]["frames"].as_array() {
                match frames.first() {
                    Some(Value::String(_)) => {
                        let frames: Vec<_> = frames.iter().map(hex).collect();
                        assert_eq!(payloads, frames, "{} {step}", case["name"]);
                    }
                    _ => assert_eq!(payloads.len(), frames.len(), "{} {step}", case["name"]),
                }
            }
        }
    }
}

#[test]
fn a_length_is_judged_before_anything_is_kept() {
    for (len, limit, expected) in [
        (MAX_FRAME, MAX_FRAME, Ok(None)),
        (MAX_FRAME + 4, MAX_FRAME, Err(FullFrameError::Length)),
        (48, 48, Ok(None)),
        (52, 48, Err(FullFrameError::Length)),
        (MIN_FRAME - 4, MAX_FRAME, Err(FullFrameError::Length)),
        (0, MAX_FRAME, Err(FullFrameError::Length)),
    ] {
        let mut decoder = Decoder::new();
        decoder.set_limit(limit);
        decoder.begin();
        assert_eq!(decoder.next_frame(&(len as u32).to_le_bytes(), &mut 0), expected, "{len} of {limit}");
    }
}

#[test]
fn the_longest_frame_passes() {
    let payload = vec![5; MAX_FRAME - OVERHEAD];
    let mut wire = Vec::new();
    Encoder::new().encode(&[&payload], &mut wire);
    let (payloads, error) = read(&mut Decoder::new(), &wire, std::iter::repeat(100_000));
    assert_eq!(error, None);
    assert!(payloads == [payload], "not what went in");
}

fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let words = prop::collection::vec(any::<[u8; 4]>(), 1..60).prop_map(|words| words.concat());
    prop::collection::vec(words, 0..12)
}

fn checksums() -> impl Strategy<Value = Checksum> {
    prop::sample::select([Checksum::Crc32, Checksum::Crc32c].as_slice())
}

proptest! {
    #[test]
    fn a_43_a_44_any_list_of_payloads_in_any_cut(
        list in payloads(),
        checksum in checksums(),
        sequence: i32,
        cuts in prop::collection::vec(1usize..90, 1..9),
        paddings in prop::collection::vec(0usize..4, 12),
    ) {
        let mut encoder = Encoder::starting_at(sequence, checksum);
        let mut wire = Vec::new();
        for (payload, padding) in list.iter().zip(paddings) {
            encoder.encode(&[payload], &mut wire);
            wire.extend(PADDING_WORD.repeat(padding));
        }
        let mut decoder = Decoder::starting_at(sequence, checksum);
        let (found, error) = read(&mut decoder, &wire, cuts.into_iter().cycle());
        prop_assert_eq!(error, None);
        prop_assert_eq!(found, list);
    }

    #[test]
    fn a_33_under_cbc_any_list_of_flushes_in_any_cut(
        flushes in prop::collection::vec(payloads(), 0..5),
        key: [u8; 32],
        iv: [u8; BLOCK],
        checksum in checksums(),
        blocks in prop::collection::vec(1usize..9, 1..9),
    ) {
        let (mut encoder, mut encrypt) = (Encoder::starting_at(0, checksum), CbcStream::new(&key, &iv));
        let mut wire = Vec::new();
        for flush in &flushes {
            let start = wire.len();
            flush.iter().for_each(|payload| encoder.encode(&[payload], &mut wire));
            pad(&mut wire, start);
            prop_assert_eq!(encrypt.encrypt(&mut wire[start..]), wire.len() - start, "whole blocks");
        }
        let (mut decrypt, mut rest) = (CbcStream::new(&key, &iv), wire.as_mut_slice());
        for blocks in blocks.iter().cycle() {
            let (piece, behind) = rest.split_at_mut((blocks * BLOCK).min(rest.len()));
            decrypt.decrypt(piece);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        let mut decoder = Decoder::starting_at(0, checksum);
        let (found, error) = read(&mut decoder, &wire, blocks.iter().cycle().map(|blocks| blocks * BLOCK));
        prop_assert_eq!(error, None);
        prop_assert_eq!(found, flushes.concat());
    }

    #[test]
    fn arbitrary_bytes_are_safe_and_held_bytes_stand_before_the_input(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        list in payloads(),
        cut in 0usize..60,
    ) {
        let _ = read(&mut Decoder::new(), &bytes, std::iter::repeat(7));
        // However much of a stream is held instead of given as input, the frames are the same.
        let mut wire = Vec::new();
        let mut encoder = Encoder::new();
        list.iter().for_each(|payload| encoder.encode(&[payload], &mut wire));
        let (held, input) = wire.split_at(cut.min(wire.len()));
        let mut decoder = Decoder::new();
        decoder.begin();
        decoder.hold(held);
        let (mut found, mut used) = (Vec::new(), 0);
        while let Some(place) = decoder.next_frame(input, &mut used).expect("legal") {
            prop_assert_eq!(place.len(), decoder.at(input, place).len());
            prop_assert_eq!(decoder.at(input, place.last(4)), &decoder.at(input, place)[place.len() - 4..]);
            found.push(decoder.at(input, place).to_vec());
        }
        prop_assert_eq!(found, list);
    }
}
