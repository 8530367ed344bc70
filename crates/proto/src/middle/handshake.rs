//! The first two frames of each direction, as the proxy sends and judges them.

use std::net::SocketAddr;

use super::DownReason;
use crate::rpc::{
    CRC32C, ConnId, Handshake, HandshakeError, KeyMaterial, Keys, Nonce, ProcessId, SCHEMA_AES,
    handshake_error,
};
use crate::telegram_config::MiddleSecret;

/// What a link is made from.
#[derive(Clone)]
pub struct Setup {
    /// The secret shared with all middle proxies.
    pub secret: MiddleSecret,
    /// Our end of the connection *as the middle proxy sees it*: the external IP and, always, the socket's own port.
    pub proxy: SocketAddr,
    /// The address that was dialled.
    pub middle: SocketAddr,
    /// Our clock, in seconds since 1970.
    pub unix_time: u32,
    /// What we call ourselves, and the middle proxy. Most proxies say [`ProcessId::ANONYMOUS`] for both.
    pub process: ProcessId,
    /// See [`process`](Self::process).
    pub peer: ProcessId,
    /// Whether to offer CRC-32C.
    pub crc32c: bool,
    /// Random bytes: the nonce, the first connection id, and when to ping.
    pub entropy: [u8; 32],
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup")
            .field("proxy", &self.proxy)
            .field("middle", &self.middle)
            .field("crc32c", &self.crc32c)
            .finish_non_exhaustive()
    }
}

/// What was said in our nonce, and what is needed once it is answered.
pub(super) struct Hello {
    setup: Setup,
    nonce: Nonce,
}

/// What the rest of the entropy is for.
pub(super) struct Rest {
    pub(super) first_conn: ConnId,
    /// Of the ping times.
    pub(super) seed: u64,
}

/// What follows from the nonces of both sides.
pub(super) struct Agreed {
    pub(super) keys: Keys,
    /// What we say next.
    pub(super) handshake: Handshake,
    /// Seconds by which the middle proxy's clock is ahead of ours.
    pub(super) clock_ahead: i64,
}

/// Frames are short until the handshake is done: keys that do not fit are noticed by the first length.
pub(super) const HANDSHAKE_FRAME_LIMIT: usize = 256;

impl Hello {
    /// Draws the nonce.
    pub(super) fn new(setup: Setup) -> (Self, Rest) {
        let (mut random, mut conn, mut seed) = ([0; 16], [0; 8], [0; 8]);
        let all = random.iter_mut().chain(&mut conn).chain(&mut seed);
        all.zip(setup.entropy).for_each(|(to, byte)| *to = byte);
        let nonce = Nonce {
            selector: setup.secret.selector(),
            schema: SCHEMA_AES,
            time: setup.unix_time,
            nonce: random,
        };
        let rest = Rest { first_conn: ConnId::new(i64::from_le_bytes(conn)), seed: u64::from_le_bytes(seed) };
        (Self { setup, nonce }, rest)
    }

    /// What we send first.
    pub(super) const fn nonce(&self) -> &Nonce {
        &self.nonce
    }

    /// Judges the middle proxy's first payload. Its clock is not judged: it takes ours or leaves.
    pub(super) fn agree(&self, payload: &[u8]) -> Result<Agreed, DownReason> {
        let nonce = Nonce::decode(payload).ok_or(DownReason::NotANonce)?;
        if nonce.schema != SCHEMA_AES {
            return Err(DownReason::Schema(nonce.schema));
        }
        let setup = &self.setup;
        if nonce.selector != setup.secret.selector() {
            return Err(DownReason::Selector);
        }
        let material = KeyMaterial {
            secret: &setup.secret,
            middle_nonce: nonce.nonce,
            proxy_nonce: self.nonce.nonce,
            proxy_time: setup.unix_time,
            proxy: setup.proxy,
            middle: setup.middle,
        };
        let flags = if setup.crc32c { CRC32C } else { 0 };
        Ok(Agreed {
            keys: material.keys(),
            handshake: Handshake { flags, sender: setup.process, peer: setup.peer },
            clock_ahead: i64::from(nonce.time).saturating_sub(setup.unix_time.into()),
        })
    }
}

/// A handshake that is not taken.
pub(super) struct Refusal {
    pub(super) reason: DownReason,
    /// What is said about it.
    pub(super) code: Option<i32>,
}

/// Whether a handshake fits what we sent; whether it grants CRC-32C.
pub(super) fn check(payload: &[u8], process: ProcessId, offered: bool) -> Result<bool, Refusal> {
    if let Some(error) = HandshakeError::decode(payload) {
        return Err(Refusal { reason: DownReason::Refused(error.code), code: None });
    }
    let refusal = |reason, code| Refusal { reason, code: Some(code) };
    let handshake = Handshake::decode(payload)
        .ok_or_else(|| refusal(DownReason::NotAHandshake, handshake_error::LENGTH))?;
    let crc32c = handshake.flags & CRC32C != 0;
    if handshake.flags & 0xff != 0 {
        Err(refusal(DownReason::Flags, handshake_error::FLAGS))
    } else if crc32c && !offered {
        Err(refusal(DownReason::Crc32cNotOffered, handshake_error::CRC32C))
    } else if !handshake.peer.stands_for(process) {
        Err(refusal(DownReason::Peer, handshake_error::PEER))
    } else {
        Ok(crc32c)
    }
}
