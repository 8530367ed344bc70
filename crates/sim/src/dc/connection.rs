//! One connection: its socket, and what is between the socket and the answers.
//!
//! While it waits it holds no buffer. It reads only when there is room for the answers, so that a client that does not
//! read is not read from either.

use std::io;
use std::sync::Arc;

use teleferry_proto::cipher::CtrStream;
use teleferry_proto::obfuscated::{self, Accepted, HEADER_LEN};
use teleferry_proto::transport::ClientDecoder;
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;

use super::Guest;
use super::answer::{Answerer, Origin, Turn};
use super::outbox::Outbox;

/// Bytes read at once.
const SCRATCH: usize = 16 << 10;

/// A connection and all it needs.
pub(super) struct Connection {
    guest: Guest,
    stream: TcpStream,
    state: State,
    /// How the connection is to go on.
    turn: Turn,
    bytes_in: u64,
    input_ended: bool,
    /// Frames may be here that there was no room to answer.
    behind: bool,
}

enum State {
    /// Nothing that comes is understood.
    Deaf,
    /// The header is not all here: `header[..len]`.
    Header {
        header: [u8; HEADER_LEN],
        len: usize,
    },
    Open(Box<Link>),
}

/// What follows the header.
struct Link {
    cipher: CtrStream,
    decoder: ClientDecoder,
    answerer: Answerer,
    out: Outbox,
    frames_out: u64,
}

impl Connection {
    /// A new connection that is spoken with, or (`silent`) only read from.
    pub(super) const fn new(guest: Guest, stream: TcpStream, silent: bool) -> Self {
        let state = if silent { State::Deaf } else { State::Header { header: [0; HEADER_LEN], len: 0 } };
        Self { guest, stream, state, turn: Turn::GoOn, bytes_in: 0, input_ended: false, behind: false }
    }

    /// Serves it until either side ends it.
    pub(super) async fn run(mut self) {
        // A client that goes away is nothing to report; the counters tell.
        let _ = self.serve().await;
    }

    async fn serve(&mut self) -> io::Result<()> {
        // Answers are small, and clients wait for them.
        self.stream.set_nodelay(true)?;
        loop {
            self.answer();
            let sent_all = self.flush()?;
            self.guest.dc.counters.publish();
            match self.turn {
                Turn::Reset => return self.stream.set_zero_linger(),
                Turn::Close if sent_all => return self.close().await,
                Turn::HalfClose if sent_all => {
                    self.stream.shutdown().await?;
                    self.turn = Turn::Stall;
                }
                _ => {}
            }
            tokio::task::coop::consume_budget().await;
            if sent_all && self.behind && self.is_answering() {
                continue;
            }
            if sent_all && self.input_ended {
                return Ok(());
            }
            let Some(interest) = self.interest(sent_all) else { return Ok(()) };
            if interest == Interest::READABLE
                && let State::Open(link) = &mut self.state
            {
                link.out.give_back();
            }
            if self.stream.ready(interest).await?.is_readable() && interest.is_readable() {
                self.read()?;
            } else if interest == Interest::ERROR {
                return Ok(());
            }
        }
    }

    /// What to wait for; `None` when there is nothing more to come.
    fn interest(&self, sent_all: bool) -> Option<Interest> {
        let frozen = self.turn == Turn::Freeze;
        let reading = !(frozen || self.input_ended || self.is_busy());
        match (reading, sent_all) {
            (true, true) => Some(Interest::READABLE),
            (true, false) => Some(Interest::READABLE | Interest::WRITABLE),
            (false, false) => Some(Interest::WRITABLE),
            // Only a reset ends what is frozen.
            (false, true) => frozen.then_some(Interest::ERROR),
        }
    }

    /// Whether answers to what was read must go first.
    fn is_busy(&self) -> bool {
        match &self.state {
            State::Open(link) => self.behind || link.out.is_full() || link.answerer.is_sending(),
            _ => false,
        }
    }

    /// Whether frames are taken as they come, be they answered or not.
    const fn is_answering(&self) -> bool {
        matches!(self.turn, Turn::GoOn | Turn::Stall)
    }

    /// Answers as many frames as there is room for.
    fn answer(&mut self) {
        let State::Open(link) = &mut self.state else { return };
        self.behind = true;
        while !link.out.is_full() && matches!(self.turn, Turn::GoOn | Turn::Stall) {
            if link.answerer.is_sending() {
                link.answerer.send_next(&mut link.out);
                continue;
            }
            match link.decoder.next_frame() {
                Ok(Some(frame)) => {
                    self.guest.dc.counters.frames_in.bump();
                    link.answerer.count(frame.quick_ack);
                    if self.turn == Turn::GoOn {
                        let (message, quick_ack) = (&frame.message, frame.quick_ack);
                        self.turn = link.answerer.answer(message, quick_ack, self.bytes_in, &mut link.out);
                    }
                }
                Ok(None) => {
                    self.behind = false;
                    return;
                }
                Err(_) => {
                    self.guest.dc.counters.bad_frames.bump();
                    self.turn = Turn::Close;
                }
            }
        }
    }

    /// Sends what the socket takes; says whether nothing is left to send.
    fn flush(&mut self) -> io::Result<bool> {
        let State::Open(link) = &mut self.state else { return Ok(true) };
        let sent = link.out.flush(&self.stream)?;
        let counters = &self.guest.dc.counters;
        counters.bytes_out.add(sent);
        counters.frames_out.add(link.out.frames() - link.frames_out);
        link.frames_out = link.out.frames();
        Ok(link.out.is_empty() && !link.answerer.is_sending())
    }

    /// Reads once. Not async, so that the buffer is on the stack and not in every connection's task.
    fn read(&mut self) -> io::Result<()> {
        let mut scratch = [0; SCRATCH];
        match self.stream.try_read(&mut scratch) {
            Ok(0) => self.input_ended = true,
            Ok(len) => self.take(&mut scratch[..len]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn take(&mut self, mut bytes: &mut [u8]) {
        self.bytes_in += bytes.len() as u64;
        self.guest.dc.counters.bytes_in.add(bytes.len() as u64);
        if let State::Header { header, len } = &mut self.state {
            let (first, rest) = bytes.split_at_mut(bytes.len().min(HEADER_LEN - *len));
            header[*len..][..first.len()].copy_from_slice(first);
            *len += first.len();
            if *len < HEADER_LEN {
                return;
            }
            let header = *header;
            self.open(&header);
            bytes = rest;
        }
        if let State::Open(link) = &mut self.state {
            link.cipher.apply(bytes);
            link.decoder.push(bytes);
        }
    }

    fn open(&mut self, header: &[u8; HEADER_LEN]) {
        let Some(Accepted { header, from_client, to_client }) = obfuscated::accept(header, None) else {
            self.guest.dc.counters.bad_headers.bump();
            self.state = State::Deaf;
            self.turn = Turn::Close;
            return;
        };
        let guest = &self.guest;
        guest.dc.counters.count_header(header);
        let origin = Origin { connection: guest.number, local: guest.local, header, middle: None };
        self.state = State::Open(Box::new(Link {
            cipher: from_client,
            decoder: ClientDecoder::new(header.framing),
            answerer: Answerer::new(Arc::clone(&guest.dc), origin),
            out: Outbox::new(header.framing, to_client),
            frames_out: 0,
        }));
    }

    /// Sends FIN and reads what has come, as unread bytes would make the end a reset.
    async fn close(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        discard(&self.stream)
    }
}

fn discard(stream: &TcpStream) -> io::Result<()> {
    let mut scratch = [0; SCRATCH];
    loop {
        match stream.try_read(&mut scratch) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
