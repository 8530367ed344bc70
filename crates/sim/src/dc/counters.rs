//! What a data centre has seen, for tests to read and to wait for.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use teleferry_proto::obfuscated::Header;

use crate::counters::counters;

counters! {
    /// The counters of one data centre, live. Connections, bytes and frames are those of direct connections; the rest
    /// counts what was asked through middle proxies too.
    Counters { headers: Mutex<BTreeMap<(i16, [u8; 4]), u64>>, }
    /// The counters at one moment.
    Counts {
    /// Connections accepted.
    accepted,
    /// Connections ended, whoever ended them.
    closed,
    /// Headers without a known tag.
    bad_headers,
    /// Headers that ask for another data centre that exists; answered with −444.
    wrong_dc,
    /// Headers that ask for a data centre that does not exist; served.
    unknown_dc,
    /// Bytes received, headers included.
    bytes_in,
    /// Bytes sent.
    bytes_out,
    /// Frames received.
    frames_in,
    /// Frames sent.
    frames_out,
    /// Connections closed for a frame of illegal length.
    bad_frames,
    /// Frames that asked for a quick ack.
    quick_acks_asked,
    /// Quick acks sent.
    quick_acks_sent,
    /// Test packets echoed.
    echoed,
    /// Other test commands obeyed.
    commands,
    /// Test packets that were no command.
    bad_commands,
    /// `resPQ` sent.
    res_pq,
    /// Auth keys made.
    keys_made,
    /// Steps of a key exchange that made no sense; answered with −404.
    bad_exchanges,
    /// Encrypted messages that opened.
    encrypted_in,
    /// Encrypted messages with an unknown key or not opening with it; answered with −404.
    unknown_keys,
    /// Requests answered, errors included.
    requests,
    /// Bytes of file parts received.
    file_bytes_in,
    /// Bytes of file parts sent.
    file_bytes_out,
    }
}

impl Counts {
    /// Connections open.
    #[must_use]
    pub const fn open(&self) -> u64 {
        self.accepted.saturating_sub(self.closed)
    }
}

impl Counters {
    /// How often a header asked for this.
    #[must_use]
    pub fn headers(&self, header: Header) -> u64 {
        let headers = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
        headers.get(&key_of(header)).copied().unwrap_or_default()
    }

    pub(super) fn count_header(&self, header: Header) {
        *self.headers.lock().unwrap_or_else(PoisonError::into_inner).entry(key_of(header)).or_default() += 1;
    }
}

fn key_of(header: Header) -> (i16, [u8; 4]) {
    (header.dc.get(), header.framing.tag())
}
