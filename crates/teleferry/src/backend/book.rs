//! Which addresses belong to a data-centre id.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use teleferry_proto::dc::DcId;

use crate::config::{AddressPreference, Telegram};

/// The address book of direct mode: what the operator configured, then what is built in.
#[derive(Debug)]
pub(crate) struct Book {
    configured: BTreeMap<i16, Vec<SocketAddr>>,
    prefer: AddressPreference,
}

/// Data centres whose addresses are built in.
const BUILT_IN: [i16; 6] = [1, 2, 3, 4, 5, 203];

/// Where a client that asked for some data centre is to be taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The id to ask the data centre for.
    pub(crate) dc: DcId,
    /// Addresses in the order to try them; may be empty when the preference rules all out.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Book {
    /// The book that the settings describe.
    pub(crate) fn new(settings: &Telegram) -> Self {
        Self { configured: settings.dc.clone(), prefer: settings.prefer }
    }

    /// The data centres in it; media and test ids have entries of their own only where they are configured.
    pub(crate) fn ids(&self) -> impl Iterator<Item = DcId> {
        let configured = self.configured.keys().copied();
        let built_in = BUILT_IN.into_iter().filter(|id| !self.configured.contains_key(id));
        configured.chain(built_in).map(DcId::new)
    }

    /// Where to take a client that asks for `dc`; `None` when it is unknown.
    pub(crate) fn find(&self, dc: DcId) -> Option<Destination> {
        self.addresses(dc).map(|addresses| Destination { dc, addresses })
    }

    /// Configured for this very id, else for the same data centre without the media sign, else built in.
    fn addresses(&self, dc: DcId) -> Option<Vec<SocketAddr>> {
        let addresses = match self
            .configured
            .get(&dc.get())
            .or_else(|| self.configured.get(&dc.get().saturating_abs()))
        {
            Some(configured) => configured.clone(),
            None if dc.is_known() => dc.built_in_addresses().collect(),
            None => return None,
        };
        Some(self.in_order(addresses))
    }

    fn in_order(&self, mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        // Sorting is stable, and ports stay the outer order: a port that is blocked is blocked for both families.
        match self.prefer {
            AddressPreference::Ipv4 => sort_within_ports(&mut addresses, SocketAddr::is_ipv6),
            AddressPreference::Ipv6 => sort_within_ports(&mut addresses, SocketAddr::is_ipv4),
            AddressPreference::OnlyIpv4 => addresses.retain(SocketAddr::is_ipv4),
            AddressPreference::OnlyIpv6 => addresses.retain(SocketAddr::is_ipv6),
        }
        addresses
    }
}

/// Moves the addresses for which `last` holds behind the others, among neighbours of one port.
fn sort_within_ports(addresses: &mut [SocketAddr], last: fn(&SocketAddr) -> bool) {
    for same_port in addresses.chunk_by_mut(|a, b| a.port() == b.port()) {
        same_port.sort_by_key(last);
    }
}
