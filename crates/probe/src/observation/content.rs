//! What came through a TLS session, so that it can be compared.

use crate::visitor::Capture;

/// The frame types of HTTP/2 that are looked into.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
/// A header block may differ by its date, which is compressed.
const DATE: usize = 4;

/// The content of a session, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// HTTP/1.1 or anything else: the first bytes with dates masked, how many came in all, a checksum of the rest.
    Bytes(Vec<u8>, u64, u64),
    /// HTTP/2, frame by frame.
    Frames(Vec<Frame>),
}

/// A frame of HTTP/2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    body: Vec<u8>,
}

impl Content {
    /// Takes it apart as what it is.
    pub(super) fn of(capture: &Capture) -> Self {
        // A server of HTTP/2 begins with SETTINGS.
        if capture.is_whole() && capture.kept.get(3..5) == Some(&[4, 0]) {
            return Self::Frames(frames(&capture.kept));
        }
        Self::Bytes(super::records::without_dates(&capture.kept), capture.total, capture.checksum())
    }

    /// Where the two differ; `None`: nowhere.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        match (self, other) {
            (Self::Bytes(a, total, rest), Self::Bytes(b, other_total, other_rest)) => {
                if total != other_total {
                    return Some(format!("{total} bytes of content against {other_total}"));
                }
                let place = a.iter().zip(b).position(|(one, two)| one != two);
                let place = place.or_else(|| (rest != other_rest).then_some(a.len()));
                place.map(|place| format!("content from byte {place} on"))
            }
            (Self::Frames(a), Self::Frames(b)) => {
                let same = a.len() == b.len() && a.iter().zip(b).all(|(one, two)| one.agrees(two));
                (!same).then(|| format!("frames {} against {}", shown(a), shown(b)))
            }
            _ => Some("one speaks HTTP/2, the other does not".to_owned()),
        }
    }
}

impl Frame {
    fn agrees(&self, other: &Self) -> bool {
        let same_body = match self.kind {
            HEADERS => self.body.len().abs_diff(other.body.len()) <= DATE,
            _ => self.body == other.body,
        };
        same_body && (self.kind, self.flags, self.stream) == (other.kind, other.flags, other.stream)
    }
}

fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some(&[a, b, c, kind, flags, s0, s1, s2, s3]) = bytes.first_chunk::<9>() {
        let len = u32::from_be_bytes([0, a, b, c]) as usize;
        let body = &bytes[9..bytes.len().min(9 + len)];
        frames.push(Frame { kind, flags, stream: u32::from_be_bytes([s0, s1, s2, s3]), body: body.to_vec() });
        bytes = &bytes[9 + body.len()..];
    }
    frames
}

fn shown(frames: &[Frame]) -> String {
    let name = |frame: &Frame| match frame.kind {
        DATA => format!("DATA:{}", frame.body.len()),
        kind => format!("{kind}:{}", frame.body.len()),
    };
    frames.iter().map(name).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_compared_one_by_one() {
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let data = |byte| [0, 0, 1, 0, 1, 0, 0, 0, 1, byte];
        let one = Content::Frames(frames(&[&settings[..], &data(7)].concat()));
        let same = Content::Frames(frames(&[&settings[..], &data(7)].concat()));
        let other = Content::Frames(frames(&[&settings[..], &data(8)].concat()));
        assert_eq!(one.difference(&same), None);
        assert!(one.difference(&other).is_some());
        assert!(one.difference(&Content::Frames(frames(&settings))).is_some());
    }
}
