//! Hellos in both directions.

use std::borrow::Cow;

use super::{Steering, keys, sign};
use crate::fake_tls::answer::{self as check, MAX_ANSWER};
use crate::fake_tls::client_hello::{ClientHello, MAX_HELLO_WIRE, Scan, prove, scan};
use crate::fake_tls::profile::{self, Group, Profile};
use crate::fake_tls::record::Reader;
use crate::fake_tls::server_hello::{KeyShare, Look, MAX_ENCRYPTED, Offer, answer as make_answer};
use crate::fake_tls::{RANDOM_LEN, RANDOM_OFFSET, around_random, digest};

/// A ClientHello: scanned in any cut, put together, proven, read and answered.
pub fn client_hello(data: &[u8]) {
    let Some((steering, bytes)) = Steering::split(data) else { return };
    scans_alike(&bytes[..steering.at(bytes.len())], bytes);
    let Scan::Whole { record, wire_len } = scan(bytes) else { return };
    assert!(wire_len <= bytes.len() && wire_len <= MAX_HELLO_WIRE, "wire_len out of bounds");
    assert!(record.len() <= wire_len && record.starts_with(&[0x16, 3, 1]), "not one record");
    let Scan::Whole { record: again, .. } = scan(&record) else {
        panic!("a hello that is none in one record")
    };
    assert_eq!(again, record);

    let keys = keys();
    let which = usize::from(steering.mode) % keys.len();
    let unix_time = u32::from(steering.cut);
    let signed = sign(&record, &keys[which], unix_time);
    let (found, proof) = prove(&signed, &keys).expect("a signed hello is proven");
    assert_eq!((found, proof.unix_time), (which, unix_time));
    if let Some(hello) = ClientHello::parse(Cow::Owned(signed)) {
        is_answered(&hello, steering);
    }
}

/// A verdict on a part stays the verdict on the whole.
fn scans_alike(part: &[u8], whole: &[u8]) {
    match (scan(part), scan(whole)) {
        (Scan::NeedMore, Scan::NeedMore) => assert!(whole.len() < MAX_HELLO_WIRE, "waits beyond its bound"),
        (Scan::NeedMore, _) | (Scan::Malformed, Scan::Malformed) => {}
        (Scan::Whole { record, wire_len }, Scan::Whole { record: other, wire_len: other_len }) => {
            assert_eq!((record, wire_len), (other, other_len));
        }
        (part, whole) => panic!("{part:?} in part, {whole:?} in whole"),
    }
}

/// The fields of a hello keep their bounds, and a client takes our answer to it, whole and not before.
fn is_answered(hello: &ClientHello<'_>, steering: Steering) {
    assert!(hello.session_id().len() <= 32, "session id too long");
    assert!(hello.server_name().is_none_or(|name| !name.is_empty() && !name.contains(&0)), "not a name");
    let share = match Offer::of(hello, Group::Hybrid) {
        Offer::Hybrid(_) => KeyShare::Hybrid(Box::new([5; 1088]), [9; 32]),
        Offer::X25519 => KeyShare::X25519([9; 32]),
    };
    let key = &keys()[usize::from(steering.mode) % 3];
    let encrypted = vec![7; usize::from(steering.cut) % MAX_ENCRYPTED + 1];
    let answer = make_answer(hello, key, Look::COMMON, &share, &encrypted);
    assert_eq!(check::check(&answer, key, hello.random()), Ok(Some(answer.len())));
    let part = &answer[..steering.at(answer.len() - 1)];
    assert_eq!(check::check(part, key, hello.random()), Ok(None));
}

/// What a client gets: the answer to its hello, then records. Any cut gives the same result.
pub fn answer(data: &[u8]) {
    let Some((steering, bytes)) = Steering::split(data) else { return };
    let ([key, ..], random) = (keys(), [8; RANDOM_LEN]);
    let bytes = if steering.bit(0) { signed_answer(bytes, &random) } else { bytes.to_vec() };
    let part = &bytes[..steering.at(bytes.len())];
    match (check::check(part, &key, &random), check::check(&bytes, &key, &random)) {
        (Ok(None), Ok(None)) => assert!(bytes.len() < MAX_ANSWER, "waits beyond its bound"),
        (Ok(None), _) => {}
        (part, whole) => assert_eq!(part, whole),
    }
    records_read_alike(&bytes, steering);
}

/// Writes the digest into an answer, as a proxy that knows the secret would.
fn signed_answer(bytes: &[u8], client_random: &[u8; RANDOM_LEN]) -> Vec<u8> {
    let mut signed = bytes.to_vec();
    if let Some((before, _, after)) = around_random(bytes) {
        let random = digest(&keys()[0], client_random, before, after);
        signed[RANDOM_OFFSET..RANDOM_OFFSET + RANDOM_LEN].copy_from_slice(&random);
    }
    signed
}

fn records_read_alike(bytes: &[u8], steering: Steering) {
    let reader = || if steering.bit(1) { Reader::of_client() } else { Reader::of_server() };
    let (mut at_once, mut in_pieces) = (reader(), reader());
    let mut whole = bytes.to_vec();
    let expected = at_once.read(&mut whole).map(|len| whole[..len].to_vec());
    let mut stream = Vec::new();
    let error = bytes.chunks(steering.step()).find_map(|piece| {
        let mut piece = piece.to_vec();
        match in_pieces.read(&mut piece) {
            Ok(len) => {
                stream.extend(&piece[..len]);
                None
            }
            Err(error) => Some(error),
        }
    });
    assert_eq!(error.map_or(Ok(stream), Err), expected);
}

/// What a site answers, and what is learned from it: an answer of ours after that profile is one that fits it.
pub fn profile(data: &[u8]) {
    let Some((steering, flight)) = Steering::split(data) else { return };
    let Ok(seen) = profile::observe(flight) else { return };
    assert!(!seen.encrypted.is_empty(), "a flight without an encrypted part");
    let profile = Profile::of(&[seen.clone(), seen.clone()]).expect("there are two");
    assert!(profile.fits(&seen), "a profile that its own observation does not fit");
    let len = profile.draw(steering.cut.into()).expect("there is a length");
    assert!((1..=MAX_ENCRYPTED).contains(&len), "a length that clients refuse");
    let part = profile::observe(&flight[..steering.at(flight.len())]);
    match part {
        Ok(part) => assert!(seen.encrypted.starts_with(&part.encrypted), "other records in part"),
        Err(error) => assert_eq!(error, profile::Unlike::Incomplete),
    }
}
