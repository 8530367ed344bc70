//! What a data centre has seen, for tests to read and to wait for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use teleferry_proto::obfuscated::Header;
use tokio::sync::Notify;

macro_rules! counters {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// The counters of one data centre, live.
        #[derive(Debug, Default)]
        pub struct Counters {
            $(pub(super) $name: Counter,)+
            headers: Mutex<BTreeMap<(i16, [u8; 4]), u64>>,
            changed: Notify,
        }

        /// The counters at one moment.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[$doc])+ pub $name: u64,)+
        }

        impl Counters {
            /// What they are now.
            #[must_use]
            pub fn read(&self) -> Counts {
                Counts { $($name: self.$name.0.load(Relaxed),)+ }
            }
        }
    };
}

counters! {
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

    /// Waits until the counters fulfil a condition, and gives them.
    pub async fn wait_until(&self, condition: impl Fn(&Counts) -> bool) -> Counts {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let counts = self.read();
            if condition(&counts) {
                return counts;
            }
            changed.await;
        }
    }

    pub(super) fn count_header(&self, header: Header) {
        *self.headers.lock().unwrap_or_else(PoisonError::into_inner).entry(key_of(header)).or_default() += 1;
    }

    /// Wakes whoever waits for a condition; after a batch of changes.
    pub(super) fn publish(&self) {
        self.changed.notify_waiters();
    }
}

fn key_of(header: Header) -> (i16, [u8; 4]) {
    (header.dc.get(), header.framing.tag())
}

/// One counter.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Relaxed);
    }

    pub(super) fn bump(&self) {
        self.add(1);
    }

    /// Counts and gives the new number.
    pub(super) fn next(&self) -> u64 {
        self.0.fetch_add(1, Relaxed) + 1
    }
}
