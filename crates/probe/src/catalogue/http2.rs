//! As much of HTTP/2 as a visitor needs.

use crate::stage::DOMAIN;

/// The preface, SETTINGS, and a request for the front page.
pub(super) fn request() -> Vec<u8> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    /// The whole request in one block, and nothing follows it.
    const END: u8 = 0x05;
    // Of the static table: GET, https, /; then the host as a literal.
    let mut block = vec![0x82, 0x87, 0x84, 0x41, DOMAIN.len() as u8];
    block.extend(DOMAIN.as_bytes());
    [PREFACE, &frame(4, 0, 0, &[]), &frame(1, END, 1, &block)].concat()
}

fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(body);
    frame
}
