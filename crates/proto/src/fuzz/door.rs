//! First bytes.

use super::{Steering, header_bytes, keys, sign};
use crate::accept::{Inner, InnerError, Protocols, Stranger, Verdict, examine};
use crate::dc::DcId;
use crate::fake_tls::client_hello::{MAX_HELLO_WIRE, Scan, scan};
use crate::fake_tls::record;
use crate::obfuscated::{HEADER_LEN, Header, initiate};
use crate::secret::SecretKey;

/// What a verdict says, for comparison.
#[derive(Debug, PartialEq)]
enum Summary {
    NeedMore,
    Hello { secret: usize, unix_time: u32, wire_len: usize },
    Header { secret: usize, header: Header },
    Stranger(Stranger),
}

/// The accept decision: the first verdict stays the verdict, whatever comes behind; and what follows a proven hello is
/// read alike in any cut.
pub fn accept(data: &[u8]) {
    let Some((steering, bytes)) = Steering::split(data) else { return };
    let protocols = Protocols { tls: steering.bit(2), secure: steering.bit(3), classic: steering.bit(4) };
    let keys = keys();
    let key = &keys[usize::from(steering.mode >> 5) % keys.len()];
    let bytes = match steering.mode & 3 {
        1 => genuine_header(bytes, steering, key),
        2 => genuine_hello(bytes, key, <[u8]>::to_vec),
        3 => genuine_hello(bytes, key, |behind| {
            let mut records = Vec::new();
            record::wrap(&genuine_header(behind, steering, key), &mut records);
            records
        }),
        _ => bytes.to_vec(),
    };
    let whole = summary(&bytes, &keys, protocols);
    match summary(&bytes[..steering.at(bytes.len())], &keys, protocols) {
        Summary::NeedMore if whole == Summary::NeedMore => {
            assert!(bytes.len() < MAX_HELLO_WIRE, "waits beyond its bound");
        }
        Summary::NeedMore => {}
        part => assert_eq!(part, whole),
    }
    if let Summary::Hello { secret, wire_len, .. } = whole {
        inner_reads_alike(&bytes[wire_len..], &keys[secret], steering);
    }
}

fn summary(bytes: &[u8], keys: &[SecretKey], protocols: Protocols) -> Summary {
    match examine(bytes, keys, protocols) {
        Verdict::NeedMore => Summary::NeedMore,
        Verdict::Stranger(reason) => Summary::Stranger(reason),
        Verdict::Hello(proven) => Summary::Hello {
            secret: proven.secret,
            unix_time: proven.proof.unix_time,
            wire_len: proven.wire_len,
        },
        Verdict::Header(proven) => {
            assert!(protocols.allows(proven.accepted.header.framing), "not allowed");
            Summary::Header { secret: proven.secret, header: proven.accepted.header }
        }
    }
}

/// A header that `key` fits, from the first bytes, and the others behind it.
fn genuine_header(bytes: &[u8], steering: Steering, key: &SecretKey) -> Vec<u8> {
    let header = Header { framing: steering.framing(), dc: DcId::new(steering.cut as i16) };
    let made = initiate(&header_bytes(bytes), header, Some(key)).expect("begins like no other protocol");
    [made.wire.as_slice(), bytes.get(HEADER_LEN..).unwrap_or_default()].concat()
}

/// The hello in `bytes`, signed, with something made of what follows it behind; `bytes` themselves when there is none.
fn genuine_hello(bytes: &[u8], key: &SecretKey, behind: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    match scan(bytes) {
        Scan::Whole { record, wire_len } => [sign(&record, key, 7), behind(&bytes[wire_len..])].concat(),
        _ => bytes.to_vec(),
    }
}

/// What [`Inner`] came to: the header and the stream behind it.
type InnerResult = Result<Option<(Header, Vec<u8>)>, InnerError>;

fn inner_reads_alike(bytes: &[u8], key: &SecretKey, steering: Steering) {
    let whole = read_inner(bytes, key, usize::MAX);
    let pieces = read_inner(bytes, key, steering.step());
    match (&whole, &pieces) {
        // The header is judged as soon as it is there; at once, a broken record further behind is seen first.
        (Err(InnerError::Record(_)), Err(InnerError::HeaderTag) | Ok(Some(_))) => {}
        _ => assert_eq!(whole, pieces),
    }
}

fn read_inner(bytes: &[u8], key: &SecretKey, step: usize) -> InnerResult {
    let mut inner = Inner::new();
    let mut pieces = bytes.chunks(step);
    for piece in &mut pieces {
        let mut raw = piece.to_vec();
        let Some((accepted, place)) = inner.receive(&mut raw, key)? else { continue };
        let mut stream = raw[place].to_vec();
        let mut records = inner.into_records();
        for piece in pieces {
            let mut raw = piece.to_vec();
            let Ok(len) = records.read(&mut raw) else { break };
            stream.extend(&raw[..len]);
        }
        return Ok(Some((accepted.header, stream)));
    }
    Ok(None)
}
