//! Where the cover site is.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use teleferry_proto::fake_tls::client_hello::{self, ClientHello, Scan};
use teleferry_proto::fake_tls::profile::Group;
use teleferry_proto::fake_tls::server_hello::Offer;
use teleferry_proto::haproxy::{Ends, Version, encode};
use teleferry_proto::secret::HostName;
use tokio::net::UnixStream;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::call::{Call, Calls};
use super::keeper::{self, Named};
use super::latency::{Latencies, Question};
use super::learn::{GENTLE, Learner, Profiles, Store};
use super::own::Own;
use crate::client::Connection;
use crate::config::{Cover, CoverHost, CoverTarget, Snapshot};
use crate::net::{Peer, Stream, dial};

/// The cover site, ready to be dialled from any shard without asking the resolver.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    places: Places,
    /// How it answers.
    profiles: watch::Receiver<Arc<Profiles>>,
    own: Own,
    /// Keeps its thread going.
    _keeper: Arc<Option<oneshot::Sender<()>>>,
}

/// The site's places. None: there is no site. Several: visitors choose among them by the name they ask for, and who asks for
/// none of them gets the first.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    list: Arc<[Place]>,
    connect_timeout: Duration,
    proxy_protocol: Option<Version>,
    calls: Arc<Calls>,
    latencies: Latencies,
}

#[derive(Debug)]
enum Place {
    /// A host, and its addresses: kept fresh when it is a name, and `None` until the first answer.
    Tcp(CoverHost, watch::Receiver<Option<Arc<[SocketAddr]>>>),
    Unix(PathBuf),
}

/// Which of the places somebody wants. The default is the one for those who do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wanted(usize);

impl Wanted {
    /// Which in the list.
    pub(super) const fn index(self) -> usize {
        self.0
    }

    /// That one.
    #[cfg(test)]
    pub(super) const fn nth(index: usize) -> Self {
        Self(index)
    }
}

/// The ends of a visitor's own connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visitor {
    /// Whom it comes from.
    pub(super) peer: Peer,
    /// Where it found us.
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
    /// Begins to look up the site's names and to learn how it answers, as far as there is need. Does not wait for any of it.
    ///
    /// # Errors
    /// The site is this server itself, or the system has no thread to give.
    pub(crate) fn start(snapshot: &Snapshot, own: Own) -> Result<Self, SiteError> {
        Self::begin(snapshot, own, Arc::default(), None)
    }

    /// The site of new settings: this one while nothing has changed that it depends on, so that no name is looked up anew. How
    /// it answers stays known while it is the same target.
    ///
    /// # Errors
    /// As of [`start`](Self::start).
    pub(crate) fn follow(&self, before: &Snapshot, after: &Snapshot, own: Own) -> Result<Self, SiteError> {
        let same_target = before.cover.target == after.cover.target;
        let same = same_target
            && before.cover.learn == after.cover.learn
            && before.cover.proxy_protocol == after.cover.proxy_protocol
            && clients_names(before) == clients_names(after)
            && self.own.is_like(&own);
        if same {
            let mut site = self.clone();
            site.places.connect_timeout = after.cover.connect_timeout;
            return Ok(site);
        }
        let known = if same_target && after.cover.learn { self.profiles() } else { Arc::default() };
        Self::begin(after, own, known, same_target.then(|| self.places.latencies.clone()))
    }

    fn begin(
        snapshot: &Snapshot,
        own: Own,
        known: Arc<Profiles>,
        latencies: Option<Latencies>,
    ) -> Result<Self, SiteError> {
        let (mut places, names) = Places::new(&snapshot.cover, &own)?;
        places.latencies = latencies.unwrap_or(places.latencies);
        let (known, profiles) = watch::channel(known);
        let learner = snapshot.cover.target.as_ref().filter(|_| snapshot.cover.learn).map(|target| Learner {
            places: places.clone(),
            names: clients_names(snapshot),
            store: Store::new(snapshot.server.state_dir.clone(), target.to_string()),
            known,
            pace: GENTLE,
        });
        let learner = learner.filter(|learner| !learner.names.is_empty());
        let keeper = keeper::start(names, own.clone(), learner).map_err(SiteError::Thread)?;
        Ok(Self { places, profiles, own, _keeper: Arc::new(keeper) })
    }

    /// Whether there is a site at all.
    pub(crate) fn exists(&self) -> bool {
        !self.places.list.is_empty()
    }

    /// Whether it can be called before it is known what a visitor asks for. Of several places only the hello tells which; as
    /// other servers that look at names, we wait for it.
    pub(crate) fn is_one(&self) -> bool {
        self.places.list.len() == 1
    }

    /// How it answers hellos, as far as that is known.
    pub(crate) fn profiles(&self) -> Arc<Profiles> {
        Arc::clone(&self.profiles.borrow())
    }

    /// Its places.
    pub(super) const fn places(&self) -> &Places {
        &self.places
    }

    /// Connects a visitor.
    ///
    /// # Errors
    /// What the last address said.
    pub(super) async fn receive(&self, wanted: Wanted, visitor: Visitor) -> io::Result<Call> {
        self.places.connect(wanted, visitor.ends()).await
    }
}

/// The names that clients of fake TLS ask for, each once.
pub(super) fn clients_names(snapshot: &Snapshot) -> Vec<HostName> {
    let tls = snapshot.listeners.iter().filter(|listener| listener.protocols.tls);
    let mut names: Vec<_> = tls.filter_map(|listener| listener.domain.clone()).collect();
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    names
}

impl Places {
    /// The places of the settings, and the names to be looked up for them.
    ///
    /// # Errors
    /// One of them is this server.
    pub(crate) fn new(settings: &Cover, own: &Own) -> Result<(Self, Vec<Named>), SiteError> {
        let hosts = match &settings.target {
            None | Some(CoverTarget::Unix(_)) => &[][..],
            Some(CoverTarget::HostPort(host)) => std::slice::from_ref(host),
            Some(CoverTarget::Sni(hosts)) => hosts,
        };
        let mut names = Vec::new();
        let mut list = Vec::new();
        for host in hosts {
            let literal = host.host.parse().ok().map(|ip| SocketAddr::new(ip, host.port));
            if literal.is_some_and(|address| own.has(address)) {
                return Err(SiteError::Loop(host.clone()));
            }
            let (sender, receiver) = watch::channel(literal.map(|address| Arc::from([address])));
            if literal.is_none() {
                names.push((host.clone(), sender));
            }
            list.push(Place::Tcp(host.clone(), receiver));
        }
        if let Some(CoverTarget::Unix(path)) = &settings.target {
            list.push(Place::Unix(path.clone()));
        }
        let places = Self {
            latencies: Latencies::of(list.len()),
            list: list.into(),
            connect_timeout: settings.connect_timeout,
            proxy_protocol: settings.proxy_protocol,
            calls: Arc::default(),
        };
        Ok((places, names))
    }

    /// What is under way to them.
    pub(super) fn calls(&self) -> &Calls {
        &self.calls
    }

    /// What a visitor with this hello wants. Only listed names count: whoever asks for another one does not make us
    /// connect to it.
    pub(super) fn wanted(&self, hello: Option<&ClientHello<'_>>) -> Wanted {
        hello.and_then(ClientHello::server_name).map_or_else(Wanted::default, |name| self.named(name))
    }

    /// How long it takes them to answer.
    pub(crate) const fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    /// What a hello asks.
    pub(crate) fn question(&self, hello: &ClientHello<'_>, called: bool) -> Question {
        let hybrid = matches!(Offer::of(hello, Group::Hybrid), Offer::Hybrid(_));
        Question { wanted: self.wanted(Some(hello)), hybrid, called }
    }

    /// The place of this name, else the first.
    pub(super) fn named(&self, name: &[u8]) -> Wanted {
        let listed = self.list.iter().position(|place| match place {
            Place::Tcp(host, _) => host.host.as_bytes().eq_ignore_ascii_case(name),
            Place::Unix(_) => false,
        });
        listed.map_or_else(Wanted::default, Wanted)
    }

    /// Connects to one of them, for a visitor with these ends or on our own account; a header that tells it waits to be
    /// sent, if the site expects one.
    ///
    /// # Errors
    /// What the last address said.
    pub(super) async fn connect(&self, wanted: Wanted, ends: Option<Ends>) -> io::Result<Call> {
        let stream = match self.list.get(wanted.0) {
            None => return Err(io::ErrorKind::NotFound.into()),
            Some(Place::Unix(path)) => {
                Stream::Unix(timeout(self.connect_timeout, UnixStream::connect(path)).await??)
            }
            Some(Place::Tcp(_, addresses)) => {
                let addresses = first_answer(addresses.clone(), self.connect_timeout).await;
                match dial(&addresses, self.connect_timeout).await {
                    Ok((stream, _)) => Stream::Tcp(stream),
                    Err(error) => {
                        let none = || {
                            io::Error::new(
                                io::ErrorKind::NotFound,
                                "its name has no address but this server's own",
                            )
                        };
                        return Err(error.last.unwrap_or_else(none));
                    }
                }
            }
        };
        let mut call = Call::new(stream, &self.calls);
        if let Some(version) = self.proxy_protocol {
            call.outbox.hold(&encode(version, ends));
        }
        Ok(call)
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

impl Visitor {
    /// Of this connection.
    pub(super) fn new(connection: &Connection, stream: &Stream) -> Self {
        Self { peer: connection.address(), local: stream.local_address() }
    }

    /// Both of its ends, when it came over a network.
    fn ends(self) -> Option<Ends> {
        let (Peer::Inet(source), Some(destination)) = (self.peer, self.local) else { return None };
        let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        Some(Ends { source: canonical(source), destination: canonical(destination) })
    }
}

/// The whole hello with which a TLS visitor begins.
pub(super) fn hello_in(first_bytes: &[u8]) -> Option<ClientHello<'_>> {
    let Scan::Whole { record, .. } = client_hello::scan(first_bytes) else { return None };
    ClientHello::parse(record)
}
