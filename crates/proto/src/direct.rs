//! One direct connection to a data centre: its header, and the cryptography of both directions.

use std::ops::Range;

use crate::cipher::CtrStream;
use crate::downlink::Downlink;
pub use crate::downlink::{HEADROOM, TAILROOM};
use crate::obfuscated::{self, HEADER_LEN, Header, Initiated};

/// What a direct connection does with the bytes that pass through it. The framing is the client's own, so frames, quick
/// acks and errors pass as they are.
#[derive(Debug)]
pub struct Direct {
    to_dc: CtrStream,
    way: Way,
}

/// What is to be done with bytes from the data centre before they go to the client.
#[derive(Debug)]
enum Way {
    /// Nothing: the data centre encrypts with the very key that the client decrypts with.
    FastPath,
    /// Decrypt with one key and encrypt with the other.
    Recrypt(Box<Recrypt>),
    /// Either of them, and in pieces that can be records.
    InRecords(Box<Downlink>),
    /// Decrypt: somebody else encrypts for the client.
    Decrypt(Box<CtrStream>),
}

/// Apart, so that a connection on the fast path does not pay for it.
#[derive(Debug)]
struct Recrypt {
    from_dc: CtrStream,
    to_client: CtrStream,
}

impl Direct {
    /// Makes the header for the data centre from 64 random bytes, and the connection that follows it. `to_client` is the
    /// client's stream at position 0.
    ///
    /// With `fast_path` the header makes the data centre use the client's own key and counter. An observer of the
    /// connection to the data centre can then undo the *obfuscation* of the client's; the messages inside stay
    /// encrypted between app and data centre.
    ///
    /// With `records` the client is behind fake TLS, and no piece of its stream is shorter than a record may be.
    ///
    /// `None`: the random bytes would look like another protocol, draw again.
    #[must_use]
    pub fn open(
        random: &[u8; HEADER_LEN],
        header: Header,
        to_client: &CtrStream,
        fast_path: bool,
        records: bool,
    ) -> Option<([u8; HEADER_LEN], Self)> {
        let random = if fast_path { with_client_key(random, to_client) } else { *random };
        let Initiated { wire, to_server, from_server } = obfuscated::initiate(&random, header, None)?;
        let way = if records {
            let to_client = (!fast_path).then(|| to_client.clone());
            Way::InRecords(Box::new(Downlink::new(Some(from_server), to_client)))
        } else if fast_path {
            Way::FastPath
        } else {
            Way::Recrypt(Box::new(Recrypt { from_dc: from_server, to_client: to_client.clone() }))
        };
        Some((wire, Self { to_dc: to_server, way }))
    }

    /// The same for a client who is somewhere else: the bytes for it come out decrypted.
    #[must_use]
    pub fn open_plain(random: &[u8; HEADER_LEN], header: Header) -> Option<([u8; HEADER_LEN], Self)> {
        let Initiated { wire, to_server, from_server } = obfuscated::initiate(random, header, None)?;
        Some((wire, Self { to_dc: to_server, way: Way::Decrypt(Box::new(from_server)) }))
    }

    /// Whether bytes from the data centre go to the client as they are.
    #[must_use]
    pub const fn is_fast_path(&self) -> bool {
        match &self.way {
            Way::FastPath => true,
            Way::Recrypt(_) | Way::Decrypt(_) => false,
            Way::InRecords(downlink) => downlink.is_fast_path(),
        }
    }

    /// How many of the next bytes from the data centre may go to the client without being seen here.
    #[must_use]
    pub fn unseen(&self) -> usize {
        match &self.way {
            Way::FastPath => usize::MAX,
            Way::Recrypt(_) | Way::Decrypt(_) => 0,
            Way::InRecords(downlink) => downlink.unseen(),
        }
    }

    /// So many bytes of [`unseen`](Self::unseen) have gone.
    pub fn passed(&mut self, len: usize) {
        if let Way::InRecords(downlink) = &mut self.way {
            downlink.passed(len);
        }
    }

    /// Encrypts decrypted bytes of the client for the data centre, in place.
    pub fn to_dc(&mut self, stream: &mut [u8]) {
        self.to_dc.apply(stream);
    }

    /// Turns the bytes from the data centre at `buf[data]` into bytes for the client, in place. [`HEADROOM`] bytes in front of
    /// them and [`TAILROOM`] behind them are free to be written over. Says where what goes to the client now stands: nothing,
    /// when it waits for more. `random` fills bytes.
    pub fn to_client(
        &mut self,
        buf: &mut [u8],
        data: Range<usize>,
        random: impl FnOnce(&mut [u8]),
    ) -> Range<usize> {
        match &mut self.way {
            Way::FastPath => data,
            Way::Recrypt(recrypt) => {
                if let Some(stream) = buf.get_mut(data.clone()) {
                    recrypt.from_dc.apply(stream);
                    recrypt.to_client.apply(stream);
                }
                data
            }
            Way::InRecords(downlink) => downlink.receive(buf, data, random),
            Way::Decrypt(from_dc) => {
                if let Some(stream) = buf.get_mut(data.clone()) {
                    from_dc.apply(stream);
                }
                data
            }
        }
    }

    /// The data centre sends nothing more: what waited for more, to be sent as it is. [`HEADROOM`] bytes at most.
    pub fn end(&mut self) -> &[u8] {
        match &mut self.way {
            Way::FastPath | Way::Recrypt(_) | Way::Decrypt(_) => &[],
            Way::InRecords(downlink) => downlink.end(),
        }
    }
}

/// The header's key material, read backwards, is what the data centre encrypts with.
fn with_client_key(random: &[u8; HEADER_LEN], to_client: &CtrStream) -> [u8; HEADER_LEN] {
    let mut header = *random;
    let backwards = to_client.counter().iter().rev().chain(to_client.key().iter().rev());
    for (to, from) in header.iter_mut().skip(8).zip(backwards) {
        *to = *from;
    }
    header
}
