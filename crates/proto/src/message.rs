//! The little that a proxy knows of MTProto messages: which ones may pass at the edge, and the first question and answer
//! of a key exchange, for clients of our own.

/// Bytes of a message that [`judge`] looks at, at most.
pub const JUDGED_PREFIX: usize = 24;

/// The shortest message that any client sends, in bytes.
const MIN_MESSAGE: u32 = 28;
/// The shortest encrypted message, in bytes.
const MIN_ENCRYPTED: u32 = 56;
/// Bytes of an unencrypted message before its body: key id, message id, body length.
const UNENCRYPTED_HEADER: u32 = 20;

/// Constructor numbers of the key exchange.
const REQ_PQ: u32 = 0x6046_9778;
const REQ_PQ_MULTI: u32 = 0xbe7e_8ef1;
const REQ_DH_PARAMS: u32 = 0xd712_e4be;
const SET_CLIENT_DH_PARAMS: u32 = 0xf504_5f1f;
const RES_PQ: u32 = 0x0516_2463;

/// What the edge thinks of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// More of its first bytes are needed, [`JUDGED_PREFIX`] at most.
    NeedMore,
    /// It may pass.
    Forward,
    /// No client sends this: dropped silently, the connection goes on.
    Drop,
}

/// Judges a message by its length (without known padding) and its first bytes, as the official proxy does: an encrypted
/// message has at least 56 bytes; an unencrypted one is part of the key exchange, and its body fits.
#[must_use]
pub fn judge(message_len: u32, prefix: &[u8]) -> Judgement {
    if message_len < MIN_MESSAGE {
        return Judgement::Drop;
    }
    let Some((key_id, rest)) = prefix.split_first_chunk::<8>() else { return Judgement::NeedMore };
    if key_id != &[0; 8] {
        return if message_len < MIN_ENCRYPTED { Judgement::Drop } else { Judgement::Forward };
    }
    let Some((_message_id, rest)) = rest.split_first_chunk::<8>() else { return Judgement::NeedMore };
    let Some((body_len, rest)) = rest.split_first_chunk::<4>() else { return Judgement::NeedMore };
    let body_len = u32::from_le_bytes(*body_len);
    let fits = body_len
        .checked_add(UNENCRYPTED_HEADER)
        .is_some_and(|needed| needed <= message_len && body_len >= UNENCRYPTED_HEADER);
    if !fits {
        return Judgement::Drop;
    }
    let Some((function, _)) = rest.split_first_chunk::<4>() else { return Judgement::NeedMore };
    match u32::from_le_bytes(*function) {
        REQ_PQ | REQ_PQ_MULTI | REQ_DH_PARAMS | SET_CLIENT_DH_PARAMS => Judgement::Forward,
        _ => Judgement::Drop,
    }
}

/// An unencrypted `req_pq_multi`, 40 bytes: the question that opens every key exchange. `message_id` is a multiple of
/// four that grows with the time.
#[must_use]
pub fn req_pq_multi(message_id: u64, nonce: [u8; 16]) -> Vec<u8> {
    let mut message = Vec::with_capacity(40);
    message.extend([0; 8]);
    message.extend(message_id.to_le_bytes());
    message.extend(20_u32.to_le_bytes());
    message.extend(REQ_PQ_MULTI.to_le_bytes());
    message.extend(nonce);
    message
}

/// The nonce that a `resPQ` answers, when `message` is one.
#[must_use]
pub fn res_pq_nonce(message: &[u8]) -> Option<[u8; 16]> {
    let (key_id, rest) = message.split_first_chunk::<8>()?;
    let (_message_id, rest) = rest.split_first_chunk::<8>()?;
    let (_body_len, rest) = rest.split_first_chunk::<4>()?;
    let (constructor, rest) = rest.split_first_chunk::<4>()?;
    let (nonce, _) = rest.split_first_chunk::<16>()?;
    (*key_id == [0; 8] && *constructor == RES_PQ.to_le_bytes()).then_some(*nonce)
}
