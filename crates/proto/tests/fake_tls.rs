//! Fake TLS against the vectors and against hellos that real clients sent, and its properties.

mod common;

use std::borrow::Cow;

use common::{array, cases, det, hex, vectors};
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};
use teleferry_proto::accept::{Inner, InnerError, Protocols, Stranger, Terms, Verdict, examine};
use teleferry_proto::fake_tls::answer::{AnswerError, check};
use teleferry_proto::fake_tls::client_hello::{ClientHello, MAX_HELLO_WIRE, Scan, prove, scan};
use teleferry_proto::fake_tls::greeting::{Shape, greet};
use teleferry_proto::fake_tls::profile::{ExtensionOrder, Group, Observation, Profile, Unlike, observe};
use teleferry_proto::fake_tls::record::{self, RecordError};
use teleferry_proto::fake_tls::server_hello::{KeyShare, Look, Offer, answer};
use teleferry_proto::per_sni;
use teleferry_proto::secret::SecretKey;
use teleferry_proto::session::{HEADROOM, Session};
use teleferry_proto::transport::{ClientDecoder, Framing};

const TLS_ONLY: Protocols = Protocols { tls: true, secure: false, classic: false };
/// A point of the curve: the base point itself.
const POINT: [u8; 32] = {
    let mut point = [0; 32];
    point[0] = 9;
    point
};

fn secret(value: &Value) -> SecretKey {
    SecretKey::new(array(value))
}

/// What the first bytes are, in the words of the vectors.
fn judged(wire: &[u8], key: &SecretKey) -> &'static str {
    match examine(wire, std::slice::from_ref(key), TLS_ONLY) {
        Verdict::NeedMore => "need_more",
        Verdict::Hello(_) => "accept",
        Verdict::Header(_) => "header",
        Verdict::Stranger(Stranger::NotTls) => "not_tls",
        Verdict::Stranger(Stranger::TlsDigest) => "bad_digest",
        Verdict::Stranger(Stranger::TlsMalformed) => "reject",
        Verdict::Stranger(other) => panic!("{other:?}"),
    }
}

fn hello_named<'a>(file: &'a Value, name: &Value) -> &'a Value {
    cases(file, "client_hellos")
        .iter()
        .find(|case| case["name"] == *name)
        .unwrap_or_else(|| panic!("no {name}"))
}

/// The hello of a case; the longest ones are given by their head, zeros follow it.
fn hello_of(case: &Value) -> Vec<u8> {
    if case["hello"].is_string() {
        return hex(&case["hello"]);
    }
    let mut hello = hex(&case["hello_head"]);
    hello.resize(case["hello_len"].as_u64().expect("length") as usize, 0);
    assert_eq!(Sha256::digest(&hello).as_slice(), hex(&case["hello_sha256"]));
    hello
}

#[test]
fn a_40_every_hello_vector() {
    let file = vectors("fake-tls");
    for case in cases(&file, "client_hellos") {
        let (name, wire, key) = (&case["name"], hello_of(case), secret(&case["secret_key"]));
        // "policy" and "stale" are for whoever knows the clock and the operator's wishes: proven here.
        let expected = match case["expect"].as_str() {
            Some("policy" | "stale") => "accept",
            Some(other) => other,
            None => panic!("no expectation: {name}"),
        };
        assert_eq!(judged(&wire, &key), expected, "{name}");
        let Verdict::Hello(proven) = examine(&wire, &[key], TLS_ONLY) else { continue };
        assert_eq!(u64::from(proven.proof.unix_time), case["unix_time"], "{name}");
        assert_eq!(proven.hello.random().as_slice(), hex(&case["random"]), "{name}");
        assert_eq!(proven.hello.session_id(), hex(&case["session_id"]), "{name}");
        assert_eq!(proven.hello.server_name(), case["sni"].as_str().map(str::as_bytes), "{name}");
        let suites: Vec<_> =
            proven.hello.cipher_suites().map(|suite| Value::from(format!("{suite:04x}"))).collect();
        assert_eq!(suites, cases(case, "cipher_suites"), "{name}");
        for share in cases(case, "key_shares") {
            let (group, len) = share.as_str().and_then(|share| share.split_once(':')).expect("group:length");
            let group = u16::from_str_radix(group, 16).expect("group");
            let key = proven.hello.key_share(group).expect("share");
            assert_eq!(key.len(), len.parse::<usize>().expect("length"), "{name}");
        }
        assert_eq!(proven.wire_len, wire.len(), "{name}");
    }
}

#[test]
fn malformed_hellos_are_refused_at_the_first_byte_that_tells() {
    let file = vectors("fake-tls");
    let key = SecretKey::new(std::array::from_fn(|i| i as u8));
    for case in cases(&file, "malformed") {
        let (name, wire) = (&case["name"], hex(&case["wire"]));
        assert_eq!(judged(&wire, &key), case["expect"], "{name}");
        let first =
            (0..=wire.len()).find(|&len| judged(&wire[..len], &key) != "need_more").expect("a verdict");
        let last_needed = match case["name"].as_str().expect("name") {
            "record version 0303" | "record version 0300" => 3,
            "handshake type 2" => 6,
            "handshake length one short" => wire.len(),
            "legacy version 0302" => 11,
            "session id length 33" | "session id length past the end" => 44,
            "record length 65535" | "record length 0" => 5,
            "extension length past the end" => wire.len(),
            other => panic!("unknown case {other}"),
        };
        assert!(first <= last_needed, "{name}: at {first} instead of {last_needed}");
    }
}

#[test]
fn truncated_hellos_wait() {
    let file = vectors("fake-tls");
    let base = hello_named(&file, &file["truncations"]["base"]);
    let (wire, key) = (hex(&base["hello"]), secret(&base["secret_key"]));
    for case in cases(&file["truncations"], "cases") {
        let cut = case["cut"].as_u64().expect("cut") as usize;
        assert_eq!(judged(&wire[..cut], &key), case["expect"], "{cut}");
    }
}

#[test]
fn hellos_split_over_records_are_put_together() {
    let file = vectors("fake-tls");
    for case in cases(&file, "fragmented_records") {
        let base = hello_named(&file, &case["base"]);
        let (wire, key) = (hex(&case["wire"]), secret(&base["secret_key"]));
        let Scan::Whole { record, wire_len } = scan(&wire) else { panic!("{}", case["cuts"]) };
        assert_eq!(record, hex(&base["hello"]));
        assert_eq!(wire_len, wire.len());
        assert_eq!(judged(&wire, &key), "accept");
        for len in 0..wire.len() {
            assert_eq!(judged(&wire[..len], &key), "need_more", "{len}");
        }
    }
}

#[test]
fn hellos_of_real_clients() {
    let file = vectors("client_hellos");
    let nobody = SecretKey::new([0x77; 16]);
    let mut telegram = 0;
    for case in cases(&file, "hellos") {
        let (id, wire) = (&case["id"], hex(&case["hex"]));
        let fields = &case["fields"];
        if fields["record_version"] == "0301" {
            assert_eq!(judged(&wire, &nobody), "bad_digest", "{id}");
            let Scan::Whole { record, .. } = scan(&wire) else { panic!("{id}") };
            let hello = ClientHello::parse(record).unwrap_or_else(|| panic!("{id}"));
            assert_eq!(hello.server_name(), fields["sni"].as_str().map(str::as_bytes), "{id}");
        }
        if case["secret"].is_null() {
            continue;
        }
        telegram += 1;
        let keys = [nobody.clone(), secret(&case["secret"])];
        let Verdict::Hello(proven) = examine(&wire, &keys, TLS_ONLY) else { panic!("{id}") };
        assert_eq!(proven.secret, 1, "{id}");
        assert_eq!(u64::from(proven.proof.unix_time), case["unix_time"], "{id}");
        let hybrid = cases(fields, "key_shares").iter().any(|share| share[0] == "11ec");
        assert_eq!(matches!(Offer::of(&proven.hello, Group::Hybrid), Offer::Hybrid(_)), hybrid, "{id}");
    }
    assert_eq!(telegram, 23);
}

#[test]
fn a_42_secrets_derived_for_a_name() {
    let file = vectors("fake-tls");
    let mut seen = Vec::new();
    for case in cases(&file, "per_sni_secrets") {
        let (salt, name) = (case["salt"].as_str().expect("salt"), case["sni"].as_str().expect("name"));
        let derived = per_sni::derive(&secret(&case["base_secret"]), salt, name.as_bytes());
        assert_eq!(derived.as_bytes().as_slice(), hex(&case["derived_secret"]), "{case}");
        assert!(!seen.contains(derived.as_bytes()), "every change of salt, secret or name shows: {case}");
        seen.push(*derived.as_bytes());
    }
    let case = &file["per_sni_hello"];
    let wire = hex(&case["hello"]);
    assert_eq!(judged(&wire, &secret(&case["secret_key"])), "accept");
    let base = SecretKey::new(std::array::from_fn(|i| i as u8));
    assert_eq!(judged(&wire, &base), "bad_digest");
    // From the base secrets: the one that counts, and the key that it gives.
    let keys = [SecretKey::new([7; 16]), base.clone()];
    let terms = Terms { keys: &keys, protocols: TLS_ONLY, sni_salt: Some(per_sni::PUBLIC_SALT) };
    let Verdict::Hello(proven) = terms.examine(&wire) else { panic!("not proven") };
    assert_eq!(proven.secret, 1);
    assert_eq!(proven.key.as_bytes().as_slice(), hex(&case["secret_key"]));
    // What the base secret proves is not taken, and neither is another salt.
    let of_base = hex(&file["client_hellos"][0]["hello"]);
    assert_eq!(judged(&of_base, &base), "accept");
    for (wire, salt) in [(&of_base, per_sni::PUBLIC_SALT), (&wire, "another")] {
        let verdict = Terms { sni_salt: Some(salt), ..terms }.examine(wire);
        assert!(matches!(verdict, Verdict::Stranger(Stranger::TlsDigest)), "{verdict:?}");
    }
}

/// A link names its host in lower case; some clients send it otherwise.
#[test]
fn a_42_the_name_counts_as_sent_or_in_lower_case() {
    let keys = [SecretKey::new([1; 16]), SecretKey::new([2; 16])];
    let terms = Terms { keys: &keys, protocols: TLS_ONLY, sni_salt: Some("salt") };
    for (sent, name, counts) in [
        ("a.example", "a.example", true),
        ("A.Example", "a.example", true),
        ("A.Example", "A.Example", true),
        ("a.example", "A.Example", false),
        ("a.example", "b.example", false),
    ] {
        let derived = per_sni::derive(&keys[1], "salt", name.as_bytes());
        let wire = greet(Shape::Modern, &derived, sent, 0, &[3; 32], &POINT).wire;
        match terms.examine(&wire) {
            Verdict::Hello(proven) => {
                assert_eq!((counts, proven.secret, &proven.key), (true, 1, &derived), "{sent} {name}");
            }
            verdict => assert!(!counts, "{sent} {name}: {verdict:?}"),
        }
    }
}

#[test]
fn answers_are_checked_as_clients_do() {
    let file = vectors("fake-tls");
    for case in cases(&file, "server_responses") {
        let (name, key, random) = (&case["name"], secret(&case["secret_key"]), array(&case["client_random"]));
        let response = match case["response"].as_str() {
            Some(_) => hex(&case["response"]),
            None => {
                let whole = [&hex(&case["response_head"])[..138], &det("app10241", 10241)].concat();
                assert_eq!(Sha256::digest(&whole).as_slice(), hex(&case["response_sha256"]), "{name}");
                whole
            }
        };
        let checked = check(&response, &key, &random);
        match case["name"].as_str().expect("name") {
            "digest flipped" | "second application record, digest over all" => {
                assert_eq!(checked, Err(AnswerError::Digest), "{name}");
            }
            "no CCS record" => assert_eq!(checked, Err(AnswerError::Records), "{name}"),
            // Three records are proven; that something follows them is for the caller to see.
            "second application record, digest over the first three" => {
                assert_eq!(checked, Ok(Some(202)), "{name}");
                assert!(response.len() > 202);
            }
            _ => {
                assert_eq!(checked, Ok(Some(response.len())), "{name}");
                for len in 0..response.len() {
                    assert_eq!(check(&response[..len], &key, &random), Ok(None), "{name}: {len}");
                }
            }
        }
    }
    for case in cases(&file, "alerts") {
        let wire = hex(&case["wire"]);
        let description = wire[6];
        assert_eq!(
            check(&wire, &SecretKey::new([1; 16]), &[2; 32]),
            Err(AnswerError::Alert(description)),
            "{}",
            case["name"]
        );
    }
    assert_eq!(check(b"HTTP/1.1 400", &SecretKey::new([1; 16]), &[2; 32]), Err(AnswerError::NotTls));
}

/// F-17: nothing in it that TLS 1.3 does not have.
#[test]
fn f_17_our_answer_is_byte_for_byte_the_vector() {
    let file = vectors("fake-tls");
    let case = &cases(&file, "server_responses")[0];
    let hello = ClientHello::parse(Cow::Owned(hex(&hello_named(&file, &case["client_hello"])["hello"])))
        .expect("hello");
    let share = KeyShare::X25519(array(&case["layout"]["key_share_public"]));
    let made =
        answer(&hello, &secret(&case["secret_key"]), Look::COMMON, &share, &hex(&case["layout"]["app_data"]));
    assert_eq!(made, hex(&case["response"]));
}

#[test]
fn a_hybrid_answer_is_as_long_as_a_real_servers() {
    let file = vectors("fake-tls");
    let case = cases(&file, "server_responses")
        .iter()
        .find(|case| case["name"] == "answer to modern hello, X25519MLKEM768");
    let case = case.expect("case");
    let hello = ClientHello::parse(Cow::Owned(hex(&hello_named(&file, &case["client_hello"])["hello"])))
        .expect("hello");
    assert!(matches!(Offer::of(&hello, Group::Hybrid), Offer::Hybrid(_)));
    let made = answer(
        &hello,
        &secret(&case["secret_key"]),
        Look::COMMON,
        &KeyShare::Hybrid(Box::new([7; 1088]), POINT),
        &[1; 64],
    );
    assert_eq!(made.len(), hex(&case["response"]).len());
    assert_eq!(made[..5], [0x16, 3, 3, 0x04, 0xba]);
}

#[test]
fn f_07_every_client_flight_in_any_cut() {
    let file = vectors("fake-tls");
    let key = SecretKey::new(std::array::from_fn(|i| i as u8));
    for case in cases(&file, "client_flights") {
        let name = case["name"].as_str().expect("name");
        let wire = hex(if case["wire"].is_null() { &case["wire_head"] } else { &case["wire"] });
        for step in [wire.len(), 1, 7, 64] {
            let outcome = follow(&wire, &key, step);
            match name {
                "alert record" => assert_eq!(outcome, Err(InnerError::Record(RecordError::Alert)), "{name}"),
                "handshake record after the hello" => {
                    assert_eq!(outcome, Err(InnerError::Record(RecordError::Type)), "{name}");
                }
                "data record 16385 long" => {
                    assert_eq!(outcome, Err(InnerError::Record(RecordError::TooLong)), "{name}");
                }
                // F-23: a counted refusal, no crash.
                "tag abridged inside fake TLS" | "tag intermediate inside fake TLS" => {
                    assert_eq!(outcome, Err(InnerError::HeaderTag), "{name}");
                }
                _ => {
                    let (dc, messages) = outcome.unwrap_or_else(|error| panic!("{name}: {error:?}"));
                    if case["expect"].is_string() {
                        assert!(!messages.is_empty(), "{name}");
                        continue;
                    }
                    assert_eq!(i64::from(dc), case["expect"]["dc_id"], "{name}");
                    let expected = cases(&case["expect"], "messages");
                    assert_eq!(messages.len(), expected.len(), "{name}");
                    for (message, expected) in messages.iter().zip(expected) {
                        assert!(message.starts_with(&hex(expected)), "{name}");
                    }
                }
            }
        }
    }
}

/// Follows a client's stream behind its hello as the server does, `step` bytes at a time: the DC id and the messages.
fn follow(wire: &[u8], key: &SecretKey, step: usize) -> Result<(i16, Vec<Vec<u8>>), InnerError> {
    let mut chunks = wire.chunks(step);
    let mut inner = Inner::new();
    let mut decoder = ClientDecoder::new(Framing::Padded);
    let (accepted, early) = loop {
        let mut raw = chunks.next().expect("a header").to_vec();
        if let Some((accepted, early)) = inner.receive(&mut raw, key)? {
            break (accepted, raw[early].to_vec());
        }
    };
    let mut session = Session::new(Framing::Padded, accepted.from_client, Some(inner.into_records()));
    let mut buf = vec![0; HEADROOM];
    buf.extend(early);
    let data = HEADROOM..buf.len();
    let received = session.receive_stream(&mut buf, data).expect("legal");
    decoder.push(&buf[received.stream]);
    for chunk in chunks {
        let mut buf = vec![0; HEADROOM];
        buf.extend(chunk);
        let data = HEADROOM..buf.len();
        let received = session.receive(&mut buf, data).expect("legal");
        decoder.push(&buf[received.stream]);
    }
    let mut messages = Vec::new();
    while let Some(frame) = decoder.next_frame().expect("legal") {
        messages.push(frame.message);
    }
    Ok((accepted.header.dc.get(), messages))
}

#[test]
fn idle_records_are_skipped_but_not_for_ever() {
    let idle = [20, 3, 3, 0, 1, 1];
    let mut many = idle.repeat(33);
    assert_eq!(record::Reader::of_client().read(&mut many), Err(RecordError::Idle));
    let mut between = Vec::new();
    for _ in 0..100 {
        between.extend(idle);
        record::wrap(b"data", &mut between);
    }
    assert_eq!(record::Reader::of_client().read(&mut between), Ok(400));
    for (wire, error) in [
        (vec![20, 3, 3, 0, 1, 2], RecordError::ChangeCipherSpec),
        (vec![20, 3, 3, 0, 2], RecordError::ChangeCipherSpec),
        (vec![23, 3, 1], RecordError::Version),
        (vec![24], RecordError::Type),
    ] {
        let mut raw = wire.clone();
        assert_eq!(record::Reader::of_client().read(&mut raw), Err(error), "{wire:?}");
    }
}

/// A host name of ordinary letters, up to the longest that a secret can carry.
fn name() -> impl Strategy<Value = String> {
    "[a-z0-9]{1,60}(\\.[a-z0-9]{1,60}){0,2}".prop_filter("too long", |name| name.len() <= 182)
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![Just(Shape::Modern), Just(Shape::Padded517)]
}

proptest! {
    #[test]
    fn a_39_generated_hellos_are_read_back(shape in shape(), name in name(), time: u32, key: [u8; 16], seed: [u8; 32]) {
        let key = SecretKey::new(key);
        let greeting = greet(shape, &key, &name, time, &seed, &POINT);
        if shape == Shape::Padded517 && name.len() < 100 {
            prop_assert_eq!(greeting.wire.len(), 517);
        }
        let keys = [SecretKey::new([0x77; 16]), key];
        let Verdict::Hello(proven) = examine(&greeting.wire, &keys, TLS_ONLY) else {
            return Err(TestCaseError::fail("not accepted"));
        };
        prop_assert_eq!(proven.secret, 1);
        prop_assert_eq!(proven.proof.unix_time, time);
        prop_assert_eq!(proven.hello.server_name(), Some(name.as_bytes()));
        prop_assert_eq!(proven.hello.session_id().len(), 32);
        prop_assert_eq!(proven.hello.random(), &greeting.random);
        // And the way back: the client accepts our answer, in any cut, and nobody else's.
        let share = match Offer::of(&proven.hello, Group::Hybrid) {
            Offer::Hybrid(_) => KeyShare::Hybrid(Box::new([7; 1088]), POINT),
            Offer::X25519 => KeyShare::X25519(POINT),
        };
        let made = answer(&proven.hello, &keys[1], Look::COMMON, &share, &[5; 2600]);
        prop_assert_eq!(check(&made, &keys[1], &greeting.random), Ok(Some(made.len())));
        prop_assert_eq!(check(&made, &keys[0], &greeting.random), Err(AnswerError::Digest));
    }

    /// F-06: the hello ends where it ends, whatever follows it and however it is cut into records.
    #[test]
    fn f_06_hello_in_any_records_with_anything_behind(
        seed: [u8; 32],
        cuts in prop::collection::vec(1usize..2000, 0..15),
        behind in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let key = SecretKey::new([1; 16]);
        let greeting = greet(Shape::Modern, &key, "example.org", 5, &seed, &POINT);
        let mut wire = Vec::new();
        let mut rest = &greeting.wire[5..];
        for cut in cuts {
            if cut < rest.len() {
                let (fragment, tail) = rest.split_at(cut);
                wire.extend([0x16, 3, 1]);
                wire.extend((fragment.len() as u16).to_be_bytes());
                wire.extend(fragment);
                rest = tail;
            }
        }
        wire.extend([0x16, 3, 1]);
        wire.extend((rest.len() as u16).to_be_bytes());
        wire.extend(rest);
        let len = wire.len();
        prop_assert!(len <= MAX_HELLO_WIRE);
        wire.extend(behind);
        let Verdict::Hello(proven) = examine(&wire, &[key], TLS_ONLY) else {
            return Err(TestCaseError::fail("not accepted"));
        };
        prop_assert_eq!(proven.wire_len, len);
        prop_assert_eq!(proven.hello.random(), &greeting.random);
    }

    #[test]
    fn a_41_arbitrary_hellos_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..300), hello: bool, key: [u8; 16]) {
        let mut bytes = bytes;
        if hello {
            let len = bytes.len().saturating_sub(5) as u16;
            for (to, from) in bytes.iter_mut().zip([0x16, 3, 1, len.to_be_bytes()[0], len.to_be_bytes()[1], 1]) {
                *to = from;
            }
        }
        let key = SecretKey::new(key);
        judged(&bytes, &key);
        let _ = prove(&bytes, [&key]);
        if let Some(hello) = ClientHello::parse(Cow::Borrowed(&bytes)) {
            hello.cipher_suites().count();
            let _ = hello.key_share(0x001d);
        }
        let _ = check(&bytes, &key, &[0; 32]);
    }

    /// A verdict never changes with more bytes, and an honest parse is reached with any mutation of a real hello.
    #[test]
    fn verdicts_are_final(seed: [u8; 32], at in 0usize..1700, flip in 1u8.., cut in 0usize..1900) {
        let key = SecretKey::new([1; 16]);
        let mut wire = greet(Shape::Modern, &key, "example.org", 5, &seed, &POINT).wire;
        let place = at % wire.len();
        wire[place] ^= flip;
        let early = judged(&wire[..cut.min(wire.len())], &key);
        let late = judged(&wire, &key);
        // The four bytes of the time are authenticated by nothing.
        prop_assert_eq!(late == "accept", (39..43).contains(&place), "byte {}", place);
        prop_assert!(early == "need_more" || early == late);
    }

    /// records of any content, the stream comes back whatever the cut; small contents stay one record.
    #[test]
    fn a_36_records_in_any_cut(lens in prop::collection::vec(1usize..40_000, 1..4), step in 1usize..20_000) {
        let mut wire = Vec::new();
        let mut stream = Vec::new();
        for (i, &len) in lens.iter().enumerate() {
            let content = vec![i as u8; len];
            let before = wire.len();
            record::wrap(&content, &mut wire);
            let records = (wire.len() - before - len) / record::HEADER_LEN;
            prop_assert_eq!(records, len.div_ceil(record::MAX_RECORD));
            stream.extend(content);
        }
        let mut reader = record::Reader::of_server();
        let mut back: Vec<u8> = Vec::new();
        for chunk in wire.chunks_mut(step) {
            let len = reader.read(chunk).expect("legal");
            back.extend(&chunk[..len]);
        }
        prop_assert_eq!(&back, &stream);

        // Clients send shorter ones, and longer ones are refused.
        let mut small = Vec::new();
        for content in stream.chunks(2878) {
            small.extend(record::header(content.len()));
            small.extend(content);
        }
        let mut reader = record::Reader::of_client();
        let mut read: Vec<u8> = Vec::new();
        for chunk in small.chunks_mut(step) {
            let len = reader.read(chunk).expect("legal");
            read.extend(&chunk[..len]);
        }
        prop_assert_eq!(read, stream);
    }

    #[test]
    fn arbitrary_records_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..200), step in 1usize..50) {
        let mut whole = bytes.clone();
        let at_once = record::Reader::of_client().read(&mut whole);
        let mut reader = record::Reader::of_client();
        let mut total = Ok(0);
        let mut pieces = bytes;
        for chunk in pieces.chunks_mut(step) {
            total = total.and_then(|sum| reader.read(chunk).map(|len| sum + len));
        }
        prop_assert_eq!(total, at_once);
    }
}

/// A flight of a real server: its ServerHello, and records of the lengths that followed.
fn flight(answer: &Value) -> Vec<u8> {
    let mut flight = hex(&answer["server_hello_hex"]);
    for record in cases(answer, "records").iter().skip(1) {
        let len = record[2].as_u64().expect("a length") as usize;
        match record[0].as_str() {
            Some("change_cipher_spec") => flight.extend(record::CHANGE_CIPHER_SPEC_RECORD),
            _ => {
                flight.extend(record::header(len));
                flight.extend(vec![7; len]);
            }
        }
    }
    flight
}

/// What real servers answer is read as it is written down beside it.
#[test]
fn flights_of_real_servers_are_observed() {
    let file = vectors("server_hellos");
    let mut observed = 0;
    for server in cases(&file, "servers") {
        for answer in cases(server, "answers") {
            let id = format!("{} to {}", server["server"], answer["to"]);
            let hello = &answer["server_hello"];
            if hello.is_null() {
                continue;
            }
            let extensions: Vec<_> =
                cases(hello, "extensions").iter().map(|text| text.as_str().expect("text")).collect();
            if !extensions.iter().any(|text| text.starts_with("002b")) {
                assert_eq!(observe(&flight(answer)), Err(Unlike::OldVersion), "{id}");
                continue;
            }
            let group = extensions.iter().find_map(|text| text.split("group ").nth(1));
            let seen = match (observe(&flight(answer)), group) {
                (Ok(seen), _) => seen,
                (Err(error), group) => {
                    assert!(!matches!(group, Some("001d" | "11ec")), "{id}: {error}");
                    continue;
                }
            };
            let expected = Observation {
                cipher_suite: u16::from_str_radix(hello["cipher"].as_str().expect("text"), 16).expect("hex"),
                extensions: if extensions[0].starts_with("002b") {
                    ExtensionOrder::VersionFirst
                } else {
                    ExtensionOrder::KeyShareFirst
                },
                group: if group == Some("11ec") { Group::Hybrid } else { Group::X25519 },
                encrypted: cases(answer, "records")[2..]
                    .iter()
                    .map(|record| record[2].as_u64().expect("a length") as u16)
                    .collect(),
            };
            assert_eq!(seen, expected, "{id}");
            observed += 1;
        }
    }
    assert!(observed >= 50, "{observed}");
}

#[test]
fn answers_that_cannot_be_imitated_are_told_apart() {
    let file = vectors("server_hellos");
    let whole = flight(&cases(&cases(&file, "servers")[0], "answers")[0]);
    let mut retry = whole.clone();
    retry[11..43].copy_from_slice(&Sha256::digest("HelloRetryRequest"));
    let changed = |at: usize, byte: u8| {
        let mut changed = whole.clone();
        changed[at] = byte;
        changed
    };
    for (bytes, expected) in [
        (vec![], Unlike::Incomplete),
        (vec![0x15, 3, 3, 0, 2, 2, 40], Unlike::Alert(40)),
        (b"HTTP/1.1 400 Bad Request".to_vec(), Unlike::NotTls),
        (retry, Unlike::Retry),
        (whole[..60].to_vec(), Unlike::Incomplete),
        (whole[..whole.len() - 1].to_vec(), Unlike::Incomplete),
        (whole[..127 + 6].to_vec(), Unlike::Incomplete),
        (changed(5, 1), Unlike::Unusual),
        (changed(127, 0x17), Unlike::Unusual),
    ] {
        assert_eq!(observe(&bytes), Err(expected), "{} bytes", bytes.len());
    }
}

fn seen(encrypted: &[u16]) -> Observation {
    Observation {
        cipher_suite: 0x1302,
        extensions: ExtensionOrder::VersionFirst,
        group: Group::X25519,
        encrypted: encrypted.to_vec(),
    }
}

#[test]
fn a_profile_is_what_most_answers_have_in_common() {
    assert_eq!(Profile::of(&[]), None);
    let mut all: Vec<_> = [573, 574, 574, 575].iter().map(|&len| seen(&[len])).collect();
    all.push(Observation { cipher_suite: 0x1301, ..seen(&[9999]) });
    let profile = Profile::of(&all).expect("there are some");
    assert_eq!((profile.records, profile.lengths.as_slice()), (1, [(573, 1), (574, 2), (575, 1)].as_slice()));
    assert_eq!(profile.look, Look { cipher_suite: 0x1302, extensions: ExtensionOrder::VersionFirst });
    assert!(profile.fits(&seen(&[576])) && !profile.fits(&seen(&[600])) && !profile.fits(&all[4]));
    assert!(!profile.fits(&seen(&[300, 269])), "another number of records");
    // Lengths come as often as they were seen.
    let drawn = |len| (0..400).filter(|&random| profile.draw(random) == Some(len)).count();
    assert_eq!([573, 574, 575].map(drawn), [100, 200, 100]);
    // Several records become one that makes the answer as long on the wire.
    let several = Profile::of(&[seen(&[36, 969, 96, 53])]).expect("there is one");
    assert_eq!((several.records, several.draw(7)), (4, Some(36 + 969 + 96 + 53 + 15)));
    // Never longer than clients take.
    let long = Profile::of(&[seen(&[16_000])]).expect("there is one");
    assert_eq!(long.draw(0), Some(10_000));
}

/// F-17: an answer of ours is what was observed, in all that can be observed.
#[test]
fn f_17_our_answer_is_like_the_one_that_was_learned() {
    let key = SecretKey::new([3; 16]);
    for (extensions, group, cipher_suite) in [
        (ExtensionOrder::VersionFirst, Group::Hybrid, 0x1302),
        (ExtensionOrder::KeyShareFirst, Group::X25519, 0x1303),
        (ExtensionOrder::KeyShareFirst, Group::Hybrid, 0x1301),
    ] {
        let learned = Observation { cipher_suite, extensions, group, encrypted: vec![573] };
        let profile = Profile::of(std::slice::from_ref(&learned)).expect("there is one");
        let greeting = greet(Shape::Modern, &key, "a.example", 7, &[5; 32], &POINT);
        let hello = ClientHello::parse(greeting.wire.into()).expect("a hello");
        let share = match Offer::of(&hello, profile.group) {
            Offer::Hybrid(_) => KeyShare::Hybrid(Box::new([7; 1088]), POINT),
            Offer::X25519 => KeyShare::X25519(POINT),
        };
        let encrypted = vec![1; profile.draw(9).expect("a length")];
        let made = answer(&hello, &key, profile.look, &share, &encrypted);
        assert_eq!(observe(&made), Ok(learned));
        assert_eq!(check(&made, &key, hello.random()), Ok(Some(made.len())));
    }
    // A client that does not offer the site's choice gets one that it offers.
    let greeting = greet(Shape::Padded517, &key, "a.example", 7, &[5; 32], &POINT);
    let hello = ClientHello::parse(greeting.wire.into()).expect("a hello");
    assert_eq!(Offer::of(&hello, Group::Hybrid), Offer::X25519);
    let look = Look { cipher_suite: 0xc02f, ..Look::COMMON };
    let made = answer(&hello, &key, look, &KeyShare::X25519(POINT), &[1; 99]);
    assert_eq!(observe(&made).expect("an answer").cipher_suite, 0xc02f, "it offers that one too");
    let look = Look { cipher_suite: 0x1305, ..Look::COMMON };
    let made = answer(&hello, &key, look, &KeyShare::X25519(POINT), &[1; 99]);
    assert_eq!(observe(&made).expect("an answer").cipher_suite, 0x1301);
}

/// Servers refuse a hello with an extension that is there twice.
#[test]
fn no_hello_has_an_extension_twice() {
    let key = SecretKey::new([3; 16]);
    for shape in [Shape::Modern, Shape::Padded517] {
        for seed in 0..200_u8 {
            let wire = greet(shape, &key, "a.example", 7, &[seed; 32], &POINT).wire;
            // Session id and suites have fixed lengths in both shapes.
            let mut rest = &wire[11 + 32 + 1 + 32 + 2 + 32 + 2 + 2..];
            let mut kinds = std::collections::BTreeSet::new();
            while let [a, b, high, low, behind @ ..] = rest {
                assert!(kinds.insert([*a, *b]), "{shape:?} {seed}: {:02x}{:02x} twice", a, b);
                rest = &behind[usize::from(u16::from_be_bytes([*high, *low]))..];
            }
            assert!(rest.is_empty() && kinds.len() > 12, "{shape:?}");
        }
    }
}
