//! The records that carry the obfuscated stream once the hellos are exchanged. Their borders mean nothing.

/// Bytes of a record header.
pub const HEADER_LEN: usize = 5;

/// The most bytes that we put into one record: what a record of TLS 1.3 with 16,384 bytes of content and its
/// authentication tag has on the wire.
pub const MAX_RECORD: usize = 16_401;

/// The fewest bytes that a record of TLS 1.3 can have: one of content, its type, and the authentication tag. A shorter one
/// is a sign that there is no TLS in it.
pub const MIN_RECORD: usize = 18;

/// The most bytes taken in one record from a client. (They send 2,878 at most.)
const MAX_FROM_CLIENT: u16 = 16_384;

/// Records without any stream bytes that may follow one another.
const MAX_IDLE_RECORDS: u8 = 32;

/// Record types.
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const APPLICATION_DATA: u8 = 23;
/// The version that every record after the first hello carries.
const VERSION: [u8; 2] = [0x03, 0x03];

/// The record that a client sends before its first data: a ChangeCipherSpec.
pub const CHANGE_CIPHER_SPEC_RECORD: [u8; 6] = [CHANGE_CIPHER_SPEC, 0x03, 0x03, 0x00, 0x01, 0x01];

/// The header of a data record of `len` bytes, which is 1 to [`MAX_RECORD`].
#[must_use]
pub const fn header(len: usize) -> [u8; HEADER_LEN] {
    debug_assert!(len > 0 && len <= MAX_RECORD, "not the length of a record");
    let [high, low] = (len as u16).to_be_bytes();
    [APPLICATION_DATA, 0x03, 0x03, high, low]
}

/// How many of `left` bytes, at least one, go into the next record: as many as may be, but never so many that less than
/// [`MIN_RECORD`] would be left for the one behind it.
#[must_use]
pub const fn next_len(left: usize) -> usize {
    match left.checked_sub(MAX_RECORD) {
        None | Some(0) => left,
        Some(rest) if rest < MIN_RECORD => left.saturating_sub(MIN_RECORD),
        Some(_) => MAX_RECORD,
    }
}

/// Appends a stream in records, each as full as it may be.
pub fn wrap(mut stream: &[u8], out: &mut Vec<u8>) {
    while !stream.is_empty() {
        let (content, rest) = stream.split_at(next_len(stream.len()));
        out.extend(header(content.len()));
        out.extend_from_slice(content);
        stream = rest;
    }
}

/// Why records are refused. The connection cannot go on after any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecordError {
    /// An alert: the other side ends, or never understood us.
    Alert,
    /// A ChangeCipherSpec that is not the one byte 1.
    ChangeCipherSpec,
    /// Too many records in a row that carry nothing.
    Idle,
    /// Longer than the other side may send.
    TooLong,
    /// Neither data nor ChangeCipherSpec.
    Type,
    /// Not the version that follows a hello.
    Version,
}

impl std::fmt::Display for RecordError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Alert => "a TLS alert",
            Self::ChangeCipherSpec => "a ChangeCipherSpec record that is none",
            Self::Idle => "too many TLS records that carry nothing",
            Self::TooLong => "a TLS record that is too long",
            Self::Type => "a TLS record that is neither data nor ChangeCipherSpec",
            Self::Version => "a TLS record of another version",
        })
    }
}

impl std::error::Error for RecordError {}

/// Takes a stream out of its records. A stream codec: works in place, keeps at most a header between calls.
///
/// ChangeCipherSpec and empty records are skipped wherever they stand, up to 32 in a row.
#[derive(Debug, Clone)]
pub struct Reader {
    /// A header that is not all here: `header[..header_len]`.
    header: [u8; HEADER_LEN],
    header_len: u8,
    /// What is left of the current record.
    left: u16,
    /// The current record is a ChangeCipherSpec.
    skipping: bool,
    /// Records in a row that carried nothing.
    idle: u8,
    /// The longest record that is taken, in bytes.
    limit: u16,
}

impl Reader {
    /// A reader of a client's records, at a record border.
    #[must_use]
    pub const fn of_client() -> Self {
        Self::new(MAX_FROM_CLIENT)
    }

    /// A reader of a server's records, at a record border: clients take any length.
    #[must_use]
    pub const fn of_server() -> Self {
        Self::new(u16::MAX)
    }

    const fn new(limit: u16) -> Self {
        Self { header: [0; HEADER_LEN], header_len: 0, left: 0, skipping: false, idle: 0, limit }
    }

    /// Moves the stream bytes in `raw` to its front and says how many there are.
    ///
    /// # Errors
    /// The first record that is none of ours. Nothing of this call's input may be used then.
    pub fn read(&mut self, raw: &mut [u8]) -> Result<usize, RecordError> {
        let (mut read, mut written) = (0_usize, 0_usize);
        while read < raw.len() {
            if self.left == 0 {
                read = read.saturating_add(self.take_header(raw.get(read..).unwrap_or_default())?);
                continue;
            }
            let len = raw.len().saturating_sub(read).min(self.left.into());
            let end = read.saturating_add(len);
            if self.skipping {
                if raw.get(read..end) != Some(&[1]) {
                    return Err(RecordError::ChangeCipherSpec);
                }
            } else {
                raw.copy_within(read..end, written);
                written = written.saturating_add(len);
            }
            self.left = self.left.saturating_sub(len as u16);
            read = end;
        }
        Ok(written)
    }

    /// Takes what is missing of a header; says how many bytes.
    fn take_header(&mut self, bytes: &[u8]) -> Result<usize, RecordError> {
        let missing = self.header.iter_mut().skip(self.header_len.into());
        let taken = missing.zip(bytes).map(|(to, from)| *to = *from).count();
        self.header_len = self.header_len.saturating_add(taken as u8);
        let here = self.header.get(..self.header_len.into()).unwrap_or_default();
        match *here {
            [ALERT, ..] => return Err(RecordError::Alert),
            [kind, ..] if kind != APPLICATION_DATA && kind != CHANGE_CIPHER_SPEC => {
                return Err(RecordError::Type);
            }
            [_, major, ..] if major != VERSION[0] => return Err(RecordError::Version),
            [_, _, minor, ..] if minor != VERSION[1] => return Err(RecordError::Version),
            [kind, _, _, high, low] => self.begin(kind, u16::from_be_bytes([high, low]))?,
            _ => {}
        }
        Ok(taken)
    }

    /// A header is complete.
    fn begin(&mut self, kind: u8, len: u16) -> Result<(), RecordError> {
        self.header_len = 0;
        self.skipping = kind == CHANGE_CIPHER_SPEC;
        if self.skipping && len != 1 {
            return Err(RecordError::ChangeCipherSpec);
        }
        if len > self.limit {
            return Err(RecordError::TooLong);
        }
        self.idle = if self.skipping || len == 0 { self.idle.saturating_add(1) } else { 0 };
        if self.idle > MAX_IDLE_RECORDS {
            return Err(RecordError::Idle);
        }
        self.left = len;
        Ok(())
    }
}
