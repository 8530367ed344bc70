//! Connections to the cover site, and how they are known when they come back to us.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::net::{Outbox, Peer, Stream};

/// Our ends of all connections to the cover site. A visitor who comes from one of them is ourselves: the site's address
/// leads back here, by way of a name, a port forwarding or a load balancer that nobody thought of.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<HashSet<SocketAddr>>);

/// A connection to the cover site.
#[derive(Debug)]
pub(crate) struct Call {
    pub(super) stream: Stream,
    /// What goes before everything else.
    pub(super) outbox: Outbox,
    _mark: Option<Mark>,
}

/// One entry in [`Calls`]. Taken out when dropped.
#[derive(Debug)]
struct Mark {
    calls: Arc<Calls>,
    address: SocketAddr,
}

impl Calls {
    /// Whether somebody who came from there is ourselves. Asked only after the call it comes from was made, as nobody
    /// sends on a call before it is written down.
    pub(super) fn has(&self, peer: Peer) -> bool {
        match peer {
            Peer::Inet(address) => self.lock().contains(&canonical(address)),
            Peer::Local => false,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<SocketAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    /// Writes a connection down, before anything is sent on it.
    pub(super) fn new(stream: Stream, calls: &Arc<Calls>) -> Self {
        let mark = stream.local_address().map(|address| {
            let address = canonical(address);
            calls.lock().insert(address);
            Mark { calls: Arc::clone(calls), address }
        });
        Self { stream, outbox: Outbox::default(), _mark: mark }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.address);
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
