//! Connections to the cover site, and how they are known when they come back to us.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use super::site::Visitor;
use crate::net::{Outbox, Peer, Stream};

/// What is under way to the cover site. A visitor who comes from there is ourselves: the site's address leads back here, by
/// way of a name, a port forwarding or a load balancer that nobody thought of.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    under_way: Mutex<UnderWay>,
    /// A hello of ours has come back, and none has reached the site since.
    loops: AtomicBool,
}

#[derive(Debug, Default)]
struct UnderWay {
    /// Both ends of all connections, ours first.
    ends: HashSet<(SocketAddr, SocketAddr)>,
    /// The random fields of our own hellos, and whether they came back. Behind somebody who relays connections, nothing
    /// else can be known again.
    hellos: HashMap<[u8; 32], bool>,
}

/// A connection to the cover site.
#[derive(Debug)]
pub(crate) struct Call {
    pub(super) stream: Stream,
    /// What waits to be sent.
    pub(super) outbox: Outbox,
    _mark: Option<Mark>,
}

/// One of our ends, written down. Taken out when dropped.
#[derive(Debug)]
struct Mark {
    calls: Arc<Calls>,
    ends: (SocketAddr, SocketAddr),
}

/// A hello of ours, written down. Taken out when dropped.
#[derive(Debug)]
pub(super) struct Hello<'a> {
    calls: &'a Calls,
    random: [u8; 32],
}

impl Calls {
    /// Whether the site leads back here, as a visitor from there with these first bytes shows, or an earlier one did.
    ///
    /// Nothing is sent on a call before it is written down, so it is known here when something comes.
    pub(super) fn lead_back(&self, visitor: Visitor, first_bytes: &[u8]) -> bool {
        let mut under_way = self.lock();
        let random = first_bytes.get(11..43).and_then(|random| <[u8; 32]>::try_from(random).ok());
        if let Some(came_back) = random.and_then(|random| under_way.hellos.get_mut(&random)) {
            *came_back = true;
            self.loops.store(true, Relaxed);
        }
        // By both ends: another process on this machine, or a visitor of it, may have the same port towards somebody else.
        let ours = match (visitor.peer, visitor.local) {
            (Peer::Inet(peer), Some(local)) => under_way.ends.contains(&(canonical(peer), canonical(local))),
            _ => false,
        };
        ours || self.loops.load(Relaxed)
    }

    /// Writes a hello of ours down, before it is sent.
    pub(super) fn hello(&self, random: [u8; 32]) -> Hello<'_> {
        self.lock().hellos.insert(random, false);
        Hello { calls: self, random }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hello<'_> {
    /// Whether it came back. If not, and it was answered, visitors get through too.
    pub(super) fn came_back(&self, answered: bool) -> bool {
        let came_back = self.calls.lock().hellos.get(&self.random) == Some(&true);
        if answered && !came_back {
            self.calls.loops.store(false, Relaxed);
        }
        came_back
    }
}

impl Drop for Hello<'_> {
    fn drop(&mut self) {
        self.calls.lock().hellos.remove(&self.random);
    }
}

impl Call {
    /// Writes a connection down, before anything is sent on it.
    pub(super) fn new(stream: Stream, calls: &Arc<Calls>) -> Self {
        let ends = stream.local_address().zip(stream.peer_address());
        let mark = ends.map(|(ours, site)| {
            let ends = (canonical(ours), canonical(site));
            calls.lock().ends.insert(ends);
            Mark { calls: Arc::clone(calls), ends }
        });
        Self { stream, outbox: Outbox::default(), _mark: mark }
    }

    /// Sends what waits, and this behind it.
    ///
    /// # Errors
    /// The connection is broken.
    pub(super) async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.outbox.hold(bytes);
        std::future::poll_fn(|cx| match self.outbox.flush(cx, &mut self.stream) {
            Ok(_) if self.outbox.is_empty() => Poll::Ready(Ok(())),
            Ok(_) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        })
        .await
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.calls.lock().ends.remove(&self.ends);
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: Visitor = Visitor { peer: Peer::Local, local: None };

    #[tokio::test]
    async fn f_24_a_call_that_comes_back_is_known_by_its_end() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has room");
        let address = listener.local_addr().expect("address");
        let calls = Arc::new(Calls::default());
        let call =
            Call::new(Stream::Tcp(tokio::net::TcpStream::connect(address).await.expect("connect")), &calls);
        let (_accepted, peer) = listener.accept().await.expect("accept");
        let from = |peer, local| calls.lead_back(Visitor { peer: Peer::Inet(peer), local: Some(local) }, b"");
        let mapped = |address: SocketAddr| {
            SocketAddr::new("::ffff:127.0.0.1".parse().expect("an address"), address.port())
        };
        assert!(from(peer, address));
        assert!(from(mapped(peer), mapped(address)));
        assert!(!from(address, address));
        let elsewhere = SocketAddr::new(address.ip(), address.port() ^ 1);
        assert!(!from(peer, elsewhere), "the same port of a visitor who came to another of ours");
        assert!(!calls.lead_back(LOCAL, b""));
        drop(call);
        assert!(!from(peer, address));
    }

    #[test]
    fn f_24_a_hello_that_comes_back_stops_all_visits_until_one_is_answered() {
        let calls = Calls::default();
        let hello = |random: u8| [&[0x16; 11][..], &[random; 32], &[0; 9]].concat();
        let sent = calls.hello([7; 32]);
        assert!(!calls.lead_back(LOCAL, &hello(8)));
        assert!(calls.lead_back(LOCAL, &hello(7)));
        assert!(calls.lead_back(LOCAL, b""), "so is everybody else's way");
        assert!(sent.came_back(true));
        drop(sent);
        assert!(calls.lead_back(LOCAL, b""));
        let sent = calls.hello([9; 32]);
        assert!(!sent.came_back(true));
        assert!(!calls.lead_back(LOCAL, b""));
    }
}
