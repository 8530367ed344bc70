//! Simulated middle proxies, for every data-centre id that has any: they carry many clients a link, check every field of
//! what a proxy says, and misbehave when told to.
//!
//! Behind them are the same data centres that listen for direct connections: same keys, same answers, same test
//! commands. [`MiddleProxies::counters`] says what was seen and which rules were broken, [`MiddleProxies::links`] what is
//! open; [`MiddleProxies::configure`] and [`MiddleProxies::tell`] change what happens, while it runs.

mod check;
mod clients;
mod cluster;
mod counters;
mod link;
mod registry;
mod settings;
mod violation;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

pub use counters::{Counters, Counts};
pub use registry::{ClientInfo, LinkInfo, LinkState, Order};
pub use settings::{ExpectedTag, Settings};
pub use teleferry_proto::middle::server::Conduct;
use teleferry_proto::telegram_config::MiddleSecret;
use tokio::sync::oneshot;
pub use violation::Violation;

use self::cluster::Cluster;
use self::registry::{Content, Registry};
use crate::dc::{Behaviour, DataCentre};
use crate::listener::Listener;

/// The ids that have middle proxies: the five and the one like a CDN, each also for media.
pub const DC_IDS: [i16; 12] = [1, 2, 3, 4, 5, 203, -1, -2, -3, -4, -5, -203];

/// One middle proxy: where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// The data-centre id that it is for; negative for media.
    pub dc: i16,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it is in the published configuration.
    pub published: bool,
}

/// Running middle proxies. Dropping them closes every link.
pub struct MiddleProxies {
    clusters: BTreeMap<i16, Arc<Cluster>>,
    registry: Arc<Registry>,
    endpoints: Mutex<BTreeMap<SocketAddr, Running>>,
}

struct Running {
    dc: i16,
    published: bool,
    listener: Arc<Listener>,
}

impl MiddleProxies {
    /// Starts `count` for every id on each of `listen`.
    pub(crate) fn start(
        listen: &[IpAddr],
        count: usize,
        data_centre: impl Fn(i16) -> Arc<DataCentre>,
    ) -> io::Result<Self> {
        let registry = Arc::<Registry>::default();
        let cluster = |dc: i16| {
            (dc, Arc::new(Cluster::new(dc, data_centre(dc.saturating_abs()), Arc::clone(&registry))))
        };
        let clusters = DC_IDS.into_iter().map(cluster).collect();
        let proxies = Self { clusters, registry, endpoints: Mutex::default() };
        for dc in DC_IDS {
            for ip in listen.iter().flat_map(|&ip| std::iter::repeat_n(ip, count)) {
                proxies.add_endpoint(dc, ip)?;
            }
        }
        Ok(proxies)
    }

    /// Every middle proxy that is there.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        let endpoint = |(&address, running): (&SocketAddr, &Running)| Endpoint {
            dc: running.dc,
            address,
            published: running.published,
        };
        endpoints.iter().map(endpoint).collect()
    }

    /// Starts another one, and publishes it; says where it is.
    ///
    /// # Errors
    /// A port cannot be had on this address.
    ///
    /// # Panics
    /// When there are no middle proxies for this id, or outside a tokio runtime.
    pub fn add_endpoint(&self, dc: i16, ip: IpAddr) -> io::Result<SocketAddr> {
        let listener = Arc::new(self.cluster(dc).listen(ip)?);
        let address = listener.address();
        let running = Running { dc, published: true, listener };
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner).insert(address, running);
        Ok(address)
    }

    /// Publishes one no longer, or again. It serves on.
    pub fn publish(&self, endpoint: SocketAddr, published: bool) {
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = endpoints.get_mut(&endpoint) {
            running.published = published;
        }
    }

    /// Ends one with all its links, and waits until they are closed. It is published no longer.
    pub async fn remove_endpoint(&self, endpoint: SocketAddr) {
        let removed = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner).remove(&endpoint);
        if let Some(running) = removed {
            running.listener.close().await;
        }
    }

    /// Changes what all middle proxies of an id do with new links, and waits until they do so. Those they have stay.
    ///
    /// # Panics
    /// When there are no middle proxies for this id.
    pub async fn set_behaviour(&self, dc: i16, behaviour: Behaviour) {
        let _ = self.cluster(dc);
        for listener in self.listeners(|running| running.dc == dc) {
            listener.obey(|order| order.behaviour = behaviour).await;
        }
    }

    /// Changes what one middle proxy does with new links, and waits until it does so. Those it has stay.
    pub async fn set_endpoint_behaviour(&self, endpoint: SocketAddr, behaviour: Behaviour) {
        for listener in self.listeners(|running| running.listener.address() == endpoint) {
            listener.obey(|order| order.behaviour = behaviour).await;
        }
    }

    /// Changes the settings for all ids, and waits until every link goes by them.
    pub async fn configure(&self, change: impl Fn(&mut Settings)) {
        for dc in DC_IDS {
            self.configure_dc(dc, &change).await;
        }
    }

    /// Changes the settings for one id, and waits until every link goes by them.
    ///
    /// # Panics
    /// When there are no middle proxies for this id.
    pub async fn configure_dc(&self, dc: i16, change: impl FnOnce(&mut Settings)) {
        let settings = self.cluster(dc).configure(change);
        for link in self.links().iter().filter(|link| link.dc == dc) {
            // A link that has gone needs no settings.
            let _ = self.registry.post(link.number, Content::Settings(Arc::clone(&settings))).await;
        }
    }

    /// The settings for new links of an id.
    ///
    /// # Panics
    /// When there are no middle proxies for this id.
    #[must_use]
    pub fn settings(&self, dc: i16) -> Arc<Settings> {
        self.cluster(dc).settings()
    }

    /// The secret that is published: that of the first id.
    #[must_use]
    pub fn secret(&self) -> MiddleSecret {
        self.settings(DC_IDS[0]).secret.clone()
    }

    /// What was seen.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.registry.counters
    }

    /// The links that are open, by their numbers.
    #[must_use]
    pub fn links(&self) -> Vec<LinkInfo> {
        self.registry.links()
    }

    /// Waits until the open links fulfil a condition, and gives them.
    pub async fn wait_for_links(&self, condition: impl Fn(&[LinkInfo]) -> bool) -> Vec<LinkInfo> {
        self.registry.wait_for_links(condition).await
    }

    /// Gives an order to a link and waits until it is obeyed: what is to be sent is queued then, and a link that is to end
    /// carries nobody any more. `false`: there is no such
    /// link any more.
    ///
    /// # Panics
    /// When the order is to send what no frame can carry.
    pub async fn tell(&self, link: u64, order: Order) -> bool {
        order.assert_possible();
        self.registry.post(link, Content::Order(order)).await
    }

    /// Gives an order to every link of an id that is open now; says how many obeyed.
    ///
    /// # Panics
    /// When the order is to send what no frame can carry.
    pub async fn tell_all(&self, dc: i16, order: &Order) -> usize {
        let mut obeyed = 0;
        for link in self.links().iter().filter(|link| link.dc == dc) {
            obeyed += usize::from(self.tell(link.number, order.clone()).await);
        }
        obeyed
    }

    /// The clients on a link, by their connection ids; `None` when there is no such link any more.
    pub async fn clients(&self, link: u64) -> Option<Vec<ClientInfo>> {
        let (answer, answered) = oneshot::channel();
        if !self.registry.post(link, Content::Roll(answer)).await {
            return None;
        }
        let mut clients = answered.await.ok()?;
        clients.sort_unstable_by_key(|client| client.conn);
        Some(clients)
    }

    /// Ends all, and waits until every link is closed.
    pub(crate) async fn stop(&self) {
        for listener in self.listeners(|_| true) {
            listener.close().await;
        }
    }

    fn listeners(&self, which: impl Fn(&Running) -> bool) -> Vec<Arc<Listener>> {
        let endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        endpoints
            .values()
            .filter(|running| which(running))
            .map(|running| Arc::clone(&running.listener))
            .collect()
    }

    fn cluster(&self, dc: i16) -> &Arc<Cluster> {
        self.clusters.get(&dc).unwrap_or_else(|| panic!("there are no middle proxies for the id {dc}"))
    }
}

impl std::fmt::Debug for MiddleProxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.endpoints()).finish()
    }
}
