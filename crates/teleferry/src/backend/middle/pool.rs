//! The links of one shard to the middle proxies of one data centre, and the clients that wait for one.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use teleferry_proto::dc::DcId;
use teleferry_proto::middle::{Middle, Setup};
use teleferry_proto::rpc::ProcessId;
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tracing::{debug, info, warn};

use super::link::{Cause, Link};
use super::plan::{Stock, Target};
use super::port::Port;
use super::turn::Turns;
use crate::clock;
use crate::entropy;
use crate::net::dial;
use crate::shard::Shard;
use crate::telegram::Known;

/// How long clients whose link went away wait for another.
const MOVING_TIME: Duration = Duration::from_millis(900);
/// While a link is under way for less than this, clients wait for it rather than crowd the others: nobody would take them off
/// again. Several round trips to a middle proxy.
const ROOM_TIME: Duration = Duration::from_millis(450);
/// Links have to be too many for this long before one is let go.
const SURPLUS_AFTER: Duration = Duration::from_secs(10);
/// While clients wait, another endpoint is tried beside one that has not answered for this long.
const HEDGE_AFTER: Duration = Duration::from_secs(1);

/// The links of one shard to one data centre.
#[derive(Debug)]
pub(crate) struct Pool {
    dc: DcId,
    /// Whose it is.
    shard: usize,
    /// Where its middle proxies are, the preferred family first; none once the data centre is not published any more.
    endpoints: RefCell<Vec<SocketAddr>>,
    /// Links that are kept whether there are clients or not.
    warm: Cell<usize>,
    links: RefCell<Vec<Rc<Link>>>,
    /// Clients without a link.
    waiting: RefCell<Vec<Rc<Port>>>,
    /// No link takes clients, and the last attempt failed.
    failing: Cell<bool>,
    /// Since when there are too many links.
    surplus_since: Cell<Option<Instant>>,
    /// Where to begin among endpoints that are as good as each other.
    rotation: Cell<usize>,
    /// How many links take clients, as the board was last told.
    told: Cell<Option<usize>>,
}

impl Pool {
    /// A pool without links. Shards begin at different endpoints.
    pub(super) fn new(dc: DcId, shard: usize) -> Self {
        Self {
            dc,
            shard,
            endpoints: RefCell::default(),
            warm: Cell::new(0),
            links: RefCell::default(),
            waiting: RefCell::default(),
            failing: Cell::new(false),
            surplus_since: Cell::new(None),
            rotation: Cell::new(shard),
            told: Cell::new(None),
        }
    }

    /// The data centre's id as it is published.
    pub(crate) const fn dc(&self) -> DcId {
        self.dc
    }

    /// From now on the middle proxies are at these addresses, and so many links are kept warm.
    pub(super) fn update(&self, endpoints: Vec<SocketAddr>, warm: usize) {
        for link in &*self.links.borrow() {
            if !endpoints.contains(&link.endpoint()) {
                link.retire();
            }
        }
        *self.endpoints.borrow_mut() = endpoints;
        self.warm.set(warm);
    }

    /// True while Telegram publishes middle proxies for it.
    pub(super) fn is_published(&self) -> bool {
        !self.endpoints.borrow().is_empty()
    }

    /// True when nothing is left of it, and nothing published.
    pub(super) fn is_over(&self) -> bool {
        self.endpoints.borrow().is_empty()
            && self.links.borrow().is_empty()
            && self.waiting.borrow().is_empty()
    }

    /// True when there is no use in waiting for a link.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.get()
    }

    /// Nobody waits any longer: for a while there is no use in it.
    pub(crate) fn gave_up(&self) {
        if !self.links.borrow().iter().any(|link| link.takes_clients()) {
            self.failing.set(true);
        }
    }

    /// A client comes. It gets a link, now or when there is one.
    pub(super) fn join(self: &Rc<Self>, shard: &Rc<Shard>, port: &Rc<Port>, now: Instant) {
        // Nearly always there is room, and nothing else to be done.
        let room = shard.settings().telegram.clients_per_link;
        if self.waiting.borrow().is_empty()
            && let Some(link) = self.emptiest().filter(|link| link.clients() < room)
            && port.place_on(&link, now)
        {
            shard.links().placed.add(1);
            return;
        }
        self.waiting.borrow_mut().push(Rc::clone(port));
        self.tend(shard, now);
    }

    /// A tick has passed.
    pub(super) fn tick(self: &Rc<Self>, shard: &Rc<Shard>, now: Instant) {
        self.links.borrow().iter().for_each(|link| link.tell_closed());
        self.tend(shard, now);
    }

    /// Does what is to be done: clients that wait get links, links that are missing are begun, those that are of no use end.
    pub(super) fn tend(self: &Rc<Self>, shard: &Rc<Shard>, now: Instant) {
        if self.emptiest().is_some() && self.failing.replace(false) {
            info!(dc = %self.dc, "middle proxies of a data centre can be used again");
        }
        self.replace_suspects();
        self.grow(shard, now);
        self.settle(shard, now);
        self.shrink(shard, now);
        for link in &*self.links.borrow() {
            link.tell();
            if link.is_proven(now) {
                shard.shared.endpoints.proven(link.endpoint());
            }
        }
        let ready = self.stock().ready;
        if self.told.replace(Some(ready)) != Some(ready) {
            shard.shared.board.tell(self.dc, self.shard, ready);
        }
    }

    /// Gives back memory that its links did not need since this was called last: so many bytes.
    pub(super) fn relax(&self) -> usize {
        self.links.borrow().iter().map(|link| link.relax()).sum()
    }

    /// Gives those who wait a link, and up on those who waited too long.
    fn settle(&self, shard: &Shard, now: Instant) {
        if self.waiting.borrow().is_empty() {
            return;
        }
        let mut waiting = self.waiting.take();
        let room = if self.is_link_coming(now) { self.target(shard).room() } else { usize::MAX };
        waiting.retain(|port| {
            let late = port.late(now);
            let link = self.emptiest().filter(|link| link.clients() < room || late.is_some());
            if let Some(link) = link
                && port.place_on(&link, now)
            {
                shard.links().placed.add(1);
            } else if let Some(reason) = late {
                port.finish(Err(reason));
                shard.links().stranded.add(1);
                return false;
            }
            port.is_waiting()
        });
        self.waiting.borrow_mut().append(&mut waiting);
    }

    /// Whether another link will be there so soon that it is worth waiting for it.
    fn is_link_coming(&self, now: Instant) -> bool {
        let young = |link: &Rc<Link>| now.saturating_duration_since(link.begun()) < ROOM_TIME;
        self.links.borrow().iter().any(|link| link.is_connecting() && young(link))
    }

    /// The link with the fewest clients of those that take some.
    fn emptiest(&self) -> Option<Rc<Link>> {
        let links = self.links.borrow();
        links.iter().filter(|link| link.takes_clients()).min_by_key(|link| link.clients()).cloned()
    }

    /// The link other than this one that has the most to encrypt.
    pub(super) fn most_laden_beside(&self, link: &Rc<Link>) -> Option<Rc<Link>> {
        let links = self.links.borrow();
        links.iter().filter(|other| !Rc::ptr_eq(other, link)).max_by_key(|other| other.unsealed()).cloned()
    }

    /// Ends links that answer nothing, once their clients have somewhere to go.
    fn replace_suspects(&self) {
        let links = self.links.borrow();
        let another = links.iter().any(|link| link.takes_clients());
        for link in links.iter().filter(|link| link.is_suspect()) {
            if another || link.clients() == 0 {
                link.end(Cause::Suspect);
            }
        }
    }

    fn stock(&self) -> Stock {
        let links = self.links.borrow();
        // Whoever is on a link that retires has its place there.
        let staying = links.iter().filter(|link| !link.is_retiring());
        Stock {
            clients: staying.map(|link| link.clients()).sum::<usize>() + self.waiting.borrow().len(),
            ready: links.iter().filter(|link| link.takes_clients()).count(),
            connecting: links.iter().filter(|link| link.is_connecting()).count(),
        }
    }

    fn target(&self, shard: &Shard) -> Target {
        let clients_per_link = shard.settings().telegram.clients_per_link;
        // Whoever goes direct meanwhile asks for no link: one is tried for until there is one.
        let warm = self.warm.get().max(self.failing.get().into());
        Target { warm, clients_per_link }
    }

    /// Begins the links that are missing, as far as endpoints may be tried. Those that were to go come first.
    fn grow(self: &Rc<Self>, shard: &Rc<Shard>, now: Instant) {
        self.recall(shard);
        let missing = self.target(shard).missing(self.stock());
        let wanted = missing + usize::from(missing == 0 && self.is_stuck(now));
        for _ in 0..wanted {
            let Some(endpoint) = self.next_endpoint(shard, now) else { break };
            let link = Rc::new(Link::new(self.dc, endpoint, shard.counters(), now));
            self.links.borrow_mut().push(Rc::clone(&link));
            spawn_local(drive(Rc::clone(shard), Rc::clone(self), link));
        }
    }

    /// Has links stay that were to go, when some are missing.
    fn recall(&self, shard: &Shard) {
        let endpoints = self.endpoints.borrow();
        let links = self.links.borrow();
        let mut leaving: Vec<_> =
            links.iter().filter(|link| link.could_stay() && endpoints.contains(&link.endpoint())).collect();
        if leaving.is_empty() {
            return;
        }
        leaving.sort_by_key(|link| link.clients());
        let clients: Vec<_> = leaving.iter().map(|link| link.clients()).collect();
        let recalled = self.target(shard).recalled(self.stock(), &clients);
        leaving.into_iter().take(recalled).for_each(|link| link.stay());
    }

    /// Clients wait, and the only links under way take long.
    fn is_stuck(&self, now: Instant) -> bool {
        let links = self.links.borrow();
        let slow = |link: &Rc<Link>| now.saturating_duration_since(link.begun()) >= HEDGE_AFTER;
        !self.waiting.borrow().is_empty()
            && links.len() < 2 * self.endpoints.borrow().len()
            && links.iter().filter(|link| link.is_connecting()).all(slow)
            && !links.iter().any(|link| link.takes_clients())
    }

    /// The endpoint for the next link: the family that is preferred, then the one with the fewest links, in turn.
    fn next_endpoint(&self, shard: &Shard, now: Instant) -> Option<SocketAddr> {
        let memory = &shard.shared.endpoints;
        let endpoints = self.endpoints.borrow();
        let first_is_v4 = endpoints.first()?.is_ipv4();
        let links = self.links.borrow();
        let rotation = self.rotation.replace(self.rotation.get().wrapping_add(1));
        let (_, best) =
            endpoints.iter().enumerate().filter(|(_, endpoint)| memory.is_open(**endpoint, now)).min_by_key(
                |(index, endpoint)| {
                    let there = links.iter().filter(|link| link.endpoint() == **endpoint);
                    let (dead, alive): (Vec<_>, Vec<_>) = there.partition(|link| link.is_suspect());
                    let place = index.wrapping_add(rotation) % endpoints.len();
                    (endpoint.is_ipv4() != first_is_v4, dead.len(), alive.len(), place)
                },
            )?;
        memory.begin(*best, now).then_some(*best)
    }

    /// Lets go of links that are not needed, once that has been so for a while.
    fn shrink(&self, shard: &Shard, now: Instant) {
        let long_ago = |since: Instant| now.saturating_duration_since(since) >= SURPLUS_AFTER;
        let surplus = self.target(shard).surplus(self.stock());
        let since = (surplus > 0).then(|| self.surplus_since.get().unwrap_or(now));
        self.surplus_since.set(since);
        let links = self.links.borrow();
        // Of several with as few clients, one of those that share a middle proxy: the others stay spread.
        let beside = |link: &Link| links.iter().filter(|other| other.endpoint() == link.endpoint()).count();
        let few = |link: &&Rc<Link>| (link.clients(), Reverse(beside(link)));
        if since.is_some_and(long_ago)
            && let Some(link) = links.iter().filter(|link| link.takes_clients()).min_by_key(few)
        {
            link.retire();
        }
        for link in links.iter().filter(|link| link.is_retiring() && link.is_idle()) {
            link.end(Cause::Surplus);
        }
    }

    /// A link has ended: its clients go on to others, with what certainly did not arrive.
    fn lost(self: &Rc<Self>, shard: &Rc<Shard>, link: &Rc<Link>, cause: &Cause) {
        let now = clock::now();
        self.links.borrow_mut().retain(|other| !Rc::ptr_eq(other, link));
        self.judge(shard, link, cause, now);
        let until = now + MOVING_TIME;
        for (port, unsent) in link.dissolve() {
            port.uproot(shard.moment(), until, unsent, shard.shared.memory.part());
            self.waiting.borrow_mut().push(port);
            shard.links().uprooted.add(1);
        }
        self.tend(shard, now);
    }

    /// What the end of a link says of its middle proxy.
    fn judge(&self, shard: &Shard, link: &Link, cause: &Cause, now: Instant) {
        let (dc, endpoint) = (self.dc, link.endpoint());
        if link.was_ready() {
            shard.links().closed.add(1);
            debug!(%dc, %endpoint, clients = link.clients(), "a link ended: {cause}");
        } else {
            shard.links().failed.add(1);
            debug!(%dc, %endpoint, "no link to a middle proxy: {cause}");
        }
        let blamed = matches!(cause, Cause::Suspect) || !link.is_proven(now);
        if !cause.is_failure() || !blamed {
            return;
        }
        shard.shared.endpoints.failed(endpoint, now);
        shard.shared.board.failed(dc, format!("{endpoint}: {cause}"));
        if !self.links.borrow().iter().any(|link| link.takes_clients())
            && !self.failing.replace(true)
            && let Some(more) = shard.throttles.middle_unusable.pass(now)
        {
            warn!(%dc, %endpoint, more, "no middle proxy of a data centre can be used: {cause}");
        }
    }
}

/// The task of a link: connects, runs it, and tells the pool of its end.
async fn drive(shard: Rc<Shard>, pool: Rc<Pool>, link: Rc<Link>) {
    let cause = match connect(&shard, &link).await {
        Ok(stream) => Turns::new(Rc::clone(&shard), Rc::clone(&pool), Rc::clone(&link), stream).run().await,
        Err(cause) => cause,
    };
    pool.lost(&shard, &link, &cause);
}

async fn connect(shard: &Shard, link: &Link) -> Result<TcpStream, Cause> {
    let (connect_timeout, crc32c) = {
        let settings = &shard.settings().telegram;
        (settings.connect_timeout, settings.crc32c)
    };
    let (stream, middle) =
        dial(&[link.endpoint()], connect_timeout).await.map_err(|error| Cause::Connect(error.last))?;
    let own = stream.local_addr().map_err(Cause::Broken)?;
    let known = shard.pools.known().ok_or(Cause::Surplus)?;
    let setup = Setup {
        secret: known.secret().clone(),
        proxy: seen_from_outside(own, &known),
        middle,
        unix_time: clock::unix_time() as u32,
        process: ProcessId::ANONYMOUS,
        peer: ProcessId::ANONYMOUS,
        crc32c,
        entropy: entropy::array(),
    };
    link.connected(Middle::new(clock::now(), setup));
    Ok(stream)
}

/// One of our addresses as Telegram sees it: NAT is known to change the IP, and hoped to leave the port.
pub(super) fn seen_from_outside(own: SocketAddr, known: &Known) -> SocketAddr {
    let external = known.external_ip();
    let own = SocketAddr::new(own.ip().to_canonical(), own.port());
    let ip = match own {
        SocketAddr::V4(_) => external.v4.map(IpAddr::V4),
        SocketAddr::V6(_) => external.v6.map(IpAddr::V6),
    };
    SocketAddr::new(ip.unwrap_or_else(|| own.ip()), own.port())
}
