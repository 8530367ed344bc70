//! The clients on a link, by the ids that the middle proxy knows them by.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxHashMap;

use crate::rpc::{AdTag, ConnId, Head, RequestHead};
use crate::transport::Framing;

/// A client that joins a link.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Where it is.
    pub address: SocketAddr,
    /// Where it found us, by an address that it can reach.
    pub proxy: SocketAddr,
    /// How it frames its messages.
    pub framing: Framing,
    /// Whose channel it is shown.
    pub ad_tag: Option<AdTag>,
}

impl std::fmt::Debug for Client {
    /// Neither where it is nor whose channel it is shown is anybody's business.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("framing", &self.framing).finish_non_exhaustive()
    }
}

/// All clients of a link. Ids count up from a random one and are never given out twice.
#[derive(Debug)]
pub(super) struct Clients {
    conns: FxHashMap<ConnId, Conn>,
    first: ConnId,
    next: ConnId,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Conn {
    /// It is its owner's too: who has many clients has each of them once.
    client: Arc<Client>,
    progress: Progress,
}

/// How far a client has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// The middle proxy does not know it.
    Silent,
    /// Its first message was sent then, and nothing answered so far.
    Asked(Instant),
    Answered,
}

impl Clients {
    /// None yet.
    pub(super) fn new(first: ConnId) -> Self {
        Self { conns: FxHashMap::default(), first, next: first }
    }

    pub(super) fn open(&mut self, client: Arc<Client>) -> ConnId {
        let conn = self.next;
        self.next = ConnId::new(conn.get().wrapping_add(1));
        self.conns.insert(conn, Conn { client, progress: Progress::Silent });
        conn
    }

    pub(super) fn get(&mut self, conn: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(&conn)
    }

    pub(super) fn remove(&mut self, conn: ConnId) -> Option<Conn> {
        self.conns.remove(&conn)
    }

    /// Whether this id was ever given out.
    pub(super) const fn was_ours(&self, conn: ConnId) -> bool {
        let (first, next) = (self.first.get(), self.next.get());
        (conn.get().wrapping_sub(first) as u64) < (next.wrapping_sub(first) as u64)
    }

    /// The clients whose first message has no answer, and when it was sent.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (Instant, ConnId)> {
        self.conns.iter().filter_map(|(&conn, client)| match client.progress {
            Progress::Asked(sent) => Some((sent, conn)),
            Progress::Silent | Progress::Answered => None,
        })
    }

    /// In the order in which they came.
    pub(super) fn ids(&self) -> Vec<ConnId> {
        let mut ids: Vec<_> = self.conns.keys().copied().collect();
        ids.sort_unstable_by_key(|conn| conn.get().wrapping_sub(self.first.get()));
        ids
    }

    pub(super) fn len(&self) -> usize {
        self.conns.len()
    }
}

impl Conn {
    /// A message is sent. True while no message was answered.
    pub(super) fn asked(&mut self, now: Instant) -> bool {
        if self.progress == Progress::Silent {
            self.progress = Progress::Asked(now);
        }
        self.progress != Progress::Answered
    }

    /// Something was answered.
    pub(super) const fn answered(&mut self) {
        self.progress = Progress::Answered;
    }

    /// Whether the middle proxy knows it.
    pub(super) fn is_known(&self) -> bool {
        self.progress != Progress::Silent
    }

    /// What stands on the wire before this message of the client with this id.
    pub(super) fn head(&self, conn: ConnId, message: [&[u8]; 2], quick_ack: bool) -> Head {
        // Only its beginning counts, and that it is not all zero when it is shorter.
        let mut beginning = [u8::MAX; 8];
        beginning.iter_mut().zip(message.into_iter().flatten()).for_each(|(to, byte)| *to = *byte);
        let Client { address, proxy, framing, ad_tag } = *self.client;
        RequestHead::new(conn, address, proxy, framing, ad_tag).before(&beginning, quick_ack)
    }
}
