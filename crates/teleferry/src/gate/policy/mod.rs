//! The operator's rules: who of the proven clients may come in.

mod claims;

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::tables::{Table, Tables, Wanted};
use crate::config::{self, PolicyKey, Snapshot, subnet_v4, subnet_v6};
use claims::{Basis, Group};
pub(crate) use claims::{Claim, Counters};

/// The rules for one listener. They never change; their tables and counts do.
#[derive(Debug)]
pub(crate) struct Policy {
    lookups: Vec<Lookup>,
    ceilings: Vec<PolicyCeiling>,
}

/// A rule that asks a table.
#[derive(Debug)]
struct Lookup {
    key: PolicyKey,
    table: Arc<Table>,
    /// What is not in the table is refused; otherwise what is.
    listed: bool,
}

/// A rule that counts.
#[derive(Debug)]
struct PolicyCeiling {
    basis: Arc<Basis>,
    limit: usize,
}

/// What rules can know of a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    /// The name of the listener that it came through.
    pub(crate) listener: &'a str,
    /// The name of the secret that proves it; the base secret has none.
    pub(crate) secret: Option<&'a str>,
    /// With fake TLS, the host name that it sent; empty when it sent none.
    pub(crate) tls_domain: Option<&'a [u8]>,
    /// Its address; `None` when it came from this machine through a unix socket.
    pub(crate) address: Option<IpAddr>,
}

/// What a key says of a client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Value {
    Name(Option<String>),
    Network(IpNet),
}

/// A rule was not passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused;

impl Policy {
    /// The rules of the settings that are for one listener.
    pub(crate) fn new(snapshot: &Snapshot, listener: &str, tables: &Tables) -> Self {
        let mut policy = Self { lookups: Vec::new(), ceilings: Vec::new() };
        for config::Policy { rule, listeners } in &snapshot.policies {
            if listeners.as_ref().is_some_and(|names| names.iter().all(|name| name != listener)) {
                continue;
            }
            match rule {
                config::Rule::Table { key, table, listed } => {
                    // The settings name no other tables than they have.
                    let table = tables.find(table);
                    policy.lookups.extend(table.map(|table| Lookup { key: *key, table, listed: *listed }));
                }
                config::Rule::MaxConnections { keys, limit } => {
                    let basis = Basis { keys: keys.clone(), listeners: listeners.clone() };
                    policy.count(basis, *limit);
                }
            }
        }
        policy
    }

    /// Adds a rule that counts. One that counts the same as another is the same with the lower limit.
    fn count(&mut self, basis: Basis, limit: usize) {
        match self.ceilings.iter_mut().find(|ceiling| *ceiling.basis == basis) {
            Some(known) => known.limit = known.limit.min(limit),
            None => self.ceilings.push(PolicyCeiling { basis: Arc::new(basis), limit }),
        }
    }

    /// Asks every rule. Those with tables come first, so that nothing is counted of somebody who may not come in anyway.
    /// What is counted is given back when the claims are dropped.
    ///
    /// # Errors
    /// A rule was not passed; nothing is counted.
    pub(crate) fn admit(
        &self,
        candidate: &Candidate<'_>,
        counters: &Arc<Counters>,
    ) -> Result<Vec<Claim>, Refused> {
        if !self.lookups.iter().all(|lookup| lookup.passes(candidate)) {
            return Err(Refused);
        }
        let claims = self.ceilings.iter().filter_map(|ceiling| {
            let keys = ceiling.basis.keys.iter();
            let values = keys.map(|key| candidate.value(*key)).collect::<Option<_>>()?;
            let group = Group { basis: Arc::clone(&ceiling.basis), values };
            Some(counters.claim(group, ceiling.limit).ok_or(Refused))
        });
        claims.collect()
    }
}

impl Lookup {
    fn passes(&self, candidate: &Candidate<'_>) -> bool {
        match candidate.value(self.key) {
            None => true,
            Some(Value::Network(network)) => self.table.contains(Wanted::Network(network)) == self.listed,
            Some(Value::Name(name)) => {
                self.table.contains(Wanted::Domain(name.as_deref().unwrap_or_default())) == self.listed
            }
        }
    }
}

impl Candidate<'_> {
    /// What a key says; `None` when it says nothing of such a client.
    fn value(&self, key: PolicyKey) -> Option<Value> {
        let name = |name: Option<&str>| Some(Value::Name(name.map(str::to_owned)));
        // An IPv4 client of a listener for both families comes in IPv6 form.
        let address = self.address.map(|address| address.to_canonical());
        match (key, address) {
            (PolicyKey::Listener, _) => name(Some(self.listener)),
            (PolicyKey::Secret, _) => name(self.secret),
            (PolicyKey::TlsDomain, _) => {
                let domain = String::from_utf8_lossy(self.tls_domain?).to_ascii_lowercase();
                Some(Value::Name(Some(domain)))
            }
            (PolicyKey::ClientIp, address) => Some(Value::Network(address?.into())),
            (PolicyKey::ClientIpv4(len), Some(IpAddr::V4(v4))) => subnet_v4(v4, len).map(Value::Network),
            (PolicyKey::ClientIpv6(len), Some(IpAddr::V6(v6))) => subnet_v6(v6, len).map(Value::Network),
            (PolicyKey::ClientIpv4(_) | PolicyKey::ClientIpv6(_), _) => None,
        }
    }
}

#[cfg(test)]
mod tests;
