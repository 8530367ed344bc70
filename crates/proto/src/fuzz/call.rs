//! What front and back say to each other.

use super::Steering;
use crate::call::{CallError, HEADROOM, MAX_FIELD, Open, Piece, Reader, Welcome, note, seal};

/// Any bytes: the same pieces in any cut, nothing kept beyond its bound; what was understood is written and read again.
pub fn call(data: &[u8]) {
    let Some((steering, wire)) = Steering::split(data) else { return };
    let whole = read(wire, usize::MAX);
    assert_eq!(read(wire, steering.step()), whole);
    for (_, bytes) in &whole.fields {
        assert!(bytes.len() < MAX_FIELD as usize, "kept beyond its bound");
        if let Ok(open) = Open::decode(bytes) {
            assert!(Open::decode(&open.encode()) == Ok(open), "another one");
        }
        if let Ok(welcome) = Welcome::decode(bytes) {
            assert_eq!(Welcome::decode(&welcome.encode()), Ok(welcome));
        }
    }
    // Bytes as data, in a message of ours with padding, behind a note.
    let mut sealed = vec![0; HEADROOM];
    sealed.extend_from_slice(wire);
    let start = seal(&mut sealed, usize::from(steering.mode), |bytes| bytes.fill(1));
    let ours = [note(&[(2, &wire[..wire.len().min(100)])], &[(3, 1)]).as_slice(), &sealed[start..]].concat();
    let again = read(&ours, steering.step());
    assert_eq!((again.data.as_slice(), again.error), (wire, None));
    assert_eq!((again.fields.len(), again.numbers), (1, vec![(3, 1)]));
}

/// Everything that some bytes say.
#[derive(Debug, PartialEq)]
struct Said {
    data: Vec<u8>,
    fields: Vec<(u32, Vec<u8>)>,
    numbers: Vec<(u32, u64)>,
    error: Option<CallError>,
}

fn read(wire: &[u8], step: usize) -> Said {
    let mut said = Said { data: Vec::new(), fields: Vec::new(), numbers: Vec::new(), error: None };
    let mut reader = Reader::default();
    for mut piece in wire.chunks(step) {
        loop {
            match reader.next(&mut piece) {
                Ok(Some(Piece::Data(bytes))) => said.data.extend_from_slice(bytes),
                Ok(Some(Piece::Field(number, bytes))) => said.fields.push((number, bytes)),
                Ok(Some(Piece::Number(number, value))) => said.numbers.push((number, value)),
                Ok(None) => break,
                Err(error) => {
                    said.error = Some(error);
                    return said;
                }
            }
        }
        assert!(piece.is_empty(), "not all is used");
    }
    said
}
