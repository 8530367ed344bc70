//! One exchange without IO: what to send, what the answers mean, and what silence or a close would mean at every point.

use teleferry_proto::cipher::CtrStream;
use teleferry_proto::fake_tls::answer::{self, AnswerError};
use teleferry_proto::fake_tls::greeting::Greeting;
use teleferry_proto::fake_tls::record::{self, CHANGE_CIPHER_SPEC_RECORD};
use teleferry_proto::message::{req_pq_multi, res_pq_nonce};
use teleferry_proto::obfuscated::Initiated;
use teleferry_proto::secret::SecretKey;
use teleferry_proto::transport::{Framing, ServerDecoder, ServerFrame, encode};

use super::failure::Failure;

/// Bytes of an answer that are enough to recognise a server of another protocol; every answer of a proxy has more.
const RECOGNISED: usize = 7;

/// The shortest message, in bytes; anything below is an error code or a no-op.
const MIN_MESSAGE: usize = 16;

/// What is asked, with everything that chance and the clock decide.
#[derive(Debug)]
pub(super) struct Question {
    /// The framing, which stands in the header too.
    pub(super) framing: Framing,
    /// The header and its streams, at position 64 and 0.
    pub(super) opening: Initiated,
    /// The ClientHello, for fake TLS.
    pub(super) greeting: Option<(Greeting, SecretKey)>,
    /// Of the `req_pq_multi`.
    pub(super) message_id: u64,
    /// What the answer has to repeat.
    pub(super) nonce: [u8; 16],
    /// Up to 15 bytes behind the message; only the padded framing has any.
    pub(super) padding: Vec<u8>,
}

/// What the bytes received so far come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More are needed.
    Wait,
    /// The handshake is done; this is to be sent.
    Send(Vec<u8>),
    /// The question is answered.
    Answered,
}

/// One exchange under way.
#[derive(Debug)]
pub(super) struct Exchange {
    stage: Stage,
    nonce: [u8; 16],
    from_proxy: CtrStream,
    frames: ServerDecoder,
}

#[derive(Debug)]
enum Stage {
    /// A ClientHello is on its way.
    Hello {
        key: SecretKey,
        random: [u8; 32],
        /// What came in answer, at most [`answer::MAX_ANSWER`] bytes and one read.
        received: Vec<u8>,
        /// What is to be sent behind the answer.
        question: Vec<u8>,
    },
    /// The question is on its way inside fake TLS.
    Tls(record::Reader),
    /// The question is on its way in the open. Fewer than [`RECOGNISED`] bytes came in answer.
    Open { received: Vec<u8> },
    /// As `Open`; the answer begins like that of no other server.
    Answer,
}

impl Exchange {
    /// Begins; gives what is to be sent first.
    pub(super) fn begin(question: Question) -> (Self, Vec<u8>) {
        let Question { framing, mut opening, greeting, message_id, nonce, padding } = question;
        let mut stream = Vec::new();
        encode(framing, &req_pq_multi(message_id, nonce), false, &padding, &mut stream);
        opening.to_server.apply(&mut stream);
        stream.splice(..0, opening.wire);
        let (stage, first) = match greeting {
            None => (Stage::Open { received: Vec::new() }, stream),
            Some((Greeting { wire, random }, key)) => {
                let mut question = CHANGE_CIPHER_SPEC_RECORD.to_vec();
                record::wrap(&stream, &mut question);
                (Stage::Hello { key, random, received: Vec::new(), question }, wire)
            }
        };
        let frames = ServerDecoder::new(framing);
        (Self { stage, nonce, from_proxy: opening.from_server, frames }, first)
    }

    /// Takes received bytes, which are overwritten.
    ///
    /// # Errors
    /// There will be no answer.
    pub(super) fn receive(&mut self, bytes: &mut [u8]) -> Result<Progress, Failure> {
        match &mut self.stage {
            Stage::Hello { key, random, received, question } => {
                received.extend_from_slice(bytes);
                match answer::check(received, key, random) {
                    Ok(None) => Ok(Progress::Wait),
                    Ok(Some(len)) if len == received.len() => {
                        let question = std::mem::take(question);
                        self.stage = Stage::Tls(record::Reader::of_server());
                        Ok(Progress::Send(question))
                    }
                    Ok(Some(_)) => Err(Failure::Trailing),
                    Err(error) => Err(refused(error, received)),
                }
            }
            Stage::Tls(records) => {
                let len = records.read(bytes).map_err(Failure::Record)?;
                self.answer(&mut bytes[..len])
            }
            Stage::Open { received } => {
                received.extend_from_slice(bytes);
                recognise(received)?;
                if received.len() < RECOGNISED {
                    return Ok(Progress::Wait);
                }
                let mut received = std::mem::take(received);
                self.stage = Stage::Answer;
                self.answer(&mut received)
            }
            Stage::Answer => self.answer(bytes),
        }
    }

    /// What it means that the connection ends here.
    pub(super) const fn closed(&self) -> Failure {
        match &self.stage {
            Stage::Hello { .. } => Failure::ClosedHello,
            Stage::Tls(_) => Failure::ClosedDc,
            Stage::Open { received } if received.is_empty() => Failure::ClosedOpen,
            Stage::Open { .. } | Stage::Answer => Failure::Unreadable,
        }
    }

    /// What it means that nothing more came in time.
    pub(super) const fn silent(&self) -> Failure {
        match &self.stage {
            Stage::Hello { received, .. } if received.is_empty() => Failure::SilentHello,
            Stage::Hello { .. } => Failure::StalledHello,
            Stage::Tls(_) => Failure::SilentDc,
            Stage::Open { received } if received.is_empty() => Failure::SilentOpen,
            Stage::Open { .. } | Stage::Answer => Failure::Unreadable,
        }
    }

    /// Takes bytes of the encrypted stream. No-ops and quick acks may come before the answer.
    fn answer(&mut self, stream: &mut [u8]) -> Result<Progress, Failure> {
        self.from_proxy.apply(stream);
        self.frames.push(stream);
        while let Some(frame) = self.frames.next_frame().map_err(Failure::Frame)? {
            let ServerFrame::Message(message) = frame else { continue };
            if message.len() >= MIN_MESSAGE {
                return match res_pq_nonce(&message) {
                    Some(nonce) if nonce == self.nonce => Ok(Progress::Answered),
                    Some(_) => Err(Failure::Nonce),
                    None => Err(Failure::NotResPq),
                };
            }
            match message.first_chunk().map(|code| i32::from_le_bytes(*code)) {
                Some(-1 | 0..) | None => {}
                Some(error) => return Err(Failure::Transport(error)),
            }
        }
        Ok(Progress::Wait)
    }
}

/// What an answer to the ClientHello is that is no proxy's.
fn refused(error: AnswerError, received: &[u8]) -> Failure {
    const HTTP: &[u8] = b"HTTP/";
    match error {
        AnswerError::Alert(description) => Failure::Alert(description),
        AnswerError::Digest | AnswerError::Records => Failure::WebServer,
        _ if received.iter().zip(HTTP).all(|(byte, expected)| byte == expected) => Failure::Http,
        _ => Failure::NotTls,
    }
}

/// Recognises servers that answer in the clear. An encrypted answer looks like one of them once in 2^40 or less.
const fn recognise(first: &[u8]) -> Result<(), Failure> {
    match first {
        [b'H', b'T', b'T', b'P', b'/', ..] => Err(Failure::Http),
        [21, 3, 0..=4, 0, 2, 1 | 2, description, ..] => Err(Failure::Alert(*description)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use teleferry_proto::accept::{Inner, Protocols, Verdict, examine};
    use teleferry_proto::dc::DcId;
    use teleferry_proto::fake_tls::greeting::{Shape, greet};
    use teleferry_proto::fake_tls::server_hello::{self, KeyShare, Look};
    use teleferry_proto::obfuscated::{Header, initiate};

    use super::*;

    const NONCE: [u8; 16] = [4; 16];

    fn key() -> SecretKey {
        SecretKey::new([3; 16])
    }

    fn begin(tls: bool) -> (Exchange, Vec<u8>) {
        let framing = Framing::Padded;
        let opening =
            initiate(&[0x5a; 64], Header { framing, dc: DcId::new(2) }, Some(&key())).expect("fine");
        let greeting = tls.then(|| (greet(Shape::Modern, &key(), "a.example", 5, &[6; 32], &[9; 32]), key()));
        Exchange::begin(Question {
            framing,
            opening,
            greeting,
            message_id: 4,
            nonce: NONCE,
            padding: vec![1; 3],
        })
    }

    fn answer_to(hello: &[u8]) -> Vec<u8> {
        let only_tls = Protocols { tls: true, secure: false, classic: false };
        let keys = [key()];
        let Verdict::Hello(proven) = examine(hello, &keys, only_tls) else { panic!("not proven") };
        server_hello::answer(&proven.hello, &key(), Look::COMMON, &KeyShare::X25519([9; 32]), &[7; 300])
    }

    fn res_pq() -> Vec<u8> {
        let body = [[0x63, 0x24, 0x16, 0x05].as_slice(), &NONCE].concat();
        [[0; 8].as_slice(), &[1; 8], &(body.len() as u32).to_le_bytes(), &body].concat()
    }

    /// Feeds all but the last byte one by one, which must decide nothing; gives what the last one does.
    fn byte_by_byte(exchange: &mut Exchange, bytes: &[u8]) -> Progress {
        let (last, before) = bytes.split_last().expect("bytes");
        for &byte in before {
            assert_eq!(exchange.receive(&mut [byte]), Ok(Progress::Wait));
        }
        exchange.receive(&mut [*last]).expect("legal")
    }

    #[test]
    fn fake_tls_goes_through_its_stages_byte_by_byte() {
        let (mut exchange, hello) = begin(true);
        assert_eq!((exchange.silent(), exchange.closed()), (Failure::SilentHello, Failure::ClosedHello));
        let answer = answer_to(&hello);
        let Progress::Send(mut question) = byte_by_byte(&mut exchange, &answer) else {
            panic!("not answered")
        };
        assert_eq!((exchange.silent(), exchange.closed()), (Failure::SilentDc, Failure::ClosedDc));

        let (mut client, place) = Inner::new().receive(&mut question, &key()).expect("legal").expect("whole");
        assert_eq!(client.header.dc, DcId::new(2));
        let mut asked = question[place].to_vec();
        client.from_client.apply(&mut asked);
        assert_eq!(asked[..4], 43_u32.to_le_bytes());
        assert_eq!(asked[4..44], req_pq_multi(4, NONCE));

        let (mut stream, mut wire) = (Vec::new(), Vec::new());
        encode(Framing::Padded, &res_pq(), false, &[1], &mut stream);
        client.to_client.apply(&mut stream);
        record::wrap(&stream, &mut wire);
        assert_eq!(byte_by_byte(&mut exchange, &wire), Progress::Answered);
    }

    #[test]
    fn one_wrong_bit_in_the_answer_is_a_web_server() {
        let (mut exchange, hello) = begin(true);
        let mut answer = answer_to(&hello);
        *answer.last_mut().expect("bytes") ^= 1;
        assert_eq!(exchange.receive(&mut answer), Err(Failure::WebServer));
    }

    #[test]
    fn other_servers_are_recognised_in_any_cut() {
        let (mut exchange, _) = begin(false);
        assert_eq!((exchange.silent(), exchange.closed()), (Failure::SilentOpen, Failure::ClosedOpen));
        for byte in *b"HTTP" {
            assert_eq!(exchange.receive(&mut [byte]), Ok(Progress::Wait));
        }
        assert_eq!(exchange.closed(), Failure::Unreadable);
        assert_eq!(exchange.receive(&mut b"/1.0 400".to_owned()), Err(Failure::Http));
        assert_eq!(begin(true).0.receive(&mut [b'H']), Err(Failure::Http));
        assert_eq!(begin(true).0.receive(&mut [b'S']), Err(Failure::NotTls));
        assert_eq!(begin(false).0.receive(&mut [21, 3, 3, 0, 2, 2, 50]), Err(Failure::Alert(50)));
    }
}
