//! Where the cover site is.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use teleferry_proto::fake_tls::client_hello::{self, ClientHello, Scan};
use tokio::net::{UnixStream, lookup_host};
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{error, warn};

use super::call::{Call, Calls};
use super::own::Own;
use crate::client::Connection;
use crate::config::{Cover, CoverHost, CoverTarget};
use crate::net::{Peer, Stream, dial};
use crate::shard::Phase;

/// How often the site's name is looked up again.
const REFRESH: Duration = Duration::from_secs(60);
/// How soon it is looked up again when that failed.
const RETRY: Duration = Duration::from_secs(5);

/// The cover site, ready to be dialled from any shard without asking the resolver.
#[derive(Debug)]
pub(crate) struct Site {
    /// None: there is no site. Several: visitors choose among them by the name they ask for, and who asks for none of them
    /// gets the first.
    places: Vec<Place>,
    connect_timeout: Duration,
    calls: Arc<Calls>,
}

#[derive(Debug)]
enum Place {
    /// A host, and its addresses: kept fresh on a thread of their own when it is a name.
    Tcp(CoverHost, watch::Receiver<Arc<[SocketAddr]>>),
    Unix(PathBuf),
}

/// Which of the site's places a visitor wants. The default is the one for those who do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wanted(usize);

/// The ends of a visitor's own connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visitor {
    /// Whom it comes from.
    pub(super) peer: Peer,
    /// Where it found us.
    #[expect(dead_code, reason = "told to the site with cover.proxy_protocol")]
    pub(super) local: Option<SocketAddr>,
}

/// Why there is no site to be had.
#[derive(Debug)]
pub(crate) enum SiteError {
    /// Its address is one of our own.
    Loop(CoverHost),
    /// The system has no thread to give.
    Thread(io::Error),
}

impl Site {
    /// Begins to look up the site's names, when it has some. Does not wait for the answer.
    ///
    /// # Errors
    /// The site is this server itself, or the system has no thread to give.
    pub(crate) fn start(
        settings: &Cover,
        own: Own,
        calls: Arc<Calls>,
        phase: watch::Receiver<Phase>,
    ) -> Result<Self, SiteError> {
        let hosts = match &settings.target {
            None => &[][..],
            Some(CoverTarget::Unix(_)) => &[],
            Some(CoverTarget::HostPort(host)) => std::slice::from_ref(host),
            Some(CoverTarget::Sni(hosts)) => hosts,
        };
        let mut names = Vec::new();
        let mut places = Vec::new();
        for host in hosts {
            let literal = host.host.parse().ok().map(|ip| SocketAddr::new(ip, host.port));
            if literal.is_some_and(|address| own.has(address)) {
                return Err(SiteError::Loop(host.clone()));
            }
            let (sender, receiver) = watch::channel(Arc::from_iter(literal));
            if literal.is_none() {
                names.push((host.clone(), sender));
            }
            places.push(Place::Tcp(host.clone(), receiver));
        }
        if let Some(CoverTarget::Unix(path)) = &settings.target {
            places.push(Place::Unix(path.clone()));
        }
        if !names.is_empty() {
            look_up(names, own, phase).map_err(SiteError::Thread)?;
        }
        Ok(Self { places, connect_timeout: settings.connect_timeout, calls })
    }

    /// Whether there is a site at all.
    pub(crate) const fn exists(&self) -> bool {
        !self.places.is_empty()
    }

    /// The connections to it.
    pub(super) fn calls(&self) -> &Calls {
        &self.calls
    }

    /// What a visitor with these first bytes wants. Only listed names count: whoever asks for another one does not make us
    /// connect to it.
    pub(super) fn wanted(&self, first_bytes: &[u8]) -> Wanted {
        if self.places.len() < 2 {
            return Wanted::default();
        }
        let name = name_in(first_bytes);
        let listed = |name: &Vec<u8>| {
            self.places.iter().position(|place| match place {
                Place::Tcp(host, _) => host.host.as_bytes().eq_ignore_ascii_case(name),
                Place::Unix(_) => false,
            })
        };
        name.as_ref().and_then(listed).map_or(Wanted::default(), Wanted)
    }

    /// Connects to it.
    ///
    /// # Errors
    /// What the last address said.
    pub(super) async fn connect(&self, wanted: Wanted, _visitor: Visitor) -> io::Result<Call> {
        let stream = match self.places.get(wanted.0) {
            None => return Err(io::ErrorKind::NotFound.into()),
            Some(Place::Unix(path)) => {
                Stream::Unix(timeout(self.connect_timeout, UnixStream::connect(path)).await??)
            }
            Some(Place::Tcp(_, addresses)) => {
                let addresses = Arc::clone(&addresses.borrow());
                match dial(&addresses, self.connect_timeout).await {
                    Ok((stream, _)) => Stream::Tcp(stream),
                    Err(error) => {
                        let none = || io::Error::new(io::ErrorKind::NotFound, "its name has no address");
                        return Err(error.last.unwrap_or_else(none));
                    }
                }
            }
        };
        Ok(Call::new(stream, &self.calls))
    }
}

impl Visitor {
    /// Of this connection.
    pub(super) fn new(connection: &Connection, stream: &Stream) -> Self {
        Self { peer: connection.address(), local: stream.local_address() }
    }
}

/// The name that a TLS visitor asks for.
fn name_in(first_bytes: &[u8]) -> Option<Vec<u8>> {
    let Scan::Whole { record, .. } = client_hello::scan(first_bytes) else { return None };
    ClientHello::parse(record)?.server_name().map(<[u8]>::to_vec)
}

type Named = (CoverHost, watch::Sender<Arc<[SocketAddr]>>);

/// Keeps the addresses of names fresh until the server stops.
fn look_up(names: Vec<Named>, own: Own, mut phase: watch::Receiver<Phase>) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("cover".into()).spawn(move || {
        runtime.block_on(async {
            let all = join_all(names.iter().map(|(host, addresses)| refresh(host, addresses, &own)));
            tokio::select! {
                _ = all => {}
                _ = phase.wait_for(|phase| *phase == Phase::Closing) => {}
            }
        });
        // The resolver may still be busy with a name, and cannot be interrupted.
        runtime.shutdown_background();
    })?;
    Ok(())
}

async fn refresh(host: &CoverHost, addresses: &watch::Sender<Arc<[SocketAddr]>>, own: &Own) {
    let mut said = false;
    loop {
        let found = lookup_host((host.host.as_str(), host.port)).await;
        let (back, there): (Vec<_>, Vec<_>) = match found {
            Ok(found) => found.partition(|address| own.has(*address)),
            Err(error) => {
                // The last known addresses stay; said once until it works again.
                if !said {
                    warn!(host = host.host, %error, "the cover site's name cannot be looked up");
                }
                said = true;
                sleep(RETRY).await;
                continue;
            }
        };
        if back.is_empty() {
            said = false;
        } else if !std::mem::replace(&mut said, true) {
            error!(
                host = host.host,
                addresses = ?back,
                "the cover site's name leads back to this server, where visitors are not taken: set cover.target to the address of the web server itself"
            );
        }
        addresses.send_replace(there.into());
        sleep(REFRESH).await;
    }
}
