//! A stream's two ciphers, and its TLS records when it has them.

use std::io;

use teleferry_proto::cipher::CtrStream;
use teleferry_proto::fake_tls::record::{self, CHANGE_CIPHER_SPEC_RECORD};
use teleferry_proto::obfuscated::HEADER_LEN;

use super::padding::Unpadder;

/// The longest record that the apps send, in bytes of content.
const CLIENT_RECORD: usize = 2878;

/// One end of a stream.
#[derive(Debug)]
pub(crate) struct Codec {
    encrypt: CtrStream,
    decrypt: CtrStream,
    /// Takes the other end's records off, in fake TLS; then what we send goes in records too.
    records: Option<record::Reader>,
    /// The header that goes in front of what is sent first.
    header: Option<[u8; HEADER_LEN]>,
    /// Takes the padding off what comes, where the other end adds some.
    unpadder: Option<Unpadder>,
}

impl Codec {
    /// A data centre's end.
    pub(crate) const fn of_server(encrypt: CtrStream, decrypt: CtrStream) -> Self {
        Self { encrypt, decrypt, records: None, header: None, unpadder: None }
    }

    /// A client's end, which has not sent its header.
    pub(crate) const fn of_client(
        encrypt: CtrStream,
        decrypt: CtrStream,
        header: [u8; HEADER_LEN],
        tls: bool,
    ) -> Self {
        let records = if tls { Some(record::Reader::of_server()) } else { None };
        Self { encrypt, decrypt, records, header: Some(header), unpadder: None }
    }

    /// The same, for an end whose messages come with padding.
    pub(crate) fn padded(self) -> Self {
        Self { unpadder: Some(Unpadder::default()), ..self }
    }

    /// Makes what goes on the wire for `plain`, in place of what `wire` held.
    pub(crate) fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) {
        wire.clear();
        let header = self.header.take();
        wire.extend(header.iter().flatten());
        let from = wire.len();
        wire.extend_from_slice(plain);
        self.encrypt.apply(&mut wire[from..]);
        if self.records.is_some() {
            let stream = std::mem::take(wire);
            wire.reserve(stream.len() + stream.len() / 256 + 32);
            if header.is_some() {
                wire.extend(CHANGE_CIPHER_SPEC_RECORD);
            }
            for content in stream.chunks(CLIENT_RECORD) {
                record::wrap(content, wire);
            }
        }
    }

    /// Turns what came from the wire into what was sealed, in place.
    pub(crate) fn open<'a>(&mut self, wire: &'a mut [u8]) -> io::Result<&'a [u8]> {
        let len = match &mut self.records {
            Some(records) => records.read(wire).map_err(io::Error::other)?,
            None => wire.len(),
        };
        let plain = &mut wire[..len];
        self.decrypt.apply(plain);
        Ok(match &mut self.unpadder {
            Some(unpadder) => unpadder.strip(plain),
            None => plain,
        })
    }
}
