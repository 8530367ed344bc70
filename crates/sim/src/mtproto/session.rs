//! Encrypted messages: what is in one, and the one that answers it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::cipher::{AuthKey, From};
use super::requests::{self, Answers};
use super::tl::{Reader, Write as _};
use crate::entropy;

const MSG_CONTAINER: u32 = 0x73f1_f8dc;
const BAD_SERVER_SALT: u32 = 0xedab_447b;
const NEW_SESSION_CREATED: u32 = 0x9ec2_0908;
/// The code that goes with `bad_server_salt`.
const INCORRECT_SALT: u32 = 48;

/// Bytes of a plaintext before its body: salt, session id, message id, sequence number, length.
const PLAIN_HEADER: usize = 32;
/// Sessions that a key remembers; the oldest is forgotten first.
const SESSIONS: usize = 16;

/// One auth key at its data centre, shared by all connections that use it.
pub(crate) struct Session {
    key: AuthKey,
    /// The salt that clients have to put into every message. It never changes.
    salt: u64,
    /// Session ids that `new_session_created` was sent for.
    greeted: Mutex<Vec<u64>>,
}

/// What the data centre answers requests from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// Its id.
    pub(crate) dc: i16,
    /// Its own address, for `config`.
    pub(crate) address: std::net::SocketAddr,
    /// The time since 1970.
    pub(crate) now: Duration,
}

/// What one message led to.
pub(crate) struct Outcome {
    /// The encrypted answer; `None` when nothing is to be said.
    pub(crate) answer: Option<Vec<u8>>,
    /// The token of the quick ack, should the frame have asked for one.
    pub(crate) quick_ack: [u8; 4],
    /// What was answered in it.
    pub(crate) served: requests::Served,
}

impl Session {
    pub(crate) const fn new(key: AuthKey, salt: u64) -> Self {
        Self { key, salt, greeted: Mutex::new(Vec::new()) }
    }

    /// The key's number on the wire.
    pub(crate) const fn id(&self) -> u64 {
        self.key.id()
    }

    /// Opens a message and answers what is in it. `None`: it does not open with this key, or is no message inside.
    pub(crate) fn answer(&self, message: &[u8], peer: &Peer, clock: &mut MessageIds) -> Option<Outcome> {
        let (plain, digest) = self.key.open(From::Client, message)?;
        let mut reader = Reader::new(&plain);
        let (salt, session_id) = (reader.u64()?, reader.u64()?);
        let (message_id, sequence, len) = (reader.u64()?, reader.u32()?, reader.u32()? as usize);
        let body = reader.take(len)?;
        if !(12..=1024).contains(&reader.rest().len()) {
            return None;
        }
        let mut answers = Answers::new();
        if salt == self.salt {
            if self.is_new(session_id) {
                answers.notice(new_session(message_id, self.salt));
            }
            requests::serve(message_id, body, peer, self.salt, &mut answers);
        } else {
            answers.notice(bad_salt(message_id, sequence, self.salt));
        }
        let [a, b, c, d, ..] = digest;
        let served = answers.served();
        let answer = self.packed(session_id, answers, peer.now, clock);
        Some(Outcome { answer, quick_ack: [a, b, c, d | 0x80], served })
    }

    fn is_new(&self, session_id: u64) -> bool {
        let mut greeted = self.greeted.lock().unwrap_or_else(PoisonError::into_inner);
        if greeted.contains(&session_id) {
            return false;
        }
        if greeted.len() == SESSIONS {
            greeted.remove(0);
        }
        greeted.push(session_id);
        true
    }

    /// All answers in one encrypted message: one as it is, several in a container.
    fn packed(
        &self,
        session_id: u64,
        answers: Answers,
        now: Duration,
        ids: &mut MessageIds,
    ) -> Option<Vec<u8>> {
        let mut list = answers.into_list();
        let (answer, body) = match (list.len(), list.pop()) {
            (1, Some(only)) => (only.answers_request, only.body),
            (_, None) => return None,
            (count, Some(last)) => {
                let mut container = Vec::new();
                container.u32(MSG_CONTAINER);
                container.u32(count as u32);
                for one in list.into_iter().chain([last]) {
                    container.u64(ids.next(now, one.answers_request));
                    container.u32(ids.content_number());
                    container.u32(one.body.len() as u32);
                    container.extend(one.body);
                }
                return Some(self.sealed(session_id, ids.next(now, false), ids.service_number(), &container));
            }
        };
        Some(self.sealed(session_id, ids.next(now, answer), ids.content_number(), &body))
    }

    fn sealed(&self, session_id: u64, message_id: u64, sequence: u32, body: &[u8]) -> Vec<u8> {
        const PADDING: usize = 12;
        let len = (PLAIN_HEADER + body.len() + PADDING).next_multiple_of(16);
        let mut plain = Vec::with_capacity(len);
        plain.u64(self.salt);
        plain.u64(session_id);
        plain.u64(message_id);
        plain.u32(sequence);
        plain.u32(body.len() as u32);
        plain.extend_from_slice(body);
        let padding_at = plain.len();
        plain.resize(len, 0);
        entropy::fill(&mut plain[padding_at..]);
        self.key.seal(From::Server, plain)
    }
}

/// The server's message ids and sequence numbers on one connection.
#[derive(Debug, Default)]
pub(crate) struct MessageIds {
    last: u64,
    content_messages: u32,
}

impl MessageIds {
    /// An id that is larger than all before; its last two bits say whether the message answers one of the client's.
    pub(crate) fn next(&mut self, now: Duration, is_answer: bool) -> u64 {
        let fraction = u64::from(now.subsec_nanos()) << 32;
        let by_time = (now.as_secs() << 32) | (fraction / 1_000_000_000);
        self.last = (by_time & !3).max((self.last & !3) + 4) | if is_answer { 1 } else { 3 };
        self.last
    }

    /// For a message that the client is to acknowledge.
    const fn content_number(&mut self) -> u32 {
        self.content_messages += 1;
        self.content_messages * 2 - 1
    }

    /// For a container.
    const fn service_number(&self) -> u32 {
        self.content_messages * 2
    }
}

fn new_session(first_message_id: u64, salt: u64) -> Vec<u8> {
    let mut body = Vec::with_capacity(28);
    body.u32(NEW_SESSION_CREATED);
    body.u64(first_message_id);
    body.extend(entropy::bytes::<8>());
    body.u64(salt);
    body
}

fn bad_salt(message_id: u64, sequence: u32, salt: u64) -> Vec<u8> {
    let mut body = Vec::with_capacity(28);
    body.u32(BAD_SERVER_SALT);
    body.u64(message_id);
    body.u32(sequence);
    body.u32(INCORRECT_SALT);
    body.u64(salt);
    body
}
