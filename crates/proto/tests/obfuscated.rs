//! The 64-byte header and its streams against the vectors, and its properties.

mod common;

use common::{array, cases, hex, vectors};
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};
use teleferry_proto::dc::DcId;
use teleferry_proto::direct::Direct;
use teleferry_proto::obfuscated::{Header, accept, find_secret, initiate};
use teleferry_proto::secret::SecretKey;
use teleferry_proto::transport::{
    ClientDecoder, Frame, Framing, ServerDecoder, ServerFrame, encode, encode_quick_ack,
};

fn key(value: &Value) -> Option<SecretKey> {
    match value.as_str() {
        None | Some("") => None,
        Some(_) => Some(SecretKey::new(array(value))),
    }
}

fn header(case: &Value) -> Header {
    let framing = Framing::from_tag(array(&case["tag"])).expect("tag");
    Header { framing, dc: DcId::new(case["dc_id"].as_i64().expect("dc") as i16) }
}

#[test]
fn a_76_headers_and_both_streams() {
    let file = vectors("obfuscated2");
    let mut conversations = 0;
    for case in cases(&file, "vectors") {
        let name = &case["name"];
        let key = key(&case["secret_key"]);
        let header = header(case);
        let mut client = initiate(&array(&case["random64"]), header, key.as_ref()).expect("not excluded");
        assert_eq!(client.wire.as_slice(), hex(&case["header_wire"]), "{name}");
        let mut server = accept(&array(&case["header_wire"]), key.as_ref()).expect("tag");
        assert_eq!(server.header, header, "{name}");
        if case.get("client_frames").is_none() {
            for (stream, expected) in [
                (&mut server.from_client, &case["c2s_keystream_after_header"]),
                (&mut client.to_server, &case["c2s_keystream_after_header"]),
                (&mut server.to_client, &case["s2c_keystream"]),
                (&mut client.from_server, &case["s2c_keystream"]),
            ] {
                let expected = hex(expected);
                let mut keystream = vec![0; expected.len()];
                stream.apply(&mut keystream);
                assert_eq!(keystream, expected, "{name}");
            }
            continue;
        }
        conversations += 1;

        let (mut sent, mut decoder) = (Vec::new(), ClientDecoder::new(header.framing));
        for frame in cases(case, "client_frames") {
            let (message, quick_ack) = (hex(&frame["payload"]), frame["quick_ack"] == true);
            encode(header.framing, &message, quick_ack, &hex(&frame["padding"]), &mut sent);
        }
        assert_eq!(sent, hex(&case["client_stream_plain"]), "{name}");
        client.to_server.apply(&mut sent);
        assert_eq!(sent, hex(&case["client_stream_wire"]), "{name}");
        server.from_client.apply(&mut sent);
        decoder.push(&sent);
        for frame in cases(case, "client_frames") {
            let got = decoder.next_frame().expect("legal").expect("whole");
            assert!(got.message.starts_with(&hex(&frame["payload"])), "{name}");
            assert_eq!(got.quick_ack, frame["quick_ack"] == true, "{name}");
        }
        assert_eq!(decoder.next_frame(), Ok(None), "{name}");

        let (mut answered, mut decoder) = (Vec::new(), ServerDecoder::new(header.framing));
        for frame in cases(case, "server_frames") {
            match frame.get("quick_ack_token_le") {
                Some(token) => encode_quick_ack(header.framing, array(token), &mut answered),
                None => encode(
                    header.framing,
                    &hex(&frame["payload"]),
                    false,
                    &hex(&frame["padding"]),
                    &mut answered,
                ),
            }
        }
        server.to_client.apply(&mut answered);
        assert_eq!(answered, hex(&case["server_stream_wire"]), "{name}");
        client.from_server.apply(&mut answered);
        decoder.push(&answered);
        for frame in cases(case, "server_frames") {
            match (decoder.next_frame().expect("legal").expect("whole"), frame.get("quick_ack_token_le")) {
                (ServerFrame::QuickAck(token), Some(expected)) => {
                    assert_eq!(token, array(expected), "{name}")
                }
                (ServerFrame::Message(message), None) => {
                    assert!(message.starts_with(&hex(&frame["payload"])), "{name}");
                }
                (got, expected) => panic!("{name}: {got:?} instead of {expected:?}"),
            }
        }
    }
    assert_eq!(conversations, 10);
}

#[test]
fn the_counter_wraps_at_128_bits() {
    let file = vectors("obfuscated2");
    for case in cases(&file, "counter_edge_cases") {
        let mut server =
            accept(&array(&case["header_wire"]), key(&case["secret_key"]).as_ref()).expect("tag");
        let expected = hex(&case["c2s_keystream_after_header"]);
        let mut keystream = vec![0; expected.len()];
        server.from_client.apply(&mut keystream);
        assert_eq!(keystream, expected, "{}", case["name"]);
    }
}

#[test]
fn a_million_bytes_in_odd_chunks() {
    let file = vectors("obfuscated2");
    let case = &file["long_stream"];
    let server = accept(&array(&case["header_wire"]), key(&case["secret_key"]).as_ref()).expect("tag");
    for (mut stream, expected) in
        [(server.from_client, &case["c2s_after_header_sha256"]), (server.to_client, &case["s2c_sha256"])]
    {
        let (mut hash, mut left, mut chunk) = (Sha256::new(), 1_000_000, 1);
        while left > 0 {
            let len = left.min(chunk);
            let mut bytes = vec![0; len];
            stream.apply(&mut bytes);
            hash.update(&bytes);
            left -= len;
            chunk = chunk * 3 % 70_001 + 1;
        }
        assert_eq!(hash.finalize().as_slice(), hex(expected));
    }
}

#[test]
fn many_secrets_are_told_apart() {
    let file = vectors("obfuscated2");
    let many = &file["many_secrets"];
    let keys: Vec<_> = cases(many, "secret_keys").iter().filter_map(key).collect();
    for case in cases(many, "vectors") {
        let wire = array(&case["header_wire"]);
        let index = find_secret(&wire, &keys);
        assert_eq!(index.map(|index| index as u64), case["expect_secret_index"].as_u64(), "{case}");
        let Some(index) = index else { continue };
        let accepted = accept(&wire, Some(&keys[index])).expect("tag");
        assert_eq!(accepted.header.framing.tag(), array(&case["expect_tag"]));
        assert_eq!(i64::from(accepted.header.dc.get()), case["expect_dc_id"]);
    }
}

#[test]
fn wrong_tags_and_wrong_secrets_are_refused() {
    let file = vectors("obfuscated2");
    for case in cases(&file, "bad_tags") {
        let key = key(&case["secret_key"]).expect("secret");
        assert!(accept(&array(&case["header_wire"]), Some(&key)).is_none(), "{case}");
        assert_eq!(find_secret(&array(&case["header_wire"]), [&key]), None, "{case}");
    }
    let case = &file["vectors"][1];
    let wrong = SecretKey::new([0x77; 16]);
    assert!(accept(&array(&case["header_wire"]), Some(&wrong)).is_none());
}

#[test]
fn headers_never_look_like_another_protocol() {
    let file = vectors("obfuscated2");
    let header = Header { framing: Framing::Padded, dc: DcId::new(2) };
    for case in cases(&file, "never_sent_by_clients") {
        let first = hex(&case["first_bytes"]);
        let mut random = [0x5a; 64];
        random[..first.len()].copy_from_slice(&first);
        assert!(initiate(&random, header, None).is_none(), "{case}");
    }
    assert!(initiate(&[0x5a; 64], header, None).is_some());
}

#[test]
fn headers_towards_data_centres() {
    let file = vectors("direct-dc");
    for case in cases(&file, "headers") {
        let name = &case["name"];
        let client = initiate(&[0x5a; 64], header(case), Some(&SecretKey::new([1; 16]))).expect("fine");
        let (wire, mut direct) =
            Direct::open(&array(&case["random64"]), header(case), &client.from_server, false, false)
                .expect("fine");
        assert_eq!(wire.as_slice(), hex(&case["header_wire"]), "{name}");
        let mut frame = hex(&case["first_frame_plain"]);
        direct.to_dc(&mut frame);
        assert_eq!(frame, hex(&case["first_frame_wire"]), "{name}");
        // The other direction ends up under the client's key.
        let mut answer = hex(&case["dc_answer_wire"]);
        let data = 0..answer.len();
        direct.to_client(&mut answer, data, |_| {});
        client.from_server.clone().apply(&mut answer);
        assert_eq!(answer, hex(&case["dc_answer_frame_plain"]), "{name}");
    }
}

#[test]
fn the_fast_path_needs_no_cryptography_towards_the_client() {
    let file = vectors("direct-dc");
    for case in cases(&file, "fast_mode") {
        let name = &case["transport"];
        let mut client =
            accept(&array(&case["client_header_wire"]), key(&case["secret_key"]).as_ref()).expect("tag");
        let random = array(&case["dc_header_random64"]);
        let (wire, mut direct) =
            Direct::open(&random, client.header, &client.to_client, true, false).expect("fine");
        assert_eq!(wire.as_slice(), hex(&case["dc_header_wire"]), "{name}");
        let mut frame = hex(&case["client_frame_wire"]);
        client.from_client.apply(&mut frame);
        assert_eq!(frame, hex(&case["client_frame_plain"]), "{name}");
        direct.to_dc(&mut frame);
        assert_eq!(frame, hex(&case["frame_wire_to_dc"]), "{name}");
        let mut answer = hex(&case["dc_answer_wire"]);
        let data = 0..answer.len();
        direct.to_client(&mut answer, data, |_| {});
        assert_eq!(answer, hex(&case["proxy_to_client_wire"]), "{name}");
        // And the data centre, which knows no secret, finds what the proxy meant.
        let dc = accept(&wire, None).expect("tag");
        assert_eq!(dc.header, client.header, "{name}");
    }
}

fn framing() -> impl Strategy<Value = Framing> {
    prop::sample::select(Framing::ALL.as_slice())
}

fn random64() -> impl Strategy<Value = [u8; 64]> {
    prop::collection::vec(any::<u8>(), 64).prop_map(|bytes| bytes.try_into().expect("64 bytes"))
}

/// Messages as a client may send them, with padding for the framing that has it.
fn messages() -> impl Strategy<Value = Vec<(Vec<u8>, bool, usize)>> {
    let message = (1usize..400, any::<u8>(), any::<bool>(), 0usize..16);
    prop::collection::vec(message, 0..10).prop_map(|list| {
        list.into_iter().map(|(words, fill, ack, padding)| (vec![fill; words * 4], ack, padding)).collect()
    })
}

proptest! {
    #[test]
    fn a_49_header_is_read_back(random in random64(), secret: [u8; 16], framing in framing(), dc in -9i16..=9) {
        let key = SecretKey::new(secret);
        let header = Header { framing, dc: DcId::new(dc) };
        if let Some(made) = initiate(&random, header, Some(&key)) {
            prop_assert_eq!(accept(&made.wire, Some(&key)).expect("tag").header, header);
        }
    }

    /// any list of messages survives both directions in every framing,
    /// over CTR, however the bytes are cut; what cannot be told from padding may stay behind a padded message.
    #[test]
    fn a_30_any_messages_in_any_chunks_both_ways(
        random in random64(),
        secret: [u8; 16],
        framing in framing(),
        messages in messages(),
        cuts in prop::collection::vec(1usize..600, 1..40),
    ) {
        let key = SecretKey::new(secret);
        let header = Header { framing, dc: DcId::new(2) };
        let Some(mut client) = initiate(&random, header, Some(&key)) else { return Ok(()) };
        let mut server = accept(&client.wire, Some(&key)).expect("tag");
        let mut sent = Vec::new();
        for (message, quick_ack, padding) in &messages {
            let padding = vec![0xaa; if framing == Framing::Padded { *padding } else { 0 }];
            encode(framing, message, *quick_ack, &padding, &mut sent);
        }
        client.to_server.apply(&mut sent);
        let mut got: Vec<Frame> = Vec::new();
        let mut decoder = ClientDecoder::new(framing);
        for chunk in chunks(&mut sent, &cuts) {
            server.from_client.apply(chunk);
            decoder.push(chunk);
            while let Some(frame) = decoder.next_frame().expect("legal") {
                got.push(frame);
            }
        }
        prop_assert_eq!(got.len(), messages.len());
        for (frame, (message, quick_ack, padding)) in got.iter().zip(&messages) {
            let kept = if framing == Framing::Padded { padding & !3 } else { 0 };
            prop_assert_eq!(&frame.message[..message.len()], message.as_slice());
            prop_assert_eq!(frame.message.len(), message.len() + kept);
            prop_assert_eq!(frame.quick_ack, *quick_ack);
        }
        // And back again, with padding that no client takes for content.
        let mut answered = Vec::new();
        for frame in &got {
            let padding = vec![0xaa; if framing == Framing::Padded { frame.message.len() / 4 % 4 } else { 0 }];
            encode(framing, &frame.message, false, &padding, &mut answered);
        }
        server.to_client.apply(&mut answered);
        let mut back = Vec::new();
        let mut decoder = ServerDecoder::new(framing);
        for chunk in chunks(&mut answered, &cuts) {
            client.from_server.apply(chunk);
            decoder.push(chunk);
            while let Some(frame) = decoder.next_frame().expect("legal") {
                back.push(frame);
            }
        }
        let expected: Vec<_> = got.into_iter().map(|frame| ServerFrame::Message(frame.message)).collect();
        prop_assert_eq!(back, expected);
    }
}

/// Cuts the bytes at the given lengths, over and over.
fn chunks<'a>(bytes: &'a mut [u8], cuts: &'a [usize]) -> impl Iterator<Item = &'a mut [u8]> {
    let mut rest = bytes;
    let mut cuts = cuts.iter().cycle();
    std::iter::from_fn(move || {
        let len = (*cuts.next()?).min(rest.len());
        let (chunk, tail) = std::mem::take(&mut rest).split_at_mut(len);
        rest = tail;
        (!chunk.is_empty()).then_some(chunk)
    })
}
