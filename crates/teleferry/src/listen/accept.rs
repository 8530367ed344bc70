//! The accept loop of one listening socket on one shard.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;
use tracing::warn;

use super::{ListeningSocket, Place};
use crate::back;
use crate::client;
use crate::clock;
use crate::net::{Peer, SocketKind, Stream};
use crate::shard::{Listener, Owner, Shard};
use crate::sys;

/// Connections taken in a row. Then those who are here have their turn, however many want to come.
const TURN: u32 = 8;

/// How long to wait when the system has no descriptor or memory for another connection.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Takes connections for the socket's owner until it has none, then those that wait in the kernel still (closing the
/// socket would reset them), then closes the socket.
///
/// At a ceiling nothing is taken and nothing refused: connections wait in the kernel, as at a busy web server.
pub(crate) async fn accept_loop(shard: Rc<Shard>, socket: ListeningSocket, mut owner: Owner) {
    let kind = socket.kind;
    let Some(mut listener) = owner.borrow_and_update().clone() else { return };
    let socket = match sys::watch(socket.fd) {
        Ok(socket) => socket,
        Err(error) => {
            warn!(listener = listener.name(), %error, "a listening socket is lost");
            return;
        }
    };
    shard.opened().await;
    let mut taken = 0_u32;
    loop {
        if taken >= TURN {
            taken = 0;
            tokio::task::yield_now().await;
        }
        tokio::select! {
            biased;
            changed = owner.changed() => match owner.borrow_and_update().clone() {
                Some(next) if changed.is_ok() => listener = next,
                Some(_) | None => break,
            },
            () = accept_one(&shard, &listener, &socket, kind) => taken += 1,
        }
    }
    while let Some(place) = Place::try_take(listener.ceiling(), shard.ceiling()) {
        // Those that do not fit below a ceiling any more are closed with the socket.
        let Ok((stream, peer)) = accept_now(socket.get_ref(), kind) else { break };
        spawn(&shard, &listener, place, stream, peer);
    }
}

/// Waits for a connection, then for a place below the ceilings, and begins to serve it.
///
/// In that order: a place held while nothing comes would be missing on another shard.
async fn accept_one(shard: &Rc<Shard>, listener: &Rc<Listener>, socket: &AsyncFd<OwnedFd>, kind: SocketKind) {
    let Ok(mut ready) = socket.readable().await else { return };
    let place = Place::take(listener.ceiling(), shard.ceiling()).await;
    match ready.try_io(|socket| accept_now(socket.get_ref(), kind)) {
        Ok(Ok((stream, peer))) => spawn(shard, listener, place, stream, peer),
        Ok(Err(error)) if is_exhaustion(&error) => {
            if let Some(more) = shard.throttles.exhausted.pass(clock::now()) {
                warn!(%error, more, "no connection can be taken: raise the descriptor limit (ulimit -n)");
            }
            drop(place);
            sleep(EXHAUSTED).await;
        }
        // The peer was gone before it was taken, or another shard was faster: nothing to do.
        Ok(Err(_)) | Err(_) => {}
    }
}

/// A client comes, or on a back a front.
fn spawn(shard: &Rc<Shard>, listener: &Rc<Listener>, place: Place, stream: Stream, peer: Peer) {
    if shard.back().is_some() {
        back::spawn(shard, listener, place, stream, peer);
    } else {
        client::spawn(shard, listener, place, stream, peer);
    }
}

/// One system call: taken, non-blocking, closed on exec, with the peer's address.
fn accept_now(socket: impl AsFd, kind: SocketKind) -> io::Result<(Stream, Peer)> {
    let (fd, peer) = acceptfrom_with(socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    let peer = peer.and_then(|peer| peer.try_into().ok()).map_or(Peer::Local, Peer::Inet);
    Ok((Stream::adopt(fd, kind)?, peer))
}

fn is_exhaustion(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}
