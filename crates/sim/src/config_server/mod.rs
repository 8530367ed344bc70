//! What proxies fetch from Telegram over HTTP: the secret of the middle proxies and where these are; and a service that
//! says from where one is seen.
//!
//! The lists are written from the running endpoints at every request. Each item can be made to fail in its own way.

mod http;

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::counters::counters;
use crate::listener::{Accepted, Behaviour, Listener};
use crate::middle::{Endpoint, MiddleProxies};

/// Something that can be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Item {
    /// The secret that middle proxies share with proxies.
    Secret,
    /// Where the middle proxies are, by IPv4.
    Config,
    /// Where the middle proxies are, by IPv6.
    ConfigV6,
    /// The address that the request comes from.
    Ip,
}

/// How requests for an item are answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Answer {
    /// With what was asked for.
    #[default]
    Right,
    /// With this body, and status 200.
    Body(Vec<u8>),
    /// With a web page about an error, and status 200.
    Html,
    /// With this status, and a web page.
    Status(u16),
    /// With bytes that mean nothing, and status 200.
    Garbage,
    /// As it should be, but only after this long.
    Slow(Duration),
    /// With half of the body that was announced.
    Truncated,
    /// Not at all, until the other side has had enough.
    Silent,
}

counters! {
    /// How often each item was asked for, live.
    Counters {}
    /// How often each item was asked for, at one moment.
    Counts {
    /// [`Item::Secret`].
    secret,
    /// [`Item::Config`].
    config,
    /// [`Item::ConfigV6`].
    config_v6,
    /// [`Item::Ip`].
    ip,
    /// Anything else, and what is no request.
    other,
    /// Answers written to the end.
    answered,
    }
}

/// A running server. Dropping it ends it.
pub struct ConfigServer {
    shared: Arc<Shared>,
    listener: Listener,
}

impl Item {
    /// All items.
    pub const ALL: [Self; 4] = [Self::Secret, Self::Config, Self::ConfigV6, Self::Ip];

    /// Its path; Telegram's own, where it is Telegram's.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Secret => "/getProxySecret",
            Self::Config => "/getProxyConfig",
            Self::ConfigV6 => "/getProxyConfigV6",
            Self::Ip => "/ip",
        }
    }
}

impl ConfigServer {
    /// Starts it on a port that the kernel chooses.
    pub(crate) fn start(ip: IpAddr, proxies: Arc<MiddleProxies>) -> io::Result<Self> {
        let shared = Arc::new(Shared { proxies, answers: Mutex::default(), counters: Counters::default() });
        let served = Arc::clone(&shared);
        let listener = Listener::start(ip, move |Accepted { stream, peer, .. }, behaviour| {
            (behaviour == Behaviour::Serve).then(|| http::serve(stream, peer, Arc::clone(&served)))
        })?;
        Ok(Self { shared, listener })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Where an item is.
    #[must_use]
    pub fn url(&self, item: Item) -> String {
        format!("http://{}{}", self.address(), item.path())
    }

    /// Changes how requests for an item are answered.
    pub fn set(&self, item: Item, answer: Answer) {
        self.shared.answers.lock().unwrap_or_else(PoisonError::into_inner)[item as usize] = answer;
    }

    /// Takes connections (`true`), or refuses them; waits until it does so.
    pub async fn listen(&self, listening: bool) {
        let behaviour = if listening { Behaviour::Serve } else { Behaviour::Refuse };
        self.listener.obey(|order| order.behaviour = behaviour).await;
    }

    /// How often each item was asked for.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    pub(crate) async fn stop(self) {
        self.listener.stop().await;
    }
}

impl std::fmt::Debug for ConfigServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigServer").field("address", &self.address()).finish_non_exhaustive()
    }
}

/// What all requests share.
struct Shared {
    proxies: Arc<MiddleProxies>,
    /// By item.
    answers: Mutex<[Answer; Item::ALL.len()]>,
    counters: Counters,
}

impl Shared {
    /// Counts a request, and says how it is answered.
    fn asked(&self, item: Item) -> Answer {
        match item {
            Item::Secret => self.counters.secret.bump(),
            Item::Config => self.counters.config.bump(),
            Item::ConfigV6 => self.counters.config_v6.bump(),
            Item::Ip => self.counters.ip.bump(),
        }
        self.counters.publish();
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)[item as usize].clone()
    }

    /// What was asked for.
    fn content(&self, item: Item, peer: SocketAddr) -> Vec<u8> {
        match item {
            Item::Secret => self.proxies.secret().as_bytes().to_vec(),
            Item::Config => config(&self.proxies.endpoints(), false).into_bytes(),
            Item::ConfigV6 => config(&self.proxies.endpoints(), true).into_bytes(),
            Item::Ip => format!("{}\n", peer.ip().to_canonical()).into_bytes(),
        }
    }
}

/// The published endpoints of one address family, in the style of the real files: sorted by data centre, the default one
/// only named in the first, IPv6 written out in full.
fn config(endpoints: &[Endpoint], v6: bool) -> String {
    let mut text = "# force_probability 10 10\n".to_owned();
    if !v6 {
        text += "default 2;\n";
    }
    let mut published: Vec<&Endpoint> = endpoints.iter().filter(|endpoint| endpoint.published).collect();
    published.sort_by_key(|endpoint| (endpoint.dc.saturating_abs(), endpoint.dc < 0, endpoint.address));
    for Endpoint { dc, address, .. } in published {
        let port = address.port();
        // Writing to a string cannot fail.
        let _ = match address.ip() {
            IpAddr::V4(ip) if !v6 => writeln!(text, "proxy_for {dc} {ip}:{port};"),
            IpAddr::V6(ip) if v6 => {
                let groups: Vec<String> = ip.segments().iter().map(|group| format!("{group:04x}")).collect();
                writeln!(text, "proxy_for {dc} [{}]:{port};", groups.join(":"))
            }
            _ => continue,
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use teleferry_proto::telegram_config::parse;

    use super::*;

    #[test]
    fn lists_are_what_is_published() {
        let endpoint =
            |dc, address: &str, published| Endpoint { dc, address: address.parse().unwrap(), published };
        let endpoints = [
            endpoint(-1, "127.0.0.1:1001", true),
            endpoint(2, "127.0.0.1:1002", false),
            endpoint(2, "127.0.0.1:1003", true),
            endpoint(1, "[::1]:1004", true),
            endpoint(1, "127.0.0.1:1005", true),
        ];
        let v4 = config(&endpoints, false);
        assert_eq!(
            v4,
            "# force_probability 10 10\ndefault 2;\nproxy_for 1 127.0.0.1:1005;\nproxy_for -1 127.0.0.1:1001;\n\
             proxy_for 2 127.0.0.1:1003;\n"
        );
        let v6 = config(&endpoints, true);
        assert!(v6.ends_with("\nproxy_for 1 [0000:0000:0000:0000:0000:0000:0000:0001]:1004;\n"), "{v6}");
        for text in [v4, v6] {
            let parsed = parse(text.as_bytes()).unwrap();
            assert_eq!((parsed.bad, parsed.ignored), (0, 0));
        }
    }
}
