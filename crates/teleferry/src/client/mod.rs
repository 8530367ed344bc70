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
use std::rc::Rc;

use tokio::task::spawn_local;
use tracing::debug;

pub(crate) use connection::Connection;
pub(crate) use door::Door;
pub(crate) use key_share::x25519_public;

use crate::backend::{Exit, Passenger};
use crate::cover;
use crate::listen::Place;
use crate::net::{ClientSide, Peer, Stream};
use crate::observe::Protocol;
use crate::shard::{Listener, Shard};
use door::{Client, Outcome};
use relay::Relay;

/// Begins to serve a connection.
pub(crate) fn spawn(shard: &Rc<Shard>, listener: &Rc<Listener>, place: Place, stream: Stream, peer: Peer) {
    let connection = Connection::open(shard, listener, place, peer);
    spawn_local(serve(connection, stream));
}

/// At the door: a connection is proven to be a client of ours, or it is the cover site's visitor.
async fn serve(mut connection: Connection, mut stream: Stream) {
    match door::knock(&mut connection, &mut stream).await {
        Outcome::Client(client) => carry(connection, stream, *client).await,
        Outcome::Stranger(reason, first_bytes, early) => {
            connection.stranger(reason);
            cover::visit(connection, stream, first_bytes, early).await;
        }
        Outcome::Ended(reason) => {
            connection.ended(reason);
            cover::farewell(&connection, stream).await;
        }
    }
}

/// Takes a proven client to Telegram.
async fn carry(mut connection: Connection, stream: Stream, mut client: Client) {
    connection.hold(std::mem::take(&mut client.claims));
    connection.proven();
    let tls = client.records.is_some();
    let protocol = Protocol::new(client.header.framing, tls);
    connection.listener().counters.client(protocol);
    debug!(session = connection.id(), protocol = protocol.label(), dc = %client.header.dc, "a client");
    let held = connection.shard().shared.memory.part();
    let side = Rc::new(RefCell::new(ClientSide::new(stream, tls, held)));
    let opened = {
        let own = side.borrow().local_address();
        let (side, cipher) = (Rc::clone(&side), client.to_client.clone());
        let passenger = Passenger {
            header: client.header,
            own,
            exit: Exit::Client { side, cipher },
            peer: connection.address(),
            ad_tag: connection.listener().rules().ad_tag,
            moved: false,
            listener: connection.listener(),
        };
        route::open(&connection, &passenger).await
    };
    match opened {
        Ok(leg) => {
            debug!(session = connection.id(), way = leg.way(), "on its way to Telegram");
            let (relay, early) = Relay::new(connection, side, client, leg);
            relay::run(relay, early).await;
        }
        Err(reason) => {
            connection.ended(reason);
            farewell(&connection, side).await;
        }
    }
}

/// Ends a client's connection in order. Nobody else may use its socket any more.
async fn farewell(connection: &Connection, side: Rc<RefCell<ClientSide>>) {
    if let Some(side) = Rc::into_inner(side) {
        cover::farewell(connection, side.into_inner().into_stream()).await;
    }
}
