//! How the running process is watched and told what to do: an HTTP API on a control socket and, when it is asked for, on
//! TCP with metrics, health and a page for people.
//!
//! It runs on the control plane's thread and looks at the shards' counters from outside. Nothing of it exists before
//! the first request but two listening sockets and the samples of the last day.

mod api;
mod client;
mod guard;
mod health;
mod history;
mod links;
pub mod metrics;
mod open;
mod problem;
mod serve;
mod status;
mod tables;
mod token;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

pub use api::{LogLevels, Reloaded, Upgraded, description};
pub(crate) use client::{Answer, CallError, Question, call};
pub use health::Health;
pub use history::Sample;
pub use open::OpenError;
pub use problem::Problem;
pub(crate) use status::verdict;
pub use status::{Certificate, Dc, Link, Listener, Peer, State, Status};
pub use tables::{TableAnswer, TableEntries, TableShown};

use crate::config::ListenAddress;
use crate::control::Control;
use crate::reading::Observer;
use crate::upgrade::{Inheritance, Inherited};
use guard::Origin;
use health::Probe;
use history::History;
use open::ControlSocket;
use token::TokenFile;

/// The open sockets for those who watch and tell. Nothing is answered before [`serve`](Self::serve).
#[derive(Debug)]
pub struct Admin {
    shared: Arc<Shared>,
    sockets: Arc<Sockets>,
}

/// What it listens on.
#[derive(Debug)]
pub(crate) struct Sockets {
    socket: Option<ControlSocket>,
    http: Option<std::net::TcpListener>,
    /// True once another process answers there.
    left: watch::Sender<bool>,
}

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    observer: Observer,
    control: Control,
    token: TokenFile,
    bounds: Bounds,
    probe: Probe,
    history: History,
}

/// The same, and where its requests come from.
#[derive(Debug)]
pub(crate) struct Access {
    shared: Arc<Shared>,
    origin: Origin,
}

/// What requests may cost.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Bytes in a body.
    pub body: usize,
    /// Until a body is whole.
    pub body_time: Duration,
    /// Until a head is whole, and so how long a connection may be idle.
    pub head_time: Duration,
    /// Connections at once, on the socket and over TCP each. A further one takes the place of one that is idle.
    pub connections: usize,
}

/// Connections at once, on the socket and over TCP each.
pub(crate) const CONNECTIONS: usize = 64;

impl Default for Bounds {
    fn default() -> Self {
        let time = Duration::from_secs(10);
        Self { body: 64 << 10, body_time: time, head_time: time, connections: CONNECTIONS }
    }
}

impl Admin {
    /// Opens what the settings name; `None` when they name nothing. A control socket that cannot be had is told in the
    /// log and left out: clients are served without it.
    ///
    /// # Errors
    /// The TCP address cannot be opened, or the token cannot be read.
    pub fn open(observer: Observer, control: Control, bounds: Bounds) -> Result<Option<Self>, OpenError> {
        Self::open_with(observer, control, bounds, &mut Inherited::default())
    }

    /// The same with sockets that an earlier process left.
    pub(crate) fn open_with(
        observer: Observer,
        control: Control,
        bounds: Bounds,
        inherited: &mut Inherited,
    ) -> Result<Option<Self>, OpenError> {
        let settings = &observer.snapshot().admin;
        let socket = settings.socket.as_deref().and_then(|path| {
            let left = inherited.take(&ListenAddress::Unix(path.to_owned())).pop();
            left.map(|socket| ControlSocket::new(socket.into(), path))
                .or_else(|| ControlSocket::open_or_tell(path))
        });
        let http = settings.http.map(|address| {
            let left = inherited.take(&ListenAddress::Inet(address)).pop();
            left.map_or_else(|| open::http(address), |socket| Ok(socket.into()))
        });
        let http = http.transpose()?;
        if socket.is_none() && http.is_none() {
            return Ok(None);
        }
        let token = TokenFile::open(observer.clone()).map_err(OpenError::Token)?;
        let (probe, history) = (Probe::default(), History::default());
        let shared = Arc::new(Shared { observer, control, token, bounds, probe, history });
        let sockets = Arc::new(Sockets { socket, http, left: watch::Sender::new(false) });
        Ok(Some(Self { shared, sockets }))
    }

    /// What it listens on, to be handed to the process that takes this one's place.
    pub(crate) fn sockets(&self) -> Arc<Sockets> {
        Arc::clone(&self.sockets)
    }

    /// Where it listens over TCP.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.sockets.http.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Answers until the future is dropped. Needs a runtime with IO and time.
    ///
    /// # Errors
    /// The runtime does not take a socket.
    pub async fn serve(self) -> io::Result<()> {
        let left = || self.sockets.left.subscribe();
        let access = |origin| Arc::new(Access { shared: Arc::clone(&self.shared), origin });
        let socket = async {
            match &self.sockets.socket {
                Some(socket) => serve::unix(socket.listener()?, access(Origin::Socket), left()).await,
                None => std::future::pending().await,
            }
        };
        let http = async {
            match &self.sockets.http {
                Some(listener) => {
                    let local = listener.local_addr().is_ok_and(|address| open::is_loopback(&address));
                    let origin = if local { Origin::Loopback } else { Origin::Network };
                    serve::tcp(listener.try_clone()?, access(origin), left()).await
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = socket => ended,
            ended = http => ended,
            () = self.shared.sample() => Ok(()),
            () = self.shared.token.follow() => Ok(()),
        }
    }
}

impl Sockets {
    /// Copies of them.
    pub(crate) fn lend(&self) -> Vec<Inheritance> {
        let socket = self.socket.as_ref().and_then(|socket| {
            let address = ListenAddress::Unix(socket.path().to_owned());
            Some(Inheritance::new(&address, &address, socket.listener().ok()?.into()))
        });
        let http = self.http.as_ref().and_then(|http| {
            let address = ListenAddress::Inet(http.local_addr().ok()?);
            Some(Inheritance::new(&address, &address, http.try_clone().ok()?.into()))
        });
        socket.into_iter().chain(http).collect()
    }

    /// Another process answers there now; what was asked already is answered.
    pub(crate) fn leave(&self) {
        if let Some(socket) = &self.socket {
            socket.leave();
        }
        self.left.send_replace(true);
    }
}

impl Shared {
    /// Keeps a sample a minute.
    async fn sample(&self) {
        let mut steps = interval(history::STEP);
        steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            steps.tick().await;
            self.history.keep(&self.observer.read());
        }
    }
}
