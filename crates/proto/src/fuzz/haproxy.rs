//! PROXY protocol headers.

use super::Steering;
use crate::haproxy::{MAX_LEN, MAX_V1_LEN, Scan, Told, Version, encode, scan};

/// The first verdict stays the verdict, whatever comes behind; a header keeps its bounds; what it tells can be written in
/// either version and is read again as the same.
pub fn haproxy(data: &[u8]) {
    let Some((steering, bytes)) = Steering::split(data) else { return };
    let whole = scan(bytes);
    match scan(&bytes[..steering.at(bytes.len())]) {
        Scan::NeedMore if whole == Scan::NeedMore => assert!(bytes.len() < MAX_LEN, "waits beyond its bound"),
        Scan::NeedMore => {}
        part => assert_eq!(part, whole),
    }
    let Scan::Whole { told, len } = whole else { return };
    assert!(len <= bytes.len() && len <= MAX_LEN, "out of bounds");
    let ends = match told {
        Told::Nothing => None,
        Told::Ends(ends) => Some(ends),
    };
    for version in [Version::V1, Version::V2] {
        let mut written = encode(version, ends);
        let len = written.len();
        assert!(version == Version::V2 || len <= MAX_V1_LEN, "too long");
        written.extend(bytes);
        assert_eq!(scan(&written), Scan::Whole { told, len });
    }
}
