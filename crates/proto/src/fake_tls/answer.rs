//! The client's side of the answer: what clients insist on, and what it means when it is something else.

use subtle::ConstantTimeEq;

use super::{RANDOM_LEN, around_random, digest};
use crate::reader::Reader;
use crate::secret::SecretKey;

/// The longest answer that is waited for, in bytes: three records of 65,535 at most.
pub const MAX_ANSWER: usize = 3 * (65_535 + 5);

/// Why an answer is no proxy's of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerError {
    /// A TLS alert with this description.
    Alert(u8),
    /// Records in the right order, but the digest fits not: a real TLS server answered, or the secret is another.
    Digest,
    /// It does not begin like TLS.
    NotTls,
    /// TLS, but not the three records of an answer.
    Records,
}

impl std::fmt::Display for AnswerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Alert(description) => write!(f, "a TLS alert ({description})"),
            Self::Digest => f.write_str("a TLS answer that this secret does not prove"),
            Self::NotTls => f.write_str("an answer that is not TLS"),
            Self::Records => f.write_str("a TLS answer in other records than a proxy's"),
        }
    }
}

impl std::error::Error for AnswerError {}

/// Checks all bytes received so far in answer to a hello with this random field. `Ok(Some(len))`: the first `len` bytes
/// are a whole, proven answer. `Ok(None)`: more are needed, [`MAX_ANSWER`] at most.
///
/// # Errors
/// It is the answer of somebody else.
pub fn check(
    bytes: &[u8],
    key: &SecretKey,
    client_random: &[u8; RANDOM_LEN],
) -> Result<Option<usize>, AnswerError> {
    let Some(len) = measure(bytes)? else { return Ok(None) };
    let answer = bytes.get(..len).unwrap_or_default();
    let (before, random, after) = around_random(answer).ok_or(AnswerError::Records)?;
    let fits = digest(key, client_random, before, after).ct_eq(random);
    if bool::from(fits) { Ok(Some(len)) } else { Err(AnswerError::Digest) }
}

/// The length of the three records, when they are all here.
fn measure(bytes: &[u8]) -> Result<Option<usize>, AnswerError> {
    const ALERT: u8 = 21;
    const HANDSHAKE: [u8; 3] = [22, 3, 3];
    const CHANGE_CIPHER_SPEC: [u8; 3] = [20, 3, 3];
    const DATA: [u8; 3] = [23, 3, 3];
    match *bytes {
        [ALERT, 3, _, _, _, _, description, ..] => return Err(AnswerError::Alert(description)),
        [ALERT] | [ALERT, 3, ..] => return Ok(None),
        _ if !agrees(bytes, &HANDSHAKE) => return Err(AnswerError::NotTls),
        _ => {}
    }
    let mut reader = Reader::new(bytes);
    for kind_and_version in [HANDSHAKE, CHANGE_CIPHER_SPEC, DATA] {
        if !agrees(reader.clone().rest(), &kind_and_version) {
            return Err(AnswerError::Records);
        }
        if reader.take(kind_and_version.len()).and_then(|_| reader.vec16()).is_none() {
            return Ok(None);
        }
    }
    Ok(Some(bytes.len().saturating_sub(reader.rest().len())))
}

/// Whether bytes begin with a prefix, as far as there are any.
fn agrees(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.iter().zip(prefix).all(|(byte, expected)| byte == expected)
}
