//! The middle proxies of one data-centre id: what they share.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use teleferry_proto::middle::server::{self, Conduct, Server};
use teleferry_proto::rpc::ProcessId;
use tokio::net::TcpStream;

use super::link::Link;
use super::registry::Registry;
use super::{Counters, Settings};
use crate::dc::DataCentre;
use crate::listener::{Accepted, Behaviour, Listener};
use crate::{clock, entropy};

/// The middle proxies of one data-centre id.
pub(super) struct Cluster {
    /// The id: negative for media.
    dc: i16,
    /// What is behind them.
    data_centre: Arc<DataCentre>,
    registry: Arc<Registry>,
    settings: Mutex<Arc<Settings>>,
}

impl Cluster {
    pub(super) fn new(dc: i16, data_centre: Arc<DataCentre>, registry: Arc<Registry>) -> Self {
        Self { dc, data_centre, registry, settings: Mutex::default() }
    }

    pub(super) const fn dc(&self) -> i16 {
        self.dc
    }

    pub(super) fn data_centre(&self) -> Arc<DataCentre> {
        Arc::clone(&self.data_centre)
    }

    pub(super) fn counters(&self) -> &Arc<Counters> {
        &self.registry.counters
    }

    /// What new links begin with.
    pub(super) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes what new links begin with, and gives it.
    pub(super) fn configure(&self, change: impl FnOnce(&mut Settings)) -> Arc<Settings> {
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut settings));
        Arc::clone(&settings)
    }

    /// Listens on a port that the kernel chooses.
    pub(super) fn listen(self: &Arc<Self>, ip: IpAddr) -> io::Result<Listener> {
        let cluster = Arc::clone(self);
        Listener::start(ip, move |accepted, behaviour| {
            (behaviour != Behaviour::Close).then(|| cluster.link(accepted, behaviour).run())
        })
    }

    /// Our end of a connection, as the proxy dialled it.
    pub(super) fn address_of(&self, stream: &TcpStream) -> SocketAddr {
        // It fails only when the connection has gone.
        let address = stream.local_addr().unwrap_or_else(|_| SocketAddr::from(([0; 4], 0)));
        canonical(address)
    }

    fn link(self: &Arc<Self>, accepted: Accepted, behaviour: Behaviour) -> Link {
        let Accepted { stream, local, peer } = accepted;
        // The seat comes first: a change of settings is sent to those that have one.
        let seat = self.registry.register(self.dc, local, peer);
        let settings = self.settings();
        let middle = self.address_of(&stream);
        let peer = canonical(peer);
        let now = clock::now().as_secs() as u32;
        let server = Server::new(server::Setup {
            secret: settings.secret.clone(),
            middle,
            proxy: SocketAddr::new(settings.seen_from.unwrap_or_else(|| peer.ip()), peer.port()),
            unix_time: now.wrapping_add_signed(settings.clock_ahead),
            process: ProcessId::of(middle.ip(), middle.port(), std::process::id() as u16, now),
            crc32c: settings.crc32c,
            nonce: entropy::bytes(),
            conduct: match behaviour {
                Behaviour::Silent => Conduct::SilentAtNonce,
                _ => settings.handshake,
            },
        });
        Link::new(Arc::clone(self), settings, stream, server, seat)
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
