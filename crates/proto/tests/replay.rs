//! What first flights are remembered by.

mod common;

use common::{array, cases, hex, vectors};
use teleferry_proto::accept::{Protocols, Verdict, examine};
use teleferry_proto::replay::ReplayKey;
use teleferry_proto::secret::SecretKey;

const ALL: Protocols = Protocols { tls: true, secure: true, classic: true };

fn vector<'a>(file: &'a serde_json::Value, kind: &str) -> &'a serde_json::Value {
    cases(file, "keys").iter().find(|case| case["kind"] == kind).expect(kind)
}

#[test]
fn headers_are_remembered_by_what_the_secret_protects() {
    let file = vectors("replay");
    let key = SecretKey::new([1; 16]);
    let header = array(&vector(&file, "obfuscated2")["wire"]);
    let remembered = ReplayKey::of_header(&header, &key);
    let changed = array(&vector(&file, "obfuscated2 replayed with other first bytes")["wire"]);
    assert_eq!(ReplayKey::of_header(&changed, &key), remembered);
    for at in 0..64 {
        let mut changed = header;
        changed[at] ^= 1;
        let same = ReplayKey::of_header(&changed, &key) == remembered;
        assert_eq!(same, !(8..56).contains(&at), "byte {at}");
    }
    assert_ne!(
        ReplayKey::of_header(&header, &SecretKey::new([2; 16])),
        remembered,
        "each secret has its own"
    );
}

#[test]
fn hellos_are_remembered_whatever_time_they_claim() {
    let file = vectors("replay");
    let plain = vector(&file, "fake-TLS");
    let expected = ReplayKey::from_bytes(array(&plain["alexbers_telemt_key"]));
    assert_eq!(ReplayKey::of_hello(&array(&plain["random"])), expected);
    assert_eq!(ReplayKey::of_hello(&array(&vector(&file, "fake-TLS canonical key")["key"])), expected);
    let replayed = vector(&file, "fake-TLS replay with another time");
    let wire = hex(&replayed["hello"]);
    let key = SecretKey::new(array(&vectors("fake-tls")["client_hellos"][0]["secret_key"]));
    let Verdict::Hello(proven) = examine(&wire, &[key], ALL) else { panic!("the digest fits") };
    assert_eq!(u64::from(proven.proof.unix_time), replayed["unix_time"]);
    assert_eq!(proven.replay_key(), expected);
}
