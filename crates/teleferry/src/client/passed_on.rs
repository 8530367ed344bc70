//! Whose connection a load balancer passes on.

use teleferry_proto::accept::Stranger;
use teleferry_proto::haproxy::{self, Scan, Told};

use super::Connection;
use super::door::read_some;
use crate::config::{Listener, ProxyProtocol};
use crate::net::{Peer, Stream};
use crate::observe::{CloseReason, Kind};

/// Which PROXY protocol headers a listener believes.
#[derive(Debug)]
pub(super) struct Senders {
    mode: ProxyProtocol,
    networks: Vec<ipnet::IpNet>,
}

/// Why there is no connection to go on with.
pub(super) enum Stop {
    Stranger(Stranger),
    Ended(CloseReason),
}

impl Senders {
    pub(super) fn new(listener: &Listener) -> Self {
        Self { mode: listener.proxy_protocol, networks: listener.proxy_protocol_from.clone() }
    }

    /// Whether a header from there counts. Who comes through a unix socket is on this machine, and counts.
    fn include(&self, peer: Peer) -> bool {
        match (self.mode, peer) {
            (ProxyProtocol::Off, _) => false,
            (_, Peer::Local) => true,
            (_, Peer::Inet(address)) => {
                let ip = address.ip().to_canonical();
                self.networks.iter().any(|network| network.contains(&ip))
            }
        }
    }
}

/// Takes the header off the front of a connection, if it may have one, and says what it tells. What follows it stays in
/// `first_bytes`; of what is no header, everything.
pub(super) async fn read_header(
    connection: &Connection,
    senders: &Senders,
    stream: &mut Stream,
    first_bytes: &mut Vec<u8>,
) -> Result<Option<Peer>, Stop> {
    if !senders.include(connection.address()) {
        return Ok(None);
    }
    loop {
        match haproxy::scan(first_bytes) {
            Scan::NeedMore => {}
            Scan::Whole { told, len } => {
                first_bytes.drain(..len);
                return Ok(match told {
                    Told::Nothing => None,
                    Told::Ends(ends) => Some(Peer::Inet(ends.source)),
                });
            }
            Scan::Absent if senders.mode == ProxyProtocol::Optional => return Ok(None),
            Scan::Absent | Scan::Malformed => return Err(Stop::Stranger(Stranger::ProxyHeader)),
        }
        match std::future::poll_fn(|cx| read_some(connection, stream, first_bytes, cx)).await {
            Err(_) => return Err(Stop::Ended(CloseReason::client(Kind::Reset))),
            Ok(0) => return Err(Stop::Stranger(Stranger::Gone)),
            Ok(_) => {}
        }
    }
}
