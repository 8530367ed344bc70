//! Which way a client takes to Telegram.

use std::cell::RefCell;
use std::rc::Rc;

use teleferry_proto::dc::DcId;
use tracing::warn;

use super::Connection;
use super::door::Client;
use crate::backend::{Destination, DirectLeg, Leg, MiddleLeg, Passenger, Pool, Way};
use crate::clock;
use crate::config::Mode;
use crate::net::ClientSide;
use crate::observe::{CloseReason, Counter, DcCounters, Kind};

/// Opens the way that the settings prefer; with `mode = "auto"` and without an ad tag the other one where that cannot be
/// had.
///
/// # Errors
/// There is no way, for this reason.
pub(super) async fn open(
    connection: &Connection,
    client: &Client,
    side: &Rc<RefCell<ClientSide>>,
) -> Result<Leg, CloseReason> {
    let route = Route::choose(connection, client.header.dc)?;
    connection.taken_to(route.dc(client.header.dc));
    if let Some(pool) = &route.pool {
        let can_go_direct = route.destination.is_some();
        if !(can_go_direct && pool.is_failing()) {
            let passenger = Passenger {
                header: client.header,
                to_client: &client.to_client,
                side,
                peer: connection.address(),
                listener: connection.listener(),
            };
            match over_middle(connection, pool, &passenger, can_go_direct).await {
                Err(reason) if !can_go_direct || reason != CloseReason::telegram(Kind::Unreachable) => {
                    return Err(reason);
                }
                Err(_) => pool.gave_up(),
                Ok(leg) => return Ok(Leg::Middle(leg)),
            }
        }
    }
    match route.destination {
        Some(destination) => direct(connection, client, destination).await.map(Leg::Direct),
        None => Err(CloseReason::telegram(Kind::Unreachable)),
    }
}

/// The ways that there are.
struct Route {
    pool: Option<Rc<Pool>>,
    destination: Option<Destination>,
}

impl Route {
    fn choose(connection: &Connection, dc: DcId) -> Result<Self, CloseReason> {
        let shard = connection.shard();
        let mode = shard.settings().telegram.mode;
        let uses_middle = mode != Mode::Direct;
        // Only middle proxies can be told of a tag.
        let has_tag = connection.listener().rules().ad_tag.is_some();
        let uses_direct = mode == Mode::Direct || (mode == Mode::Auto && !has_tag);
        let to = |dc| Self {
            pool: if uses_middle { shard.pools.find(dc) } else { None },
            destination: if uses_direct { shard.find_dc(dc) } else { None },
        };
        let route = to(dc);
        if route.exists() {
            return Ok(route);
        }
        connection.listener().counters.dc_unknown.add(1);
        if let Some(more) = shard.throttles.dc_unknown.pass(clock::now()) {
            warn!(session = connection.id(), %dc, more, "a client asks for an unknown data centre");
        }
        let default = shard.settings().telegram.default_dc.map(|dc| to(DcId::new(dc)));
        default.filter(Self::exists).ok_or(CloseReason::proxy(Kind::DcUnknown))
    }

    /// The data centre that the session is counted for; `asked` when both ways agree with it.
    fn dc(&self, asked: DcId) -> DcId {
        let direct = self.destination.as_ref().map(|destination| destination.dc);
        self.pool.as_ref().map(|pool| pool.dc()).or(direct).unwrap_or(asked)
    }

    const fn exists(&self) -> bool {
        self.pool.is_some() || self.destination.is_some()
    }
}

async fn over_middle(
    connection: &Connection,
    pool: &Rc<Pool>,
    passenger: &Passenger<'_>,
    can_go_direct: bool,
) -> Result<MiddleLeg, CloseReason> {
    let opening = MiddleLeg::open(connection.shard(), pool, passenger, can_go_direct);
    match connection.alarm().within(opening).await {
        Ok(opened) => opened,
        Err(expiry) => Err(connection.expired(expiry, CloseReason::telegram(Kind::Unreachable))),
    }
}

async fn direct(
    connection: &Connection,
    client: &Client,
    mut destination: Destination,
) -> Result<DirectLeg, CloseReason> {
    let shard = connection.shard();
    let counters = &connection.listener().counters;
    let count = |which: fn(&DcCounters) -> &Counter| connection.dc().map_or((), |dc| which(dc).add(1));
    let (way, connect_timeout) = {
        let settings = &shard.settings().telegram;
        let records = client.records.is_some();
        (Way { fast_path: settings.fast_path, records }, settings.connect_timeout)
    };
    shard.shared.health.sort(&mut destination.addresses, clock::now());
    let opening = DirectLeg::open(&destination, client.header, &client.to_client, way, connect_timeout);
    match connection.alarm().within(opening).await {
        Ok(Ok(leg)) => {
            counters.dc_connected.add(1);
            count(|dc| &dc.connected);
            Ok(leg)
        }
        Ok(Err(error)) => {
            for &address in &destination.addresses {
                shard.shared.health.failed(address, &error, clock::now());
            }
            counters.dc_unreachable.add(1);
            count(|dc| &dc.unreachable);
            if let Some(more) = shard.throttles.dc_unreachable.pass(clock::now()) {
                warn!(session = connection.id(), dc = %destination.dc, %error, more, "a data centre cannot be reached");
            }
            Err(CloseReason::telegram(Kind::Unreachable))
        }
        Err(expiry) => Err(connection.expired(expiry, CloseReason::telegram(Kind::Unreachable))),
    }
}
