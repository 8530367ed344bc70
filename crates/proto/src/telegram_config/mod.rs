//! What Telegram publishes for proxies: where its middle proxies are (getProxyConfig, getProxyConfigV6), and the secret
//! shared with them (getProxySecret).

mod embedded;
mod parse;
mod secret;

use std::collections::BTreeMap;
use std::net::SocketAddr;

pub use parse::{ConfigError, MAX_CONFIG_LEN, Parsed, parse};
pub use secret::{MiddleSecret, MiddleSecretError};

use crate::dc::DcId;

/// The data centre for ids without targets, when no configuration names one.
pub const FALLBACK_DEFAULT_DC: DcId = DcId::new(embedded::DEFAULT_DC);

/// Where the middle proxies of every data centre are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TelegramConfig {
    /// The data centre for ids without targets, if it was named.
    pub default_dc: Option<DcId>,
    /// In the order of the file, without repetitions; no list is empty.
    targets: BTreeMap<DcId, Vec<SocketAddr>>,
}

impl TelegramConfig {
    /// The targets known when this was built, IPv4 and IPv6.
    #[must_use]
    pub fn embedded() -> Self {
        let mut config = Self { default_dc: Some(DcId::new(embedded::DEFAULT_DC)), targets: BTreeMap::new() };
        for &(dc, target) in embedded::TARGETS {
            config.add(DcId::new(dc), target);
        }
        config
    }

    /// Adds a target unless it is there.
    pub fn add(&mut self, dc: DcId, target: SocketAddr) {
        let targets = self.targets.entry(dc).or_default();
        if !targets.contains(&target) {
            targets.push(target);
        }
    }

    /// Adds what `other` has: the IPv6 file to the IPv4 one. Its default counts when there is none here.
    pub fn merge(&mut self, other: &Self) {
        self.default_dc = self.default_dc.or(other.default_dc);
        for (dc, targets) in other.iter() {
            targets.iter().for_each(|&target| self.add(dc, target));
        }
    }

    /// The targets for the id that a client asked for, and the id that they are listed under: its own; for a media id
    /// without own targets that of its data centre (logins work there, downloads may stall); else the default.
    #[must_use]
    pub fn find(&self, id: DcId) -> Option<(DcId, &[SocketAddr])> {
        let sibling = DcId::new(id.get().saturating_abs());
        let default = self.default_dc.unwrap_or(FALLBACK_DEFAULT_DC);
        [id, sibling, default].into_iter().find_map(|dc| Some((dc, self.targets.get(&dc)?.as_slice())))
    }

    /// Every data-centre id with its targets, by id.
    pub fn iter(&self) -> impl Iterator<Item = (DcId, &[SocketAddr])> {
        self.targets.iter().map(|(&dc, targets)| (dc, targets.as_slice()))
    }

    /// True when there is no target at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }
}
