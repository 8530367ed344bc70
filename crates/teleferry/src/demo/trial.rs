//! One client: through one protocol to one data centre.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use teleferry_proto::secret::SecretKey;
use teleferry_sim::client::{Client, ClientError, Options, Protocol};
use teleferry_sim::command::Send;

use crate::clock;

/// Ids that clients ask for: the five, their media connections, the CDN-like one, the test environment.
pub(super) const DCS: [i16; 14] = [1, 2, 3, 4, 5, -1, -2, -3, -4, -5, 203, 10_001, 10_002, 10_003];

/// Those of them that have middle proxies: the test environment has none.
pub(super) const WITH_MIDDLE_PROXIES: [i16; 11] = [1, 2, 3, 4, 5, -1, -2, -3, -4, -5, 203];

/// What a client downloads: 1 MiB.
const DOWNLOAD: Send = Send { count: 16, size: 64 << 10, seed: 1 };

/// What one client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trial {
    pub(super) protocol: Protocol,
    pub(super) dc: i16,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is still running, or has not begun.
    Pending,
    /// Everything came as it should, in this time.
    Passed(Duration),
    /// Why not.
    Failed(String),
}

impl Trial {
    /// Every protocol with each of these data centres, those of one protocol together.
    pub(super) fn all(dcs: &[i16]) -> Vec<Self> {
        let of_protocol = |protocol| dcs.iter().map(move |&dc| Self { protocol, dc });
        Protocol::ALL.into_iter().flat_map(of_protocol).collect()
    }

    /// Does it.
    pub(super) async fn play(&self, proxy: SocketAddr, key: &SecretKey) -> Outcome {
        let start = clock::now();
        match self.steps(proxy, key).await {
            Ok(()) => Outcome::Passed(clock::now().duration_since(start)),
            Err((step, error)) => Outcome::Failed(format!("{step}: {error}")),
        }
    }

    async fn steps(&self, proxy: SocketAddr, key: &SecretKey) -> Result<(), (&'static str, ClientError)> {
        let options = Options::new(self.protocol, Some(key.clone())).with_dc(self.dc);
        let mut client = Client::dial(proxy, &options).await.map_err(|error| ("handshake", error))?;
        client.req_pq().await.map_err(|error| ("key exchange", error))?;
        client.echo_with_quick_ack(vec![7; 1000]).await.map_err(|error| ("echo", error))?;
        client.download(DOWNLOAD).await.map_err(|error| ("download", error))
    }
}

/// A protocol's name for people.
pub(super) const fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Abridged => "plain, abridged",
        Protocol::Intermediate => "plain, intermediate",
        Protocol::Padded => "dd (padded)",
        Protocol::FakeTls => "ee (fake TLS)",
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to DC {}", name(self.protocol), self.dc)
    }
}
