//! The clients on one link.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use teleferry_proto::middle::server::Server;
use teleferry_proto::rpc::{ConnId, Packet};

use super::check::Asked;
use super::registry::Tally;
use super::{Counters, Violation};
use crate::dc::{Answerer, Output, Turn};

/// Ended connection ids that a link remembers; the oldest is forgotten first.
const REMEMBERED: usize = 1 << 17;

/// All clients of a link, those that were, and those that never were.
pub(super) struct Clients {
    open: HashMap<ConnId, Client>,
    past: HashMap<ConnId, ClosedBy>,
    oldest_first: VecDeque<ConnId>,
    /// Ids that something was sent for although nobody has them; to be closed by the proxy.
    strangers: HashSet<ConnId>,
    counters: Arc<Counters>,
    tally: Arc<Tally>,
}

/// One of them.
pub(super) struct Client {
    /// Its first request.
    pub(super) first: Asked,
    pub(super) answerer: Answerer,
    /// Nothing is answered any more.
    pub(super) stalled: bool,
    /// Messages that are to be answered, and whether each wants a quick ack.
    pub(super) waiting: VecDeque<(Vec<u8>, bool)>,
    /// It stands in the link's list of those with something to do.
    pub(super) listed: bool,
    pub(super) messages_in: u64,
    pub(super) bytes_in: u64,
    messages_out: u64,
    bytes_out: u64,
}

/// Who ended a connection id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClosedBy {
    Proxy,
    Us,
}

impl Clients {
    pub(super) fn new(counters: Arc<Counters>, tally: Arc<Tally>) -> Self {
        Self {
            open: HashMap::new(),
            past: HashMap::new(),
            oldest_first: VecDeque::new(),
            strangers: HashSet::new(),
            counters,
            tally,
        }
    }

    pub(super) fn open(&mut self, first: Asked, answerer: Answerer) -> &mut Client {
        self.counters.clients_opened.bump();
        self.tally.clients_opened.bump();
        self.open.entry(first.conn).or_insert_with(|| Client::new(first, answerer))
    }

    pub(super) fn get(&mut self, conn: ConnId) -> Option<&mut Client> {
        self.open.get_mut(&conn)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Client> {
        self.open.values()
    }

    /// Who ended this id, if it is one that was.
    pub(super) fn closed_by(&self, conn: ConnId) -> Option<ClosedBy> {
        self.past.get(&conn).copied()
    }

    /// We end a client. Gives it, if it was there.
    pub(super) fn close(&mut self, conn: ConnId) -> Option<Client> {
        let client = self.forget(conn, ClosedBy::Us)?;
        self.counters.closed_here.bump();
        Some(client)
    }

    /// The proxy ended a client. Gives it, if it was there.
    pub(super) fn closed(&mut self, conn: ConnId) -> Result<Option<Client>, Violation> {
        if let Some(client) = self.forget(conn, ClosedBy::Proxy) {
            self.counters.closed_by_proxy.bump();
            return Ok(Some(client));
        }
        if self.strangers.remove(&conn) {
            self.counters.strangers_closed.bump();
            return Ok(None);
        }
        match self.past.get_mut(&conn) {
            // Our word and theirs were on the way at the same time.
            Some(by @ ClosedBy::Us) => {
                *by = ClosedBy::Proxy;
                Ok(None)
            }
            Some(ClosedBy::Proxy) => Err(Violation::CloseRepeated),
            None => Err(Violation::CloseUnknown),
        }
    }

    /// Something is sent for this id: if nobody ever had it, it is to be closed.
    pub(super) fn sent_to(&mut self, conn: ConnId) {
        if !self.open.contains_key(&conn) && !self.past.contains_key(&conn) {
            self.counters.strangers.bump();
            self.strangers.insert(conn);
        }
    }

    fn forget(&mut self, conn: ConnId, by: ClosedBy) -> Option<Client> {
        let client = self.open.remove(&conn)?;
        self.counters.clients_closed.bump();
        self.tally.clients_closed.bump();
        if self.oldest_first.len() == REMEMBERED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.past.remove(&oldest);
        }
        self.past.insert(conn, by);
        self.oldest_first.push_back(conn);
        Some(client)
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.counters.clients_closed.add(self.open.len() as u64);
        self.tally.clients_closed.add(self.open.len() as u64);
    }
}

impl Client {
    const fn new(first: Asked, answerer: Answerer) -> Self {
        Self {
            first,
            answerer,
            stalled: false,
            waiting: VecDeque::new(),
            listed: false,
            messages_in: 0,
            bytes_in: 0,
            messages_out: 0,
            bytes_out: 0,
        }
    }

    /// Does one thing that is to be done, and says what follows; `None` when there is nothing.
    pub(super) fn step(&mut self, server: &mut Server, counters: &Counters) -> Option<Step> {
        let mut reply = Reply {
            server,
            counters,
            conn: self.first.conn,
            messages: &mut self.messages_out,
            bytes: &mut self.bytes_out,
        };
        if self.answerer.is_sending() {
            self.answerer.send_next(&mut reply);
            return Some(Step { turn: Turn::GoOn, answered: 0 });
        }
        let (message, quick_ack) = self.waiting.pop_front()?;
        self.answerer.count(quick_ack);
        let turn = self.answerer.answer(&message, quick_ack, self.bytes_in, &mut reply);
        Some(Step { turn, answered: message.len() })
    }

    /// Whether there is something to do.
    pub(super) fn is_busy(&self) -> bool {
        self.answerer.is_sending() || !self.waiting.is_empty()
    }

    /// Answers nothing of what waits, and does not end what it is answering; says how many messages that were.
    pub(super) fn drop_waiting(&mut self) -> usize {
        let count = self.waiting.len() + usize::from(self.answerer.is_sending());
        self.waiting.clear();
        self.listed = false;
        count
    }

    /// Bytes of the messages that are to be answered.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting.iter().map(|(message, _)| message.len()).sum()
    }
}

/// What came of one thing that was done for a client.
pub(super) struct Step {
    pub(super) turn: Turn,
    /// Bytes of the message that was answered.
    pub(super) answered: usize,
}

/// Answers to one client, on their way into the link's frames.
struct Reply<'a> {
    server: &'a mut Server,
    counters: &'a Counters,
    conn: ConnId,
    messages: &'a mut u64,
    bytes: &'a mut u64,
}

impl Output for Reply<'_> {
    fn message(&mut self, message: &[u8]) {
        self.server.send(&Packet::Answer { flags: 0, conn: self.conn, message });
        self.counters.messages_out.bump();
        self.counters.bytes_out.add(message.len() as u64);
        *self.messages += 1;
        *self.bytes += message.len() as u64;
    }

    fn quick_ack(&mut self, token: [u8; 4]) {
        self.server.send(&Packet::Ack { conn: self.conn, token });
        self.counters.acks_sent.bump();
    }

    /// There is nothing but messages on a link.
    fn raw(&mut self, _: &[u8]) {}

    fn bytes(&self) -> u64 {
        *self.bytes
    }

    fn messages(&self) -> u64 {
        *self.messages
    }
}
