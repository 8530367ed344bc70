//! All of Telegram on loopback: data centres, and middle proxies with the server that says where they are.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::config_server::ConfigServer;
use crate::dc::{Behaviour, Counters, DataCentre};
use crate::listener::Listener;
use crate::middle::MiddleProxies;
use crate::mtproto::{PUBLIC_KEY_PEM, RsaKey};

/// The ids of the built-in address book: the five, the one like a CDN, the three of the test environment.
pub const DC_IDS: [i16; 9] = [1, 2, 3, 4, 5, 203, 10_001, 10_002, 10_003];

/// Where Telegram is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Every data centre listens on each of these, on a port that the kernel chooses.
    pub listen: Vec<IpAddr>,
}

impl Default for Options {
    /// 127.0.0.1 alone.
    fn default() -> Self {
        Self { listen: vec![Ipv4Addr::LOCALHOST.into()] }
    }
}

/// A running Telegram. Dropping it closes every listener and every connection.
pub struct Telegram {
    dcs: BTreeMap<i16, Running>,
    listen: Vec<IpAddr>,
    middle: Option<Middle>,
}

struct Middle {
    proxies: Arc<MiddleProxies>,
    config: ConfigServer,
}

struct Running {
    dc: Arc<DataCentre>,
    listeners: Vec<Listener>,
}

impl Telegram {
    /// Starts every data centre on the current tokio runtime, of any kind.
    ///
    /// # Errors
    /// A port cannot be had on one of the addresses.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(options: &Options) -> io::Result<Self> {
        let rsa = Arc::new(RsaKey::built_in());
        let everyone = Arc::new(BTreeSet::from(DC_IDS));
        let start = |id| {
            let dc = Arc::new(DataCentre::new(id, Arc::clone(&rsa), Arc::clone(&everyone)));
            let listeners = options.listen.iter().map(|ip| dc.listen(*ip));
            Ok((id, Running { listeners: listeners.collect::<io::Result<_>>()?, dc }))
        };
        let dcs = DC_IDS.into_iter().map(start).collect::<io::Result<_>>()?;
        Ok(Self { dcs, listen: options.listen.clone(), middle: None })
    }

    /// Starts middle proxies before the data centres too, `count` for every id on every address, and the server that
    /// publishes them.
    ///
    /// # Errors
    /// A port cannot be had on one of the addresses.
    ///
    /// # Panics
    /// Outside a tokio runtime, or when the options name no address to listen on.
    pub fn with_middle_proxies(mut self, count: usize) -> io::Result<Self> {
        let behind = |dc| Arc::clone(&self.running(dc).dc);
        let proxies = Arc::new(MiddleProxies::start(&self.listen, count, behind)?);
        let first = *self.listen.first().expect("the options name an address to listen on");
        let config = ConfigServer::start(first, Arc::clone(&proxies))?;
        self.middle = Some(Middle { proxies, config });
        Ok(self)
    }

    /// The middle proxies.
    ///
    /// # Panics
    /// When it was started [without](Self::with_middle_proxies).
    #[must_use]
    pub fn middle(&self) -> &Arc<MiddleProxies> {
        &self.middle.as_ref().expect("it was started with middle proxies").proxies
    }

    /// The server that says where the middle proxies are; `None` when there are none.
    #[must_use]
    pub const fn config_server(&self) -> Option<&ConfigServer> {
        match &self.middle {
            Some(middle) => Some(&middle.config),
            None => None,
        }
    }

    /// Where the data centres are, by positive id; a media id means the same one.
    #[must_use]
    pub fn addresses(&self) -> BTreeMap<i16, Vec<SocketAddr>> {
        let addresses = |running: &Running| running.listeners.iter().map(Listener::address).collect();
        self.dcs.iter().map(|(id, running)| (*id, addresses(running))).collect()
    }

    /// The first address of a data centre.
    ///
    /// # Panics
    /// When there is no such data centre, or it listens nowhere.
    #[must_use]
    pub fn address(&self, dc: i16) -> SocketAddr {
        let first = self.running(dc).listeners.first();
        first.expect("the options name an address to listen on").address()
    }

    /// What a data centre has seen.
    ///
    /// # Panics
    /// When there is no such data centre.
    #[must_use]
    pub fn counters(&self, dc: i16) -> &Arc<Counters> {
        self.running(dc).dc.counters()
    }

    /// Changes what a data centre does with new connections, and waits until it does so. Those it has stay.
    ///
    /// # Panics
    /// When there is no such data centre.
    pub async fn set_behaviour(&self, dc: i16, behaviour: Behaviour) {
        for listener in &self.running(dc).listeners {
            listener.obey(|order| order.behaviour = behaviour).await;
        }
    }

    /// Closes every connection that a data centre has, and waits until they are closed.
    ///
    /// # Panics
    /// When there is no such data centre.
    pub async fn drop_connections(&self, dc: i16) {
        for listener in &self.running(dc).listeners {
            listener.obey(|order| order.generation += 1).await;
        }
    }

    /// The RSA key that clients have to trust: PKCS#1 in PEM.
    #[must_use]
    pub const fn public_key_pem(&self) -> &'static str {
        PUBLIC_KEY_PEM
    }

    /// Stops, and waits until every connection is closed.
    pub async fn stop(self) {
        if let Some(Middle { proxies, config }) = self.middle {
            config.stop().await;
            proxies.stop().await;
        }
        for listener in self.dcs.into_values().flat_map(|running| running.listeners) {
            listener.stop().await;
        }
    }

    fn running(&self, dc: i16) -> &Running {
        self.dcs.get(&dc).unwrap_or_else(|| panic!("there is no data centre {dc}"))
    }
}

impl std::fmt::Debug for Telegram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.addresses()).finish()
    }
}
