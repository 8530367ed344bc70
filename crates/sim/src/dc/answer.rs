//! What a data centre makes of each message, however that came: over a direct connection or through a middle proxy.

use std::net::SocketAddr;
use std::sync::Arc;

use teleferry_proto::obfuscated::Header;

use super::{Addressee, DataCentre};
use crate::clock;
use crate::command::{self, Command, Packet, Report, Send, ViaMiddle, data_packet};
use crate::mtproto::{self, Exchange, MessageIds, Outcome, Peer, Session, Step};

/// Error codes that stand in the place of a message.
const UNKNOWN_KEY: i32 = -404;
const WRONG_DC: i32 = -444;

/// A client, without its socket.
pub(crate) struct Answerer {
    dc: Arc<DataCentre>,
    origin: Origin,
    misdirected: bool,
    messages_in: u64,
    exchange: Option<Box<Exchange>>,
    session: Option<Arc<Session>>,
    ids: MessageIds,
    /// What a client asked to be sent: the wish and the index of the next packet.
    sending: Option<(Send, u32)>,
}

/// Where a client's messages come from.
pub(crate) struct Origin {
    /// The client's number: at this data centre when it is connected directly, else among those of all middle proxies.
    pub(crate) connection: u64,
    /// The address that was connected to.
    pub(crate) local: SocketAddr,
    /// What was asked for.
    pub(crate) header: Header,
    /// What a middle proxy knows of it.
    pub(crate) middle: Option<Box<ViaMiddle>>,
}

/// Where answers go.
pub(crate) trait Output {
    /// Sends a message, whole words.
    fn message(&mut self, message: &[u8]);

    /// Sends a quick ack.
    fn quick_ack(&mut self, token: [u8; 4]);

    /// Sends bytes without any framing, where there is such a thing.
    fn raw(&mut self, bytes: &[u8]);

    /// Bytes sent so far.
    fn bytes(&self) -> u64;

    /// Messages sent so far.
    fn messages(&self) -> u64;
}

/// What is to be done with the connection itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    GoOn,
    Stall,
    Freeze,
    HalfClose,
    Close,
    Reset,
}

impl Answerer {
    pub(crate) fn new(dc: Arc<DataCentre>, origin: Origin) -> Self {
        let addressee = dc.addressee(origin.header.dc);
        match addressee {
            Addressee::Me => {}
            Addressee::Other => dc.counters.wrong_dc.bump(),
            Addressee::Nobody => dc.counters.unknown_dc.bump(),
        }
        Self {
            dc,
            origin,
            misdirected: addressee == Addressee::Other,
            messages_in: 0,
            exchange: None,
            session: None,
            ids: MessageIds::default(),
            sending: None,
        }
    }

    /// Answers a message. `bytes_in` is what the client has sent in all.
    pub(crate) fn answer(
        &mut self,
        message: &[u8],
        quick_ack: bool,
        bytes_in: u64,
        out: &mut impl Output,
    ) -> Turn {
        if self.misdirected {
            error(WRONG_DC, out);
            return Turn::GoOn;
        }
        match message.first_chunk::<8>() {
            Some(&command::KEY_ID) => return self.test_packet(message, quick_ack, bytes_in, out),
            Some([0, 0, 0, 0, 0, 0, 0, 0]) => self.unencrypted(message, out),
            Some(key_id) => self.encrypted(u64::from_le_bytes(*key_id), message, quick_ack, out),
            None => self.unknown_key(out),
        }
        Turn::GoOn
    }

    /// Counts a message, which may then be answered or not.
    pub(crate) fn count(&mut self, quick_ack: bool) {
        self.messages_in += 1;
        if quick_ack {
            self.dc.counters.quick_acks_asked.bump();
        }
    }

    /// Whether packets that were asked for are still to be sent.
    pub(crate) const fn is_sending(&self) -> bool {
        self.sending.is_some()
    }

    /// Sends the next packet that was asked for.
    pub(crate) fn send_next(&mut self, out: &mut impl Output) {
        self.sending = self.sending.filter(|(send, index)| *index < send.count).map(|(send, index)| {
            out.message(&data_packet(&send, index));
            (send, index + 1)
        });
    }

    fn test_packet(&mut self, message: &[u8], quick_ack: bool, bytes_in: u64, out: &mut impl Output) -> Turn {
        let counters = &self.dc.counters;
        let packet = Packet::parse(message);
        let Some((packet, command)) = packet.and_then(|packet| Some((packet, Command::decode(&packet)?)))
        else {
            counters.bad_commands.bump();
            return Turn::GoOn;
        };
        if quick_ack {
            self.quick_ack(command::quick_ack_token(&packet), out);
        }
        match command {
            Command::Echo(_) => counters.echoed.bump(),
            _ => counters.commands.bump(),
        }
        match command {
            Command::Echo(_) => out.message(packet.whole),
            Command::Discard(_) => {}
            Command::Send(send) => self.sending = Some((send, 0)),
            Command::Frame(bytes) => out.message(&bytes),
            Command::Raw(bytes) => out.raw(&bytes),
            Command::QuickAck([a, b, c, d]) => self.quick_ack([a, b, c, d | 0x80], out),
            Command::Report => out.message(&self.report(bytes_in, out).encode()),
            Command::Stall => return Turn::Stall,
            Command::Freeze => return Turn::Freeze,
            Command::HalfClose => return Turn::HalfClose,
            Command::Close => return Turn::Close,
            Command::Reset => return Turn::Reset,
        }
        Turn::GoOn
    }

    fn report(&self, bytes_in: u64, out: &impl Output) -> Report {
        let header = self.origin.header;
        Report {
            connection: self.origin.connection,
            dc: self.dc.id,
            asked_dc: header.dc.get(),
            framing: header.framing.tag(),
            bytes_in,
            bytes_out: out.bytes(),
            frames_in: self.messages_in,
            frames_out: out.messages(),
            middle: self.origin.middle.as_deref().copied(),
        }
    }

    fn unencrypted(&mut self, message: &[u8], out: &mut impl Output) {
        let (dc, now) = (&self.dc, clock::now());
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
        out.message(&mtproto::unencrypted(self.ids.next(now, true), &body));
    }

    fn encrypted(&mut self, key_id: u64, message: &[u8], wants_ack: bool, out: &mut impl Output) {
        let dc = &self.dc;
        let known = self.session.take().filter(|session| session.id() == key_id);
        let Some(session) = known.or_else(|| dc.keys.get(key_id)) else { return self.unknown_key(out) };
        let peer = Peer { dc: dc.id, address: self.origin.local, now: clock::now() };
        let outcome = session.answer(message, &peer, &mut self.ids);
        self.session = Some(session);
        let Some(Outcome { answer, quick_ack, served }) = outcome else { return self.unknown_key(out) };
        dc.counters.encrypted_in.bump();
        dc.counters.requests.add(served.requests);
        dc.counters.file_bytes_in.add(served.file_bytes_in);
        dc.counters.file_bytes_out.add(served.file_bytes_out);
        if wants_ack {
            self.quick_ack(quick_ack, out);
        }
        if let Some(answer) = answer {
            out.message(&answer);
        }
    }

    fn unknown_key(&self, out: &mut impl Output) {
        self.dc.counters.unknown_keys.bump();
        error(UNKNOWN_KEY, out);
    }

    fn quick_ack(&self, token: [u8; 4], out: &mut impl Output) {
        self.dc.counters.quick_acks_sent.bump();
        out.quick_ack(token);
    }
}

fn error(code: i32, out: &mut impl Output) {
    out.message(&code.to_le_bytes());
}
