//! Where the cover site is.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixStream, lookup_host};
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::config::{Cover, CoverTarget};
use crate::net::{Stream, dial};
use crate::shard::Phase;

/// How often the site's name is looked up again.
const REFRESH: Duration = Duration::from_secs(60);
/// How soon it is looked up again when that failed.
const RETRY: Duration = Duration::from_secs(5);

/// The cover site, ready to be dialled from any shard without asking the resolver.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    place: Arc<Place>,
    connect_timeout: Duration,
}

#[derive(Debug)]
enum Place {
    /// There is none.
    Nowhere,
    /// The addresses of its name, kept fresh on a thread of their own; `None` until the first answer.
    Tcp(watch::Receiver<Option<Arc<[SocketAddr]>>>),
    Unix(PathBuf),
}

impl Site {
    /// Begins to look up the site's name, when it has one. Does not wait for the answer.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(crate) fn start(settings: &Cover, phase: watch::Receiver<Phase>) -> io::Result<Self> {
        let place = match &settings.target {
            None => Place::Nowhere,
            Some(CoverTarget::Unix(path)) => Place::Unix(path.clone()),
            Some(CoverTarget::HostPort(host, port)) => Place::Tcp(resolve(host, *port, phase)?),
        };
        Ok(Self { place: Arc::new(place), connect_timeout: settings.connect_timeout })
    }

    /// The same site with another time to connect.
    pub(crate) fn with_timeout(&self, connect_timeout: Duration) -> Self {
        Self { place: Arc::clone(&self.place), connect_timeout }
    }

    /// Whether there is a site at all.
    pub(crate) fn exists(&self) -> bool {
        !matches!(*self.place, Place::Nowhere)
    }

    /// Connects to it.
    ///
    /// # Errors
    /// What the last address said.
    pub(crate) async fn connect(&self) -> io::Result<Stream> {
        match &*self.place {
            Place::Nowhere => Err(io::ErrorKind::NotFound.into()),
            Place::Unix(path) => {
                Ok(Stream::Unix(timeout(self.connect_timeout, UnixStream::connect(path)).await??))
            }
            Place::Tcp(addresses) => {
                let addresses = first_answer(addresses.clone(), self.connect_timeout).await;
                match dial(&addresses, self.connect_timeout).await {
                    Ok((stream, _)) => Ok(Stream::Tcp(stream)),
                    Err(error) => Err(error.last.unwrap_or_else(|| {
                        io::Error::new(io::ErrorKind::NotFound, "its name has no address")
                    })),
                }
            }
        }
    }
}

/// The addresses of the site's name; of a site that is new, waits a while for them.
async fn first_answer(
    mut addresses: watch::Receiver<Option<Arc<[SocketAddr]>>>,
    patience: Duration,
) -> Arc<[SocketAddr]> {
    if let Some(known) = &*addresses.borrow() {
        return Arc::clone(known);
    }
    match timeout(patience, addresses.wait_for(Option::is_some)).await {
        Ok(Ok(known)) => known.clone().unwrap_or_default(),
        Ok(Err(_)) | Err(_) => Arc::default(),
    }
}

/// Keeps the addresses of a name fresh until nobody needs them, or the server stops. A literal address needs no thread.
fn resolve(
    host: &str,
    port: u16,
    mut phase: watch::Receiver<Phase>,
) -> io::Result<watch::Receiver<Option<Arc<[SocketAddr]>>>> {
    let literal = host.parse().map(|ip| SocketAddr::new(ip, port)).ok();
    let (sender, receiver) = watch::channel(literal.map(|address| Arc::from([address])));
    if literal.is_some() {
        return Ok(receiver);
    }
    let host = host.to_owned();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("resolver".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = refresh(&host, port, &sender) => {}
                () = sender.closed() => {}
                _ = phase.wait_for(|phase| *phase == Phase::Closing) => {}
            }
        });
    })?;
    Ok(receiver)
}

async fn refresh(host: &str, port: u16, addresses: &watch::Sender<Option<Arc<[SocketAddr]>>>) {
    let mut said = false;
    loop {
        match lookup_host((host, port)).await {
            Ok(found) => {
                said = false;
                addresses.send_replace(Some(found.collect()));
                sleep(REFRESH).await;
            }
            Err(error) => {
                // The last known addresses stay, if there are any; said once until it works again.
                addresses.send_if_modified(|known| {
                    let first = known.is_none();
                    known.get_or_insert_default();
                    first
                });
                if !said {
                    warn!(host, %error, "the cover site's name cannot be looked up");
                }
                said = true;
                sleep(RETRY).await;
            }
        }
    }
}
