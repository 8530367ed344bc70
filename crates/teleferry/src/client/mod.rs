//! One accepted connection, from its first byte to its end.

mod connection;
mod door;
mod key_share;
mod relay;

use std::rc::Rc;

use tokio::task::spawn_local;
use tracing::warn;

pub(crate) use connection::Connection;
pub(crate) use door::Door;
pub(crate) use key_share::x25519_public;

use crate::backend::Leg;
use crate::clock;
use crate::cover;
use crate::listen::Place;
use crate::net::{Peer, Stream};
use crate::observe::{CloseReason, Kind, Protocol};
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
    match door::knock(&connection, &mut stream).await {
        Outcome::Client(client) => carry(connection, stream, *client).await,
        Outcome::Stranger(reason, first_bytes) => {
            connection.stranger(reason);
            cover::visit(connection, stream, first_bytes).await;
        }
        Outcome::Ended(reason) => {
            connection.ended(reason);
            cover::farewell(&connection, stream).await;
        }
    }
}

/// Takes a proven client to Telegram.
async fn carry(mut connection: Connection, stream: Stream, client: Client) {
    let counters = Rc::clone(connection.listener());
    let counters = &counters.counters;
    counters.client(Protocol::new(client.header.framing, client.records.is_some()));
    let leg = match open_leg(&connection, &client).await {
        Ok(leg) => leg,
        Err(reason) => {
            connection.ended(reason);
            cover::farewell(&connection, stream).await;
            return;
        }
    };
    counters.dc_connected.add(1);
    let (relay, early) = Relay::new(connection, stream, client, leg);
    relay::run(relay, early).await;
}

async fn open_leg(connection: &Connection, client: &Client) -> Result<Leg, CloseReason> {
    let shard = connection.shard();
    let counters = &connection.listener().counters;
    let settings = &shard.settings().telegram;
    let destination = shard.shared.book.look_up(client.header.dc);
    if destination.as_ref().is_none_or(|destination| destination.unknown) {
        counters.dc_unknown.add(1);
        if let Some(more) = shard.throttles.dc_unknown.pass(clock::now()) {
            warn!(session = connection.id(), dc = %client.header.dc, more, "a client asks for an unknown data centre");
        }
    }
    let Some(mut destination) = destination else { return Err(CloseReason::proxy(Kind::DcUnknown)) };
    shard.health.sort(&mut destination.addresses, clock::now());
    let opening = Leg::open(
        &destination,
        client.header,
        &client.to_client,
        settings.fast_path,
        settings.connect_timeout,
    );
    match connection.alarm().within(opening).await {
        Ok(Ok(leg)) => Ok(leg),
        Ok(Err(error)) => {
            for &address in &destination.addresses {
                shard.health.failed(address, clock::now());
            }
            counters.dc_unreachable.add(1);
            if let Some(more) = shard.throttles.dc_unreachable.pass(clock::now()) {
                let error = error.last.map_or_else(|| "no address to try".into(), |error| error.to_string());
                warn!(session = connection.id(), dc = %destination.dc, error, more, "a data centre cannot be reached");
            }
            Err(CloseReason::telegram(Kind::Unreachable))
        }
        Err(expiry) => Err(connection.expired(expiry, CloseReason::telegram(Kind::Unreachable))),
    }
}
