//! How the running process is watched and told what to do: an HTTP API on a control socket and, when it is asked for, on
//! TCP with metrics, health and a page for people.
//!
//! It runs on the control plane's thread and looks at the shards' counters from outside. Nothing of it exists before
//! the first request but two listening sockets and the samples of the last day.

mod api;
mod guard;
mod health;
mod history;
mod links;
pub mod metrics;
mod open;
mod problem;
mod serve;
mod status;
mod token;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

pub use api::{Reloaded, description};
pub use health::Health;
pub use history::Sample;
pub use open::OpenError;
pub use problem::Problem;
pub use status::{Dc, Link, Listener, State, Status};

use crate::control::Control;
use crate::reading::Observer;
use guard::Origin;
use health::Probe;
use history::History;
use open::ControlSocket;
use token::TokenFile;

/// The open sockets for those who watch and tell. Nothing is answered before [`serve`](Self::serve).
#[derive(Debug)]
pub struct Admin {
    shared: Arc<Shared>,
    socket: Option<ControlSocket>,
    http: Option<std::net::TcpListener>,
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
        let settings = &observer.snapshot().admin;
        let socket = settings.socket.as_deref().and_then(ControlSocket::open_or_tell);
        let http = settings.http.map(open::http).transpose()?;
        if socket.is_none() && http.is_none() {
            return Ok(None);
        }
        let token = TokenFile::open(observer.clone()).map_err(OpenError::Token)?;
        let (probe, history) = (Probe::default(), History::default());
        let shared = Arc::new(Shared { observer, control, token, bounds, probe, history });
        Ok(Some(Self { shared, socket, http }))
    }

    /// Where it listens over TCP.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Answers until the future is dropped. Needs a runtime with IO and time.
    ///
    /// # Errors
    /// The runtime does not take a socket.
    pub async fn serve(self) -> io::Result<()> {
        let access = |origin| Arc::new(Access { shared: Arc::clone(&self.shared), origin });
        let socket = async {
            match &self.socket {
                Some(socket) => serve::unix(socket.listener()?, access(Origin::Socket)).await,
                None => std::future::pending().await,
            }
        };
        let http = async {
            match &self.http {
                Some(listener) => {
                    let local = listener.local_addr().is_ok_and(|address| open::is_loopback(&address));
                    let origin = if local { Origin::Loopback } else { Origin::Network };
                    serve::tcp(listener.try_clone()?, access(origin)).await
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
