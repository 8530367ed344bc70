//! What a data centre makes of each frame.

use std::sync::Arc;

use teleferry_proto::obfuscated::Header;
use teleferry_proto::transport::Frame;

use super::outbox::Outbox;
use super::{Addressee, Guest};
use crate::clock;
use crate::command::{self, Command, Packet, Report, Send, data_packet};
use crate::mtproto::{self, Exchange, MessageIds, Outcome, Peer, Session, Step};

/// Error codes that stand in the place of a message.
const UNKNOWN_KEY: i32 = -404;
const WRONG_DC: i32 = -444;

/// A connection whose header was understood, without its socket.
pub(super) struct Answerer {
    guest: Arc<Guest>,
    header: Header,
    misdirected: bool,
    frames_in: u64,
    exchange: Option<Box<Exchange>>,
    session: Option<Arc<Session>>,
    ids: MessageIds,
    /// What a client asked to be sent: the wish and the index of the next packet.
    sending: Option<(Send, u32)>,
}

/// What is to be done with the connection itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    GoOn,
    Stall,
    Freeze,
    HalfClose,
    Close,
    Reset,
}

impl Answerer {
    pub(super) fn new(guest: Arc<Guest>, header: Header) -> Self {
        let counters = &guest.dc.counters;
        counters.count_header(header);
        let addressee = guest.dc.addressee(header.dc);
        match addressee {
            Addressee::Me => {}
            Addressee::Other => counters.wrong_dc.bump(),
            Addressee::Nobody => counters.unknown_dc.bump(),
        }
        Self {
            header,
            misdirected: addressee == Addressee::Other,
            frames_in: 0,
            exchange: None,
            session: None,
            ids: MessageIds::default(),
            sending: None,
            guest,
        }
    }

    /// Answers a frame.
    pub(super) fn frame(&mut self, frame: &Frame, bytes_in: u64, out: &mut Outbox) -> Turn {
        if self.misdirected {
            error(WRONG_DC, out);
            return Turn::GoOn;
        }
        match frame.message.first_chunk::<8>() {
            Some(&command::KEY_ID) => return self.test_packet(frame, bytes_in, out),
            Some([0, 0, 0, 0, 0, 0, 0, 0]) => self.unencrypted(&frame.message, out),
            Some(key_id) => self.encrypted(u64::from_le_bytes(*key_id), frame, out),
            None => self.unknown_key(out),
        }
        Turn::GoOn
    }

    /// Counts a frame, which may then be answered or not.
    pub(super) fn count(&mut self, frame: &Frame) {
        self.frames_in += 1;
        self.guest.dc.counters.frames_in.bump();
        if frame.quick_ack {
            self.guest.dc.counters.quick_acks_asked.bump();
        }
    }

    /// Whether packets that were asked for are still to be sent.
    pub(super) const fn is_sending(&self) -> bool {
        self.sending.is_some()
    }

    /// Sends the next packet that was asked for.
    pub(super) fn send_next(&mut self, out: &mut Outbox) {
        self.sending = self.sending.filter(|(send, index)| *index < send.count).map(|(send, index)| {
            out.frame(&data_packet(&send, index));
            (send, index + 1)
        });
    }

    fn test_packet(&mut self, frame: &Frame, bytes_in: u64, out: &mut Outbox) -> Turn {
        let counters = &self.guest.dc.counters;
        let packet = Packet::parse(&frame.message);
        let Some((packet, command)) = packet.and_then(|packet| Some((packet, Command::decode(&packet)?)))
        else {
            counters.bad_commands.bump();
            return Turn::GoOn;
        };
        if frame.quick_ack {
            self.quick_ack(command::quick_ack_token(&packet), out);
        }
        match command {
            Command::Echo(_) => counters.echoed.bump(),
            _ => counters.commands.bump(),
        }
        match command {
            Command::Echo(_) => out.frame(packet.whole),
            Command::Discard(_) => {}
            Command::Send(send) => self.sending = Some((send, 0)),
            Command::Frame(bytes) => out.frame(&bytes),
            Command::Raw(bytes) => out.raw(&bytes),
            Command::QuickAck([a, b, c, d]) => self.quick_ack([a, b, c, d | 0x80], out),
            Command::Report => out.frame(&self.report(bytes_in, out).encode()),
            Command::Stall => return Turn::Stall,
            Command::Freeze => return Turn::Freeze,
            Command::HalfClose => return Turn::HalfClose,
            Command::Close => return Turn::Close,
            Command::Reset => return Turn::Reset,
        }
        Turn::GoOn
    }

    fn report(&self, bytes_in: u64, out: &Outbox) -> Report {
        Report {
            connection: self.guest.number,
            dc: self.guest.dc.id,
            asked_dc: self.header.dc.get(),
            framing: self.header.framing.tag(),
            bytes_in,
            bytes_out: out.bytes(),
            frames_in: self.frames_in,
            frames_out: out.frames(),
        }
    }

    fn unencrypted(&mut self, message: &[u8], out: &mut Outbox) {
        let (dc, now) = (&self.guest.dc, clock::now());
        let exchange = self.exchange.get_or_insert_with(|| Box::new(Exchange::new()));
        let step = mtproto::unencrypted_body(message).and_then(|body| exchange.step(&dc.rsa, body, now));
        let body = match step {
            None => {
                dc.counters.bad_exchanges.bump();
                return error(UNKNOWN_KEY, out);
            }
            Some(Step::ResPq(body)) => {
                dc.counters.res_pq.bump();
                body
            }
            Some(Step::Offer(body)) => body,
            Some(Step::Made { body, key, salt }) => {
                dc.keys.insert(Session::new(key, salt));
                dc.counters.keys_made.bump();
                self.exchange = None;
                body
            }
        };
        out.frame(&mtproto::unencrypted(self.ids.next(now, true), &body));
    }

    fn encrypted(&mut self, key_id: u64, frame: &Frame, out: &mut Outbox) {
        let dc = &self.guest.dc;
        let known = self.session.take().filter(|session| session.id() == key_id);
        let Some(session) = known.or_else(|| dc.keys.get(key_id)) else { return self.unknown_key(out) };
        let peer = Peer { dc: dc.id, address: self.guest.local, now: clock::now() };
        let outcome = session.answer(&frame.message, &peer, &mut self.ids);
        self.session = Some(session);
        let Some(Outcome { answer, quick_ack, served }) = outcome else { return self.unknown_key(out) };
        dc.counters.encrypted_in.bump();
        dc.counters.requests.add(served.requests);
        dc.counters.file_bytes_in.add(served.file_bytes_in);
        dc.counters.file_bytes_out.add(served.file_bytes_out);
        if frame.quick_ack {
            self.quick_ack(quick_ack, out);
        }
        if let Some(answer) = answer {
            out.frame(&answer);
        }
    }

    fn unknown_key(&self, out: &mut Outbox) {
        self.guest.dc.counters.unknown_keys.bump();
        error(UNKNOWN_KEY, out);
    }

    fn quick_ack(&self, token: [u8; 4], out: &mut Outbox) {
        self.guest.dc.counters.quick_acks_sent.bump();
        out.quick_ack(token);
    }
}

fn error(code: i32, out: &mut Outbox) {
    out.frame(&code.to_le_bytes());
}
