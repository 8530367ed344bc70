//! All pools of one shard, by data centre, as Telegram publishes them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use teleferry_proto::dc::DcId;
use tokio::sync::watch;

use super::link::Link;
use super::plan::warm_share;
use super::pool::Pool;
use crate::config::{AddressPreference, Mode};
use crate::shard::Shard;
use crate::telegram::Known;

/// The pools of one shard.
#[derive(Debug)]
pub(crate) struct Pools {
    /// What is known, now and later; `None` when middle proxies were never used.
    feed: RefCell<Option<watch::Receiver<Arc<Known>>>>,
    known: RefCell<Option<Arc<Known>>>,
    by_dc: RefCell<BTreeMap<DcId, Rc<Pool>>>,
    /// Which shard this is, and of how many.
    shard: usize,
    shards: usize,
    ticks: Cell<u32>,
}

/// Ticks after which links give back memory that they do not need: a second.
const RELAX_EVERY: u32 = 10;

impl Pools {
    /// No pools yet; they come with the [settings](Self::follow).
    pub(crate) fn new(shard: usize, shards: usize) -> Self {
        Self {
            feed: RefCell::default(),
            known: RefCell::default(),
            by_dc: RefCell::default(),
            shard,
            shards,
            ticks: Cell::new(0),
        }
    }

    /// Takes up new settings of the shard, and where news come from now.
    pub(crate) fn follow(&self, shard: &Shard, feed: Option<watch::Receiver<Arc<Known>>>) {
        self.feed.replace(feed);
        if let Some(feed) = &mut *self.feed.borrow_mut() {
            feed.mark_changed();
        }
        self.refresh(shard);
    }

    /// What is known of Telegram, when middle proxies are used.
    pub(crate) fn known(&self) -> Option<Arc<Known>> {
        self.known.borrow().clone()
    }

    /// Takes up news.
    pub(crate) fn refresh(&self, shard: &Shard) {
        let news = match &mut *self.feed.borrow_mut() {
            // An error means that nothing new ever comes; what is known stays.
            Some(feed) if feed.has_changed().unwrap_or(false) => Arc::clone(&feed.borrow_and_update()),
            Some(_) | None => return,
        };
        self.update(shard, &news);
        let before = self.known.replace(Some(Arc::clone(&news)));
        // Whoever refused us for another secret or address may take us now.
        if before.is_some_and(|before| {
            before.secret() != news.secret() || before.external_ip() != news.external_ip()
        }) {
            shard.shared.endpoints.retain(|_| false);
        }
    }

    /// Takes up news, and lets every pool do what is to be done. Says how many bytes of memory were given back.
    pub(crate) fn tick(&self, shard: &Rc<Shard>, now: Instant) -> usize {
        self.refresh(shard);
        let pools: Vec<_> = self.by_dc.borrow().values().cloned().collect();
        let relax = self.ticks.replace(self.ticks.get().wrapping_add(1)).is_multiple_of(RELAX_EVERY);
        pools.iter().for_each(|pool| pool.tick(shard, now));
        if relax { pools.iter().map(|pool| pool.relax()).sum() } else { 0 }
    }

    fn update(&self, shard: &Shard, known: &Known) {
        let settings = &shard.settings().telegram;
        // Nobody new comes over middle proxies then; links go with their last clients.
        let warm_links = if settings.mode == Mode::Direct { 0 } else { settings.links_per_dc };
        let mut pools = self.by_dc.borrow_mut();
        let published: BTreeMap<_, _> = known
            .middle_proxies()
            .iter()
            .map(|(dc, targets)| (dc, preferred(targets, settings.prefer)))
            .filter(|(_, targets)| !targets.is_empty())
            .collect();
        pools.retain(|dc, pool| {
            if !published.contains_key(dc) {
                pool.update(Vec::new(), 0);
            }
            if pool.is_over() {
                shard.shared.board.forget(*dc, self.shard);
            }
            !pool.is_over()
        });
        let everywhere = published.values().flatten().copied().collect::<std::collections::HashSet<_>>();
        shard.shared.endpoints.retain(|address| everywhere.contains(address));
        for (dc, targets) in published {
            let warm = warm_share(dc, warm_links, self.shard, self.shards);
            let pool = pools.entry(dc).or_insert_with(|| Rc::new(Pool::new(dc, self.shard)));
            pool.update(targets, warm);
        }
    }

    /// The link other than this one that has the most to encrypt.
    pub(super) fn most_laden_beside(&self, link: &Rc<Link>) -> Option<Rc<Link>> {
        let pools = self.by_dc.borrow();
        let laden = pools.values().filter_map(|pool| pool.most_laden_beside(link));
        laden.max_by_key(|link| link.unsealed())
    }

    /// The pool for an id that a client asks for: of that very id, else of its data centre.
    pub(crate) fn find(&self, dc: DcId) -> Option<Rc<Pool>> {
        let pools = self.by_dc.borrow();
        let sibling = DcId::new(dc.get().saturating_abs());
        let pool = pools.get(&dc).or_else(|| pools.get(&sibling))?;
        pool.is_published().then(|| Rc::clone(pool))
    }
}

/// The targets that may be used, the preferred family first.
fn preferred(targets: &[SocketAddr], prefer: AddressPreference) -> Vec<SocketAddr> {
    let mut targets = targets.to_vec();
    match prefer {
        AddressPreference::Ipv4 => targets.sort_by_key(SocketAddr::is_ipv6),
        AddressPreference::Ipv6 => targets.sort_by_key(SocketAddr::is_ipv4),
        AddressPreference::OnlyIpv4 => targets.retain(SocketAddr::is_ipv4),
        AddressPreference::OnlyIpv6 => targets.retain(SocketAddr::is_ipv6),
    }
    targets
}
