//! The half of a split proxy that goes to Telegram: fronts connect, and each of their sessions is a call here.
//!
//! To everybody else it is a plain HTTPS server.

mod host;
mod session;
mod settings;
mod site;

use std::rc::Rc;

use tokio::task::spawn_local;

pub(crate) use settings::{Back, LISTENER};

use crate::listen::Place;
use crate::net::{Peer, Stream};
use crate::shard::{Listener, Shard};

/// Begins to serve a connection.
pub(crate) fn spawn(shard: &Rc<Shard>, listener: &Rc<Listener>, place: Place, stream: Stream, peer: Peer) {
    spawn_local(host::serve(Rc::clone(shard), Rc::clone(listener), place, stream, peer));
}
