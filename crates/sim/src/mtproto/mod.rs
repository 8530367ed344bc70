//! What a data centre knows of MTProto, without IO: the key exchange and encrypted sessions.

mod cipher;
mod config;
mod exchange;
mod requests;
mod rsa;
mod session;
#[cfg(test)]
mod test_client;
mod tl;

pub(crate) use exchange::{Exchange, Step};
pub(crate) use rsa::{PUBLIC_KEY_PEM, RsaKey};
pub(crate) use session::{MessageIds, Outcome, Peer, Session};

/// The body of an unencrypted message. What a transport padded it with is left away.
pub(crate) fn unencrypted_body(message: &[u8]) -> Option<&[u8]> {
    let mut reader = tl::Reader::new(message);
    let (key_id, _message_id, len) = (reader.u64()?, reader.u64()?, reader.u32()?);
    reader.take(len as usize).filter(|_| key_id == 0)
}

/// An unencrypted message.
pub(crate) fn unencrypted(message_id: u64, body: &[u8]) -> Vec<u8> {
    use tl::Write as _;
    let mut message = Vec::with_capacity(20 + body.len());
    message.u64(0);
    message.u64(message_id);
    message.u32(body.len() as u32);
    message.extend_from_slice(body);
    message
}
