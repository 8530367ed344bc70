//! One accepted connection, from its first byte to its end.

mod admission;
mod answer;
mod connection;
mod door;
mod half;
mod key_share;
mod passed_on;
mod relay;
pub(crate) mod route;

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use tokio::task::spawn_local;
use tracing::debug;

pub(crate) use connection::Connection;
pub(crate) use door::Door;
pub(crate) use key_share::x25519_public;

use crate::backend::{Exit, Leg, Passenger};
use crate::cover;
use crate::listen::Place;
use crate::net::{ClientSide, Peer, Stream};
use crate::observe::{CloseReason, Protocol};
use crate::shard::{Listener, Shard};
use door::{Client, Outcome};
use relay::Relay;

/// Begins to serve a connection.
pub(crate) fn spawn(shard: &Rc<Shard>, listener: &Rc<Listener>, place: Place, stream: Stream, peer: Peer) {
    let connection = Connection::open(shard, listener, place, peer);
    spawn_local(serve(connection, stream));
}

/// At the door: a connection is proven to be a client of ours, or it is the cover site's visitor. What takes longer than that
/// has a task of its own: those at the door leave holes between what stays, and small ones are filled.
#[expect(clippy::manual_async_fn, reason = "an `async fn` has room for what it is given twice")]
fn serve(mut connection: Connection, mut stream: Stream) -> impl Future<Output = ()> {
    async move {
        match door::knock(&mut connection, &mut stream).await {
            Outcome::Client(mut client) => {
                welcome(&mut connection, &mut client);
                let held = connection.shard().shared.memory.part();
                let side = ClientSide::new(stream, client.records.is_some(), held);
                let side = Rc::new(RefCell::new(side));
                match way(&connection, &side, &client).await {
                    Ok(leg) => {
                        let (mut relay, early) = Relay::new(connection, side, *client, leg);
                        let begun = poll_fn(|cx| Poll::Ready(relay.start(cx, &early))).await;
                        relay::go_on(relay, begun);
                    }
                    Err(reason) => {
                        connection.ended(reason);
                        spawn_local(farewell(connection, side));
                    }
                }
            }
            Outcome::Stranger(reason, first_bytes, early) => {
                connection.stranger(reason);
                spawn_local(cover::visit(connection, stream, first_bytes, early));
            }
            Outcome::Ended(reason) => {
                connection.ended(reason);
                spawn_local(async move { cover::farewell(&connection, stream).await });
            }
        }
    }
}

/// A client is proven.
fn welcome(connection: &mut Connection, client: &mut Client) {
    connection.hold(std::mem::take(&mut client.claims));
    connection.proven();
    let protocol = Protocol::new(client.header.framing, client.records.is_some());
    connection.listener().counters.client(protocol);
    debug!(session = connection.id(), protocol = protocol.label(), dc = %client.header.dc, "a client");
}

/// Opens a proven client's way to Telegram.
async fn way(
    connection: &Connection,
    side: &Rc<RefCell<ClientSide>>,
    client: &Client,
) -> Result<Leg, CloseReason> {
    let own = side.borrow().local_address();
    let passenger = Passenger {
        header: client.header,
        own,
        exit: Exit::Client { side: Rc::clone(side), cipher: client.to_client.clone() },
        peer: connection.address(),
        ad_tag: connection.listener().rules().ad_tag,
        moved: false,
        listener: connection.listener(),
    };
    let leg = route::open(connection, &passenger).await?;
    debug!(session = connection.id(), way = leg.way(), "on its way to Telegram");
    Ok(leg)
}

/// Ends a client's connection in order. Nobody else may use its socket any more.
async fn farewell(connection: Connection, side: Rc<RefCell<ClientSide>>) {
    if let Some(side) = Rc::into_inner(side) {
        cover::farewell(&connection, side.into_inner().into_stream()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those at the door leave holes of this size between what stays when many come at once.
    #[test]
    fn who_is_at_the_door_takes_little() {
        fn size_of_future<A, B, F>(_: impl Fn(A, B) -> F) -> usize {
            size_of::<F>()
        }
        let size = size_of_future(serve);
        assert!(size <= 1536, "{size} bytes");
    }
}
