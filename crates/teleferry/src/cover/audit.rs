//! The cover site looked at from a command, without a server.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use teleferry_proto::fake_tls::greeting::Shape;
use teleferry_proto::fake_tls::profile::Observation;
use teleferry_proto::secret::HostName;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::keeper;
use super::learn::{Verdict, sample};
use super::own::Own;
use super::site::{Places, SiteError, clients_names};
use crate::config::Snapshot;

/// A flight is over when nothing has come for as long.
const SILENCE: Duration = Duration::from_millis(500);
/// For a whole handshake.
const PATIENCE: Duration = Duration::from_secs(10);

/// A cover site to be looked at.
#[derive(Debug)]
pub(crate) struct Audit {
    places: Places,
    names: Vec<HostName>,
    /// Keeps looking names up.
    _keeper: Option<oneshot::Sender<()>>,
}

impl Audit {
    /// Of the site in these settings.
    ///
    /// # Errors
    /// There is none to be had.
    pub(crate) fn begin(snapshot: &Snapshot) -> Result<Self, Verdict> {
        let listening = snapshot.listeners.iter().flat_map(|listener| &listener.addresses);
        let own = Own::new(listening, snapshot.telegram.external_ip.iter(), None);
        let verdict = |error| match error {
            SiteError::Loop(_) => Verdict::Loop,
            SiteError::Thread(error) => Verdict::Unreachable(error.to_string()),
        };
        let (places, names) = Places::new(&snapshot.cover, &own).map_err(verdict)?;
        let keeper = keeper::start(names, own, None).map_err(SiteError::Thread).map_err(verdict)?;
        Ok(Self { places, names: clients_names(snapshot), _keeper: keeper })
    }

    /// The names that clients ask for.
    pub(crate) fn names(&self) -> &[HostName] {
        &self.names
    }

    /// What the site answers to apps of today.
    ///
    /// # Errors
    /// Nothing that answers of ours could be like.
    pub(crate) async fn ask(&self, name: &HostName) -> Result<Observation, Verdict> {
        sample(&self.places, name.as_str(), Shape::Modern, SILENCE).await.map_err(Verdict::from)
    }

    /// Makes a genuine TLS connection for this name.
    ///
    /// # Errors
    /// No connection, or the certificate is not good.
    pub(crate) async fn shake_hands(
        &self,
        name: &HostName,
        server: ServerName<'static>,
        config: Arc<ClientConfig>,
    ) -> io::Result<()> {
        let mut call = self.places.connect(self.places.named(name.as_str().as_bytes()), None).await?;
        call.say(&[]).await?;
        timeout(PATIENCE, TlsConnector::from(config).connect(server, call.stream)).await?.map(drop)
    }
}
