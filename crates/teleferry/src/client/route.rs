//! Which way a client takes to Telegram.

use std::rc::Rc;

use teleferry_proto::dc::DcId;
use tracing::warn;

use super::Connection;
use crate::backend::{Destination, DirectLeg, Exit, Leg, MiddleLeg, Passenger, Pool, RemoteLeg, Way};
use crate::clock;
use crate::config::Mode;
use crate::observe::{CloseReason, Counter, DcCounters, Kind};

/// Opens the way that the settings prefer; with `mode = "auto"` and without an ad tag the other one where that cannot be
/// had.
///
/// # Errors
/// There is no way, for this reason.
pub(crate) async fn open(connection: &Connection, passenger: &Passenger<'_>) -> Result<Leg, CloseReason> {
    let dc = passenger.header.dc;
    if let Some(backs) = connection.shard().backs() {
        connection.taken_to(dc);
        let opening = RemoteLeg::open(connection.shard(), &backs, passenger);
        return match connection.alarm().within(opening).await {
            Ok(opened) => opened.map(Leg::Remote),
            Err(expiry) => Err(connection.expired(expiry, CloseReason::telegram(Kind::Unreachable))),
        };
    }
    let route = Route::choose(connection, dc, passenger.ad_tag.is_some())?;
    connection.taken_to(route.dc(dc));
    if let Some(pool) = &route.pool {
        let can_go_direct = route.destination.is_some();
        if !(can_go_direct && pool.is_failing()) {
            match over_middle(connection, pool, passenger, can_go_direct).await {
                Err(reason) if !can_go_direct || reason != CloseReason::telegram(Kind::Unreachable) => {
                    return Err(reason);
                }
                Err(_) => pool.gave_up(),
                Ok(leg) => return Ok(Leg::Middle(leg)),
            }
        }
    }
    match route.destination {
        Some(destination) => direct(connection, passenger, destination).await.map(Leg::Direct),
        None => Err(CloseReason::telegram(Kind::Unreachable)),
    }
}

/// The ways that there are.
struct Route {
    pool: Option<Rc<Pool>>,
    destination: Option<Destination>,
}

impl Route {
    /// Only middle proxies can be told of a tag.
    fn choose(connection: &Connection, dc: DcId, has_tag: bool) -> Result<Self, CloseReason> {
        let shard = connection.shard();
        let mode = shard.settings().telegram.mode;
        let uses_middle = mode != Mode::Direct;
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
    passenger: &Passenger<'_>,
    mut destination: Destination,
) -> Result<DirectLeg, CloseReason> {
    let shard = connection.shard();
    let counters = &connection.listener().counters;
    let count = |which: fn(&DcCounters) -> &Counter| connection.dc().map_or((), |dc| which(dc).add(1));
    let (fast_path, connect_timeout) = {
        let settings = &shard.settings().telegram;
        (settings.fast_path, settings.connect_timeout)
    };
    let way = match &passenger.exit {
        Exit::Client { cipher, .. } => {
            Way::Encrypted { to_client: cipher, fast_path, records: passenger.exit.is_in_records() }
        }
        Exit::Call(_) => Way::Plain,
    };
    shard.shared.health.sort(&mut destination.addresses, clock::now());
    let opening = DirectLeg::open(&destination, passenger.header, way, connect_timeout);
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
