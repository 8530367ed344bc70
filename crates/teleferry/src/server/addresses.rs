//! Which addresses are open, which have to be opened, and whose they are.

use std::net::SocketAddr;

use super::StartError;
use crate::config::{ListenAddress, Listener};
use crate::listen::{self, Exclusive, ListeningSocket};
use crate::shard::AddressId;

/// An address that is open on every shard.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) id: AddressId,
    /// The name of its listener.
    pub(super) listener: String,
    /// As it stands in the settings.
    configured: ListenAddress,
    /// As it was opened.
    pub(super) opened: ListenAddress,
}

/// The addresses that settings ask for.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// All of them, in the order of the settings.
    pub(super) addresses: Vec<Address>,
    /// The sockets of those that were not open before, by shard.
    pub(super) sockets: Vec<Vec<(AddressId, ListeningSocket)>>,
}

impl Plan {
    /// Finds what is open among `before`, and opens the rest for `shards` shards. `next_id` numbers addresses.
    ///
    /// # Errors
    /// One of them cannot be opened; then none is.
    pub(super) fn new(
        listeners: &[Listener],
        before: &[Address],
        shards: usize,
        next_id: &mut AddressId,
    ) -> Result<Self, StartError> {
        let mut left: Vec<&Address> = before.iter().collect();
        let wanted = listeners.iter().flat_map(|listener| {
            listener.addresses.iter().map(move |address| (listener.name.as_str(), address))
        });
        let wanted: Vec<_> = wanted.collect();
        // First those that stay where they are, so that a listener that is new takes nothing from one that stays.
        let mut found: Vec<Option<&Address>> = wanted
            .iter()
            .map(|(name, address)| take(&mut left, |open| open.listener == *name && open.is(address)))
            .collect();
        for (found, (_, address)) in found.iter_mut().zip(&wanted) {
            if found.is_none() {
                *found = take(&mut left, |open| open.is(address));
            }
        }
        let mut plan =
            Self { addresses: Vec::new(), sockets: std::iter::repeat_with(Vec::new).take(shards).collect() };
        for (found, (name, address)) in found.into_iter().zip(wanted) {
            match found {
                Some(open) => plan.addresses.push(Address { listener: name.to_owned(), ..open.clone() }),
                None => plan.open(name, address, &left, next_id)?,
            }
        }
        Ok(plan)
    }

    fn open(
        &mut self,
        listener: &str,
        address: &ListenAddress,
        closing: &[&Address],
        next_id: &mut AddressId,
    ) -> Result<(), StartError> {
        // One of ours that is about to close may stand in its way: "0.0.0.0:443" in place of "192.0.2.1:443".
        let ours = closing.iter().any(|open| open.port().is_some_and(|port| Some(port) == port_of(address)));
        let exclusive = if ours { Exclusive::No } else { Exclusive::Yes };
        let shards = self.sockets.len();
        let opened = listen::open(address, shards, exclusive).map_err(|error| StartError::Listen {
            listener: listener.to_owned(),
            address: address.clone(),
            error,
        })?;
        let id = next_id.next();
        for (number, socket) in opened.sockets.into_iter().enumerate() {
            self.sockets[number % shards].push((id, socket));
        }
        self.addresses.push(Address {
            id,
            listener: listener.to_owned(),
            configured: address.clone(),
            opened: opened.address,
        });
        Ok(())
    }
}

impl Address {
    /// Whether it is what the settings call so.
    fn is(&self, address: &ListenAddress) -> bool {
        self.configured == *address || self.opened == *address
    }

    fn port(&self) -> Option<u16> {
        port_of(&self.opened)
    }
}

fn port_of(address: &ListenAddress) -> Option<u16> {
    match address {
        ListenAddress::Inet(inet) => Some(SocketAddr::port(inet)).filter(|&port| port != 0),
        ListenAddress::Systemd(_) | ListenAddress::Unix(_) => None,
    }
}

/// Takes the first for which it holds.
fn take<'a>(left: &mut Vec<&'a Address>, holds: impl Fn(&Address) -> bool) -> Option<&'a Address> {
    let index = left.iter().position(|open| holds(open))?;
    Some(left.remove(index))
}
