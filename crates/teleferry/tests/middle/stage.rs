//! A simulated Telegram with middle proxies, and settings that lead there.

use std::net::{IpAddr, Ipv4Addr};

use teleferry::config::{AddressPreference, Mode, Snapshot};
use teleferry_sim::client::{Client, Protocol};
use teleferry_sim::config_server::Item;
use teleferry_sim::middle::{LinkInfo, MiddleProxies};
use teleferry_sim::telegram::{self, Telegram};
use tempfile::TempDir;

use crate::common::{Proxy, keep_published, settings, soon};

/// Telegram with middle proxies.
pub(super) struct Stage {
    pub(super) telegram: Telegram,
    /// Keeps what Telegram publishes, so that a proxy never looks for it elsewhere.
    state: TempDir,
}

impl Stage {
    /// With one middle proxy for each id, on 127.0.0.1.
    pub(super) fn new() -> Self {
        Self::with(1, &[Ipv4Addr::LOCALHOST.into()])
    }

    /// With `count` middle proxies for each id on each address.
    pub(super) fn with(count: usize, listen: &[IpAddr]) -> Self {
        let telegram = Telegram::start(&telegram::Options { listen: listen.to_vec() })
            .and_then(|telegram| telegram.with_middle_proxies(count))
            .expect("loopback has room");
        Self { telegram, state: tempfile::tempdir().expect("a directory") }
    }

    pub(super) fn middle(&self) -> &MiddleProxies {
        self.telegram.middle()
    }

    /// Settings with one listener, one worker, middle proxies alone, and one warm link for each data centre.
    pub(super) fn settings(&self) -> Snapshot {
        keep_published(&self.telegram, self.state.path());
        let mut snapshot = settings(&self.telegram);
        snapshot.server.workers = 1;
        snapshot.server.state_dir = self.state.path().to_owned();
        let server = self.telegram.config_server().expect("it has one");
        let url = |item| server.url(item).parse().expect("a URL");
        let telegram = &mut snapshot.telegram;
        telegram.mode = Mode::Middle;
        telegram.proxy_secret_url = url(Item::Secret);
        telegram.proxy_config_url = url(Item::Config);
        telegram.proxy_config_v6_url = url(Item::ConfigV6);
        telegram.ip_lookup.clear();
        telegram.prefer = AddressPreference::OnlyIpv4;
        telegram.links_per_dc = 1;
        snapshot
    }

    pub(super) fn proxy(&self) -> Proxy {
        Proxy::start(self.settings())
    }

    /// The open links to the middle proxies of an id.
    pub(super) fn links(&self, dc: i16) -> Vec<LinkInfo> {
        self.middle().links().into_iter().filter(|link| link.dc == dc).collect()
    }

    /// No rule of the protocol was broken.
    pub(super) fn assert_no_violations(&self) {
        assert_eq!(self.middle().counters().violations(), [].into());
    }
}

/// The number of the link that a client is on.
pub(super) async fn link_of(client: &mut Client) -> u64 {
    let report = soon(client.report()).await.expect("a report");
    report.middle.expect("it came over a middle proxy").link
}

/// A client of DC 2 that has been answered something.
pub(super) async fn settled(proxy: &Proxy, protocol: Protocol) -> Client {
    let mut client = proxy.client(protocol).await;
    soon(client.echo(vec![1; 64])).await.expect("echo");
    client
}
