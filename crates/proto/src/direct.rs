//! One direct connection to a data centre: its header, and the cryptography of both directions.

use crate::cipher::CtrStream;
use crate::obfuscated::{self, HEADER_LEN, Header, Initiated};

/// What a direct connection does with the bytes that pass through it. The framing is the client's own, so frames, quick
/// acks and errors pass as they are.
#[derive(Debug)]
pub struct Direct {
    to_dc: CtrStream,
    downlink: Downlink,
}

/// What is to be done with bytes from the data centre before they go to the client.
#[derive(Debug)]
enum Downlink {
    /// Nothing: the data centre encrypts with the very key that the client decrypts with.
    FastPath,
    /// Decrypt with one key and encrypt with the other.
    Recrypt(Box<Recrypt>),
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
    /// `None`: the random bytes would look like another protocol, draw again.
    #[must_use]
    pub fn open(
        random: &[u8; HEADER_LEN],
        header: Header,
        to_client: &CtrStream,
        fast_path: bool,
    ) -> Option<([u8; HEADER_LEN], Self)> {
        let random = if fast_path { with_client_key(random, to_client) } else { *random };
        let Initiated { wire, to_server, from_server } = obfuscated::initiate(&random, header, None)?;
        let downlink = if fast_path {
            Downlink::FastPath
        } else {
            Downlink::Recrypt(Box::new(Recrypt { from_dc: from_server, to_client: to_client.clone() }))
        };
        Some((wire, Self { to_dc: to_server, downlink }))
    }

    /// Whether bytes from the data centre go to the client as they are.
    #[must_use]
    pub const fn is_fast_path(&self) -> bool {
        matches!(self.downlink, Downlink::FastPath)
    }

    /// Encrypts decrypted bytes of the client for the data centre, in place.
    pub fn to_dc(&mut self, stream: &mut [u8]) {
        self.to_dc.apply(stream);
    }

    /// Turns bytes from the data centre into bytes for the client, in place.
    pub fn to_client(&mut self, stream: &mut [u8]) {
        match &mut self.downlink {
            Downlink::FastPath => {}
            Downlink::Recrypt(recrypt) => {
                recrypt.from_dc.apply(stream);
                recrypt.to_client.apply(stream);
            }
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
