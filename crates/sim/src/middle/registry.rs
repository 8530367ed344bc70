//! All links of all middle proxies, for tests to look at and to give orders to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use teleferry_proto::rpc::{AdTag, ConnId, Packet};
use teleferry_proto::transport::full::{MAX_FRAME, OVERHEAD};
use tokio::sync::{mpsc, oneshot};

use super::{Counters, Settings};
use crate::counters::Counter;

/// What a link can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Close in order: what is queued goes out, then FIN; what still comes is read until the proxy ends too.
    Close,
    /// Close with RST.
    Reset,
    /// Go on reading and send nothing at all (`true`), or send again.
    Stall(bool),
    /// Send one frame with this payload.
    Payload(Vec<u8>),
    /// Send these bytes, encrypted, but in no frame.
    Raw(Vec<u8>),
}

impl Order {
    /// Send a packet: an answer, a quick ack or a close for any connection id, a ping.
    #[must_use]
    pub fn packet(packet: &Packet<'_>) -> Self {
        Self::Payload([packet.head().as_ref(), packet.message()].concat())
    }

    /// # Panics
    /// When no frame can carry it.
    pub(super) fn assert_possible(&self) {
        match self {
            Self::Payload(payload) => assert!(
                payload.len().is_multiple_of(4) && (4..=MAX_FRAME - OVERHEAD).contains(&payload.len()),
                "a payload is whole words, at least one, and has room in a frame"
            ),
            Self::Raw(bytes) => assert!(bytes.len().is_multiple_of(4), "a link carries whole words"),
            Self::Close | Self::Reset | Self::Stall(_) => {}
        }
    }
}

/// A link as it is at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkInfo {
    /// Its number, counted from 1 over all middle proxies.
    pub number: u64,
    /// The data-centre id whose middle proxy it goes to.
    pub dc: i16,
    /// Which of these middle proxies.
    pub endpoint: SocketAddr,
    /// The proxy's end.
    pub peer: SocketAddr,
    /// How far it is.
    pub state: LinkState,
    /// Connection ids open on it.
    pub clients: u64,
    /// Connection ids that were ever opened on it.
    pub clients_total: u64,
    /// Messages that came over it.
    pub messages: u64,
}

/// How far a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// In its handshake.
    Handshake,
    /// It carries clients.
    Ready,
    /// It is being closed.
    Closing,
}

/// A client on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientInfo {
    /// Its connection id.
    pub conn: ConnId,
    /// The flags of its first message.
    pub flags: u32,
    /// Where it is.
    pub client: SocketAddr,
    /// Where it found the proxy.
    pub proxy: SocketAddr,
    /// Whose channel it is shown.
    pub ad_tag: Option<AdTag>,
    /// Messages that it sent.
    pub messages: u64,
}

/// All links.
#[derive(Default)]
pub(super) struct Registry {
    pub(super) counters: Arc<Counters>,
    /// Clients get their numbers here.
    pub(super) clients: Counter,
    entries: Mutex<BTreeMap<u64, Entry>>,
}

struct Entry {
    dc: i16,
    endpoint: SocketAddr,
    peer: SocketAddr,
    tally: Arc<Tally>,
    mail: mpsc::UnboundedSender<Mail>,
}

/// What is counted on one link.
#[derive(Default)]
pub(super) struct Tally {
    state: AtomicU8,
    pub(super) clients_opened: Counter,
    pub(super) clients_closed: Counter,
    pub(super) messages: Counter,
}

/// What comes to a link's task; answered when it is done.
pub(super) struct Mail {
    pub(super) content: Content,
    pub(super) done: oneshot::Sender<()>,
}

pub(super) enum Content {
    Order(Order),
    Settings(Arc<Settings>),
    /// Tell who is on the link.
    Roll(oneshot::Sender<Vec<ClientInfo>>),
}

impl Registry {
    pub(super) fn links(&self) -> Vec<LinkInfo> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().map(|(number, entry)| entry.info(*number)).collect()
    }

    pub(super) async fn wait_for_links(&self, condition: impl Fn(&[LinkInfo]) -> bool) -> Vec<LinkInfo> {
        self.counters.wait_for(|| Some(self.links()).filter(|links| condition(links))).await
    }

    /// Hands something to a link and waits until it is done; `false` when there is no such link any more.
    pub(super) async fn post(&self, link: u64, content: Content) -> bool {
        let (done, is_done) = oneshot::channel();
        let posted = {
            let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            entries.get(&link).is_some_and(|entry| entry.mail.send(Mail { content, done }).is_ok())
        };
        posted && is_done.await.is_ok()
    }

    /// Takes a new link in.
    pub(super) fn register(self: &Arc<Self>, dc: i16, endpoint: SocketAddr, peer: SocketAddr) -> Seat {
        let number = self.counters.accepted.next();
        let (mail, inbox) = mpsc::unbounded_channel();
        let tally = Arc::<Tally>::default();
        let entry = Entry { dc, endpoint, peer, tally: Arc::clone(&tally), mail };
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).insert(number, entry);
        self.counters.publish();
        Seat { registry: Arc::clone(self), number, tally, inbox }
    }
}

impl Entry {
    fn info(&self, number: u64) -> LinkInfo {
        let (opened, closed) = (self.tally.clients_opened.read(), self.tally.clients_closed.read());
        LinkInfo {
            number,
            dc: self.dc,
            endpoint: self.endpoint,
            peer: self.peer,
            state: self.tally.state(),
            clients: opened.saturating_sub(closed),
            clients_total: opened,
            messages: self.tally.messages.read(),
        }
    }
}

impl Tally {
    fn state(&self) -> LinkState {
        match self.state.load(Relaxed) {
            0 => LinkState::Handshake,
            1 => LinkState::Ready,
            _ => LinkState::Closing,
        }
    }

    pub(super) fn set_state(&self, state: LinkState) {
        self.state.store(state as u8, Relaxed);
    }
}

/// A link's place among all; left when it is dropped.
pub(super) struct Seat {
    pub(super) registry: Arc<Registry>,
    pub(super) number: u64,
    pub(super) tally: Arc<Tally>,
    pub(super) inbox: mpsc::UnboundedReceiver<Mail>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.registry.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
        self.registry.counters.closed.bump();
        self.registry.counters.publish();
    }
}
