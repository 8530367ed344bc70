//! Asks the gate about whoever proved itself. Nothing has been answered until then.

use teleferry_proto::accept::{ProvenHeader, ProvenHello, Stranger};
use tracing::info;

use super::Connection;
use super::door::Door;
use crate::clock;
use crate::gate::{Candidate, Claim, Policy, Recall};
use crate::net::Peer;

/// A hello is proven: its time, whether it came before, then the rules.
pub(super) fn of_hello(
    connection: &Connection,
    door: &Door,
    policy: &Policy,
    proven: &ProvenHello<'_>,
) -> Result<Vec<Claim>, Stranger> {
    let (time, now) = (proven.proof.unix_time, clock::unix_time());
    if !door.window.admits(time, now) {
        tell_skewed_clock(connection, i64::from(time) - now as i64);
        return Err(Stranger::TlsTime);
    }
    match connection.shard().shared.gate.replay.hello(proven.replay_key(), time) {
        Recall::New => {}
        Recall::Known => return Err(Stranger::TlsReplay),
        Recall::Lost => return Err(Stranger::TlsTime),
    }
    let domain = proven.hello.server_name().unwrap_or_default();
    rules(connection, door, policy, proven.secret, Some(domain))
}

/// A header in the open is proven: whether it came before, then the rules.
pub(super) fn of_header(
    connection: &Connection,
    door: &Door,
    policy: &Policy,
    proven: &ProvenHeader,
) -> Result<Vec<Claim>, Stranger> {
    match connection.shard().shared.gate.replay.header(proven.replay_key) {
        Recall::New => rules(connection, door, policy, proven.secret, None),
        Recall::Known | Recall::Lost => Err(Stranger::HeaderReplay),
    }
}

fn rules(
    connection: &Connection,
    door: &Door,
    policy: &Policy,
    secret: usize,
    tls_domain: Option<&[u8]>,
) -> Result<Vec<Claim>, Stranger> {
    let candidate = Candidate {
        listener: connection.listener().name(),
        secret: door.secret_name(secret),
        tls_domain,
        address: match connection.address() {
            Peer::Inet(address) => Some(address.ip()),
            Peer::Local => None,
        },
    };
    connection.shard().shared.gate.admit(policy, &candidate).map_err(|_| Stranger::Policy)
}

fn tell_skewed_clock(connection: &Connection, seconds_ahead: i64) {
    if let Some(more) = connection.shard().throttles.skewed_clock.pass(clock::now()) {
        info!(session = connection.id(), seconds_ahead, more, "a client's clock, or ours, is wrong");
    }
}
