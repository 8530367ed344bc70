//! Which addresses lead back to this server.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::watch;

use crate::config::ListenAddress;
use crate::net::is_local;
use crate::telegram::Known;

/// Where this server listens, and under which addresses others see it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Own {
    /// Its listening addresses; the unspecified one stands for all of this machine's.
    listening: Vec<SocketAddr>,
    external: Vec<IpAddr>,
    /// Who learns further ones.
    known: Option<watch::Receiver<Arc<Known>>>,
}

impl Own {
    /// A server that listens there, on a machine that others see as `external`, or as is known then.
    pub(crate) fn new<'a>(
        listening: impl IntoIterator<Item = &'a ListenAddress>,
        external: impl IntoIterator<Item = IpAddr>,
        known: Option<watch::Receiver<Arc<Known>>>,
    ) -> Self {
        let inet = |address: &ListenAddress| match address {
            ListenAddress::Inet(address) => Some(*address),
            ListenAddress::Systemd(_) | ListenAddress::Unix(_) => None,
        };
        Self {
            listening: listening.into_iter().filter_map(inet).collect(),
            external: external.into_iter().collect(),
            known,
        }
    }

    /// Whether both are the same, apart from what may be learned.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (&self.listening, &self.external) == (&other.listening, &other.external)
    }

    /// Whether a connection to this address would come back to the server. Behind a port forwarding to another port it
    /// cannot be known; such a loop shows when the first visitor goes round.
    pub(crate) fn has(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        self.listening.iter().filter(|own| own.port() == address.port()).any(|own| {
            let own = own.ip();
            let serves = own.is_ipv6() || ip.is_ipv4();
            own.to_canonical() == ip
                || (own.is_unspecified() && serves && is_local(ip))
                || (ip.is_unspecified() && is_local(own))
                || self.is_external(ip)
        })
    }

    fn is_external(&self, ip: IpAddr) -> bool {
        let known = self.known.as_ref().map(|known| known.borrow().external_ip());
        self.external.contains(&ip) || known.is_some_and(|known| known.iter().any(|known| known == ip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f_24_addresses_that_lead_back_are_known() {
        let listening = ["0.0.0.0:443", "[::1]:8443", "192.0.2.1:80", "unix:/x"]
            .map(|text| crate::config::listen_address(text).expect(text));
        let own = Own::new(&listening, ["203.0.113.7".parse().expect("an address")], None);
        let has = |text: &str| own.has(text.parse().expect("an address"));
        for back in [
            "127.0.0.1:443",
            "127.9.9.9:443",
            "0.0.0.0:443",
            "[::ffff:127.0.0.1]:443",
            "[::1]:8443",
            "192.0.2.1:80",
            "203.0.113.7:443",
            "203.0.113.7:80",
        ] {
            assert!(has(back), "{back}");
        }
        for elsewhere in [
            "127.0.0.1:444",
            "[::1]:443",
            "192.0.2.1:443",
            "127.0.0.1:80",
            "203.0.113.7:8080",
            "192.0.2.9:443",
        ] {
            assert!(!has(elsewhere), "{elsewhere}");
        }
    }
}
