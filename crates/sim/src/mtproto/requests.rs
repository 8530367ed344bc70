//! What is inside a decrypted message, and what is said to it: containers, service messages, and the few requests that a
//! client without an account makes.

use std::io::Read as _;

use super::config;
use super::session::Peer;
use super::tl::{self, Reader, Write as _};
use crate::pattern;

const MSG_CONTAINER: u32 = 0x73f1_f8dc;
const GZIP_PACKED: u32 = 0x3072_cfa1;
const PING: u32 = 0x7abe_77ec;
const PING_DELAY_DISCONNECT: u32 = 0xf342_7b8c;
const PONG: u32 = 0x3477_73c5;
const GET_FUTURE_SALTS: u32 = 0xb921_bd04;
const FUTURE_SALTS: u32 = 0xae50_0895;
const RPC_RESULT: u32 = 0xf35c_6d01;
const RPC_ERROR: u32 = 0x2144_ca19;
/// Messages that nothing is said to: acknowledgements, questions about messages that we never keep, long polling.
const UNANSWERED: [u32; 6] = [
    0x62d6_b459, // msgs_ack
    0xda69_fb52, // msgs_state_req
    0x7d86_1a08, // msg_resend_req
    0x04de_b57d, // msgs_state_info
    0x8cc0_d131, // msgs_all_info
    0x9299_359f, // http_wait
];
const INVOKE_WITH_LAYER: u32 = 0xda9b_0d0d;
const INVOKE_WITHOUT_UPDATES: u32 = 0xbf94_59b7;
const INVOKE_AFTER_MSG: u32 = 0xcb9f_372d;
const INIT_CONNECTION: u32 = 0xc1cd_5ea9;
const HELP_GET_CONFIG: u32 = 0xc4f9_186b;
const HELP_GET_NEAREST_DC: u32 = 0x1fb3_3026;
const UPLOAD_SAVE_FILE_PART: u32 = 0xb304_a621;
const UPLOAD_SAVE_BIG_FILE_PART: u32 = 0xde7b_673d;
const UPLOAD_GET_FILE: u32 = 0xbe53_35be;
const UPLOAD_FILE: u32 = 0x096a_18d5;
const STORAGE_FILE_UNKNOWN: u32 = 0xaa96_3b05;

/// Containers, compressed messages and wrapped requests may lie inside one another this deep.
const MAX_DEPTH: u8 = 8;
/// Messages in one container, as Telegram's own limit.
const MAX_CONTAINER: u32 = 1020;
/// The most that a compressed message may become, in bytes.
const MAX_INFLATED: u64 = 4 << 20;
/// All answers to one message, in bytes; what is asked for beyond gets an error.
const MAX_ANSWERS: usize = 3 << 19;
/// The most of a file in one answer, in bytes.
const MAX_FILE_PART: u32 = 1 << 20;

/// What is said to one message.
pub(super) struct Answers {
    list: Vec<Answer>,
    bytes: usize,
    served: Served,
}

pub(super) struct Answer {
    /// It answers a message of the client's, and does not speak by itself.
    pub(super) answers_request: bool,
    pub(super) body: Vec<u8>,
}

/// What was answered, for counting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Served {
    /// Requests, errors included.
    pub(crate) requests: u64,
    /// Bytes of file parts received.
    pub(crate) file_bytes_in: u64,
    /// Bytes of file parts sent.
    pub(crate) file_bytes_out: u64,
}

impl Answers {
    pub(super) const fn new() -> Self {
        Self {
            list: Vec::new(),
            bytes: 0,
            served: Served { requests: 0, file_bytes_in: 0, file_bytes_out: 0 },
        }
    }

    /// Adds something that is no answer.
    pub(super) fn notice(&mut self, body: Vec<u8>) {
        self.add(false, body);
    }

    pub(super) const fn served(&self) -> Served {
        self.served
    }

    pub(super) fn into_list(self) -> Vec<Answer> {
        self.list
    }

    fn add(&mut self, answers_request: bool, body: Vec<u8>) {
        self.bytes += body.len();
        self.list.push(Answer { answers_request, body });
    }
}

/// Answers everything in the body of a message. What makes no sense inside it is passed over.
pub(super) fn serve(message_id: u64, body: &[u8], peer: &Peer, salt: u64, answers: &mut Answers) {
    let mut server = Server { peer, salt, answers };
    // Nothing can be said to a message that cannot be read.
    let _ = server.message(message_id, body, MAX_DEPTH);
}

struct Server<'a> {
    peer: &'a Peer,
    salt: u64,
    answers: &'a mut Answers,
}

impl Server<'_> {
    fn message(&mut self, message_id: u64, body: &[u8], depth: u8) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        let mut reader = Reader::new(body);
        match reader.u32()? {
            MSG_CONTAINER => {
                for _ in 0..reader.u32()?.min(MAX_CONTAINER) {
                    let (message_id, _sequence, len) = (reader.u64()?, reader.u32()?, reader.u32()?);
                    self.message(message_id, reader.take(len as usize)?, depth);
                }
            }
            GZIP_PACKED => self.message(message_id, &inflated(reader.bytes()?)?, depth)?,
            PING | PING_DELAY_DISCONNECT => {
                let mut pong = Vec::with_capacity(20);
                pong.u32(PONG);
                pong.u64(message_id);
                pong.u64(reader.u64()?);
                self.answers.add(true, pong);
            }
            GET_FUTURE_SALTS => self.future_salts(message_id),
            constructor if UNANSWERED.contains(&constructor) => {}
            _ => {
                let mut result = Vec::with_capacity(64);
                result.u32(RPC_RESULT);
                result.u64(message_id);
                result
                    .extend(self.request(body, depth).unwrap_or_else(|| error(400, "INPUT_REQUEST_INVALID")));
                self.answers.served.requests += 1;
                self.answers.add(true, result);
            }
        }
        Some(())
    }

    /// The one salt there is, valid for a day.
    fn future_salts(&mut self, message_id: u64) {
        let now = self.peer.now.as_secs() as u32;
        let mut salts = Vec::with_capacity(40);
        salts.u32(FUTURE_SALTS);
        salts.u64(message_id);
        salts.u32(now);
        salts.u32(1);
        salts.u32(now);
        salts.u32(now.wrapping_add(86_400));
        salts.u64(self.salt);
        self.answers.add(true, salts);
    }

    /// The result of a request; `None` when its bytes end too early.
    fn request(&mut self, body: &[u8], depth: u8) -> Option<Vec<u8>> {
        let depth = depth.checked_sub(1)?;
        let mut reader = Reader::new(body);
        match reader.u32()? {
            INVOKE_WITH_LAYER => {
                let _layer = reader.u32()?;
                self.request(reader.rest(), depth)
            }
            INVOKE_WITHOUT_UPDATES => self.request(reader.rest(), depth),
            INVOKE_AFTER_MSG => {
                let _message_id = reader.u64()?;
                self.request(reader.rest(), depth)
            }
            INIT_CONNECTION => {
                config::skip_init_connection(&mut reader)?;
                self.request(reader.rest(), depth)
            }
            GZIP_PACKED => self.request(&inflated(reader.bytes()?)?, depth),
            HELP_GET_CONFIG => Some(config::config(self.peer)),
            HELP_GET_NEAREST_DC => Some(config::nearest_dc(self.peer)),
            UPLOAD_SAVE_FILE_PART => {
                reader.take(8 + 4)?;
                self.save(reader.bytes()?)
            }
            UPLOAD_SAVE_BIG_FILE_PART => {
                reader.take(8 + 4 + 4)?;
                self.save(reader.bytes()?)
            }
            UPLOAD_GET_FILE => self.file(reader.rest()),
            _ => Some(error(401, "AUTH_KEY_UNREGISTERED")),
        }
    }

    fn save(&mut self, part: &[u8]) -> Option<Vec<u8>> {
        self.answers.served.file_bytes_in += part.len() as u64;
        Some(tl::BOOL_TRUE.to_le_bytes().to_vec())
    }

    /// A part of the one endless file there is: the pattern of seed 0. Offset and limit are the end of the request; which
    /// file it names is all the same.
    fn file(&mut self, request: &[u8]) -> Option<Vec<u8>> {
        let (_location, end) = request.split_last_chunk::<12>()?;
        let mut end = Reader::new(end);
        let (offset, limit) = (end.u64()?, end.u32()?);
        if limit > MAX_FILE_PART {
            return Some(error(400, "LIMIT_INVALID"));
        }
        if self.answers.bytes + limit as usize > MAX_ANSWERS {
            return Some(error(420, "FLOOD_WAIT_1"));
        }
        let mut part = vec![0; limit as usize];
        pattern::fill(0, offset, &mut part);
        self.answers.served.file_bytes_out += u64::from(limit);
        let mut file = Vec::with_capacity(part.len() + 20);
        file.u32(UPLOAD_FILE);
        file.u32(STORAGE_FILE_UNKNOWN);
        file.u32(self.peer.now.as_secs() as u32);
        file.bytes(&part);
        Some(file)
    }
}

fn error(code: u32, message: &str) -> Vec<u8> {
    let mut error = Vec::with_capacity(8 + message.len() + 4);
    error.u32(RPC_ERROR);
    error.u32(code);
    error.bytes(message.as_bytes());
    error
}

/// What was compressed; `None` when it is no gzip, or more than a message may hold.
fn inflated(packed: &[u8]) -> Option<Vec<u8>> {
    let mut inflated = Vec::new();
    let limited = flate2::read::GzDecoder::new(packed).take(MAX_INFLATED + 1).read_to_end(&mut inflated);
    (limited.is_ok() && inflated.len() as u64 <= MAX_INFLATED).then_some(inflated)
}
