//! Fetches every item again and again, each by itself.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join5;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::address;
use super::backoff::{Backoff, jittered};
use super::cache::Cache;
use super::item::Item;
use super::known::Known;
use super::source::{Family, Source};
use crate::config::{AddressPreference, Telegram};
use crate::sys;

/// All that is done over and over.
pub(super) struct Cycle<S> {
    pub(super) settings: Telegram,
    pub(super) source: S,
    pub(super) known: watch::Sender<Arc<Known>>,
    pub(super) cache: RefCell<Cache>,
    /// What was said already.
    pub(super) said: Said,
}

/// Waits for the next round, without what only a round needs: certificates and the code of TLS and HTTP.
async fn rest(pause: Duration) {
    sys::return_free_memory();
    // Where the system does not tell, memory is a little more.
    let _ = sys::forget_files();
    sleep(pause).await;
}

/// What is said once.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// That the copies cannot be kept.
    cache: Cell<bool>,
    /// That the clock is wrong.
    clock: Cell<bool>,
}

impl<S: Source> Cycle<S> {
    /// Does it for ever.
    pub(super) async fn run(&self) {
        // One that waits for its answer, or fails, holds up no other.
        join5(
            self.keep_item_fresh(Item::Secret),
            self.keep_item_fresh(Item::Config),
            self.keep_item_fresh(Item::ConfigV6),
            self.keep_address_fresh(Family::V4),
            self.keep_address_fresh(Family::V6),
        )
        .await;
    }

    async fn keep_item_fresh(&self, item: Item) {
        let mut backoff = Backoff::default();
        let what = format!("{} at {}", item.name(), item.url(&self.settings));
        loop {
            let fetched = self.fetch(item).await;
            let pause = self.pause(&mut backoff, fetched, &what, "what was known before stays in use");
            rest(pause).await;
        }
    }

    async fn fetch(&self, item: Item) -> Result<(), Box<dyn Error>> {
        let fetched = self.source.get(item.url(&self.settings), item.limit(), None).await?;
        let piece = item.read(&fetched.body)?;
        if self.publish(|known| known.with(piece)) {
            info!("{} is new", item.name());
        }
        self.keep_copy(item, &fetched.body);
        if let Some(seconds) = fetched.clock_offset {
            self.compare_clock(seconds);
        }
        Ok(())
    }

    async fn keep_address_fresh(&self, family: Family) {
        let (settings, name) = (&self.settings, family.name());
        let unused = match family {
            Family::V4 => AddressPreference::OnlyIpv6,
            Family::V6 => AddressPreference::OnlyIpv4,
        };
        // What the operator says is never asked for, and never overwritten.
        let configured = settings.external_ip.iter().next().is_some();
        if configured || settings.ip_lookup.is_empty() || settings.prefer == unused {
            return;
        }
        let mut backoff = Backoff::default();
        let what = format!("the {name} address under which Telegram sees this machine");
        loop {
            let found = self.find_address(family).await;
            let help =
                "set `telegram.external_ip`, else middle proxies may refuse connections from behind NAT";
            rest(self.pause(&mut backoff, found, &what, help)).await;
        }
    }

    async fn find_address(&self, family: Family) -> Result<(), Box<dyn Error>> {
        let target = {
            let known = self.known.borrow();
            let targets = known.middle_proxies().iter().flat_map(|(_, targets)| targets);
            targets.copied().find(|target| family.has(target.ip()))
        };
        let Some(own) = target.and_then(|target| self.source.own_address(target)) else {
            // No way to Telegram over this family, or none yet.
            return Ok(());
        };
        let external = if address::is_behind_nat(own) {
            Some(address::look_up(&self.source, &self.settings.ip_lookup, family).await?)
        } else {
            None
        };
        let news = self.publish(|known| {
            let addresses = address::replace(known.external_ip(), family, external);
            known.with_external_ip(addresses)
        });
        if let (true, Some(ip)) = (news, external) {
            info!(%ip, %own, "this machine is behind NAT, and Telegram sees it under another address");
        }
        Ok(())
    }

    /// How long to wait after an attempt. A failure is told once, until it changes.
    fn pause(
        &self,
        backoff: &mut Backoff,
        outcome: Result<(), Box<dyn Error>>,
        what: &str,
        consequence: &str,
    ) -> Duration {
        match outcome {
            Ok(()) => {
                if backoff.succeeded() {
                    info!("{what} can be fetched again");
                }
                jittered(self.settings.refresh)
            }
            Err(error) => {
                let told = error.to_string();
                let (pause, news) = backoff.failed(told, self.settings.refresh);
                if news {
                    warn!(%error, "{what} cannot be fetched; {consequence}");
                } else {
                    debug!(%error, "{what} still cannot be fetched");
                }
                pause
            }
        }
    }

    /// Makes something known; gives whether it was news. Only then is anybody woken.
    fn publish(&self, change: impl FnOnce(Known) -> Known) -> bool {
        self.known.send_if_modified(|known| {
            let changed = change(Known::clone(known));
            let news = changed != **known;
            if news {
                *known = Arc::new(changed);
            }
            news
        })
    }

    fn compare_clock(&self, seconds: i64) {
        // Nobody needs to be woken for it.
        self.known.send_if_modified(|known| {
            *known = Arc::new(Known::clone(known).with_clock_offset(seconds));
            false
        });
        let wrong = seconds.unsigned_abs() > MAX_CLOCK_OFFSET;
        if wrong && !self.said.clock.replace(wrong) {
            let direction = if seconds > 0 { "ahead of" } else { "behind" };
            warn!(
                "this machine's clock is {} s {direction} Telegram's, and middle proxies refuse more than {MAX_CLOCK_OFFSET} s: set the clock",
                seconds.unsigned_abs()
            );
        }
        self.said.clock.set(wrong);
    }

    fn keep_copy(&self, item: Item, bytes: &[u8]) {
        let mut cache = self.cache.borrow_mut();
        match cache.store(item, bytes) {
            Ok(true) => self.said.cache.set(false),
            Ok(false) => debug!("another process keeps the copies in the state directory"),
            Err(error) => {
                if !self.said.cache.replace(true) {
                    warn!(file = %cache.path(item).display(), %error, "what was fetched cannot be kept for the next start");
                }
            }
        }
    }
}

/// Seconds by which middle proxies let a clock be wrong.
pub(crate) const MAX_CLOCK_OFFSET: u64 = 30;

#[cfg(test)]
mod tests;
