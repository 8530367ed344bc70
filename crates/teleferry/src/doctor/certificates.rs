//! What a front and a back know each other by.

use super::Finding;
use crate::config::Snapshot;
use crate::{clock, identity};

/// Whether the certificates of a front or a back hold, and for how long.
pub(super) fn examine(snapshot: &Snapshot) -> Vec<Finding> {
    let Some((_, tls)) = snapshot.role.tls() else { return Vec::new() };
    let Some(expires) = tls.credentials.expires() else { return Vec::new() };
    let now = i64::try_from(clock::unix_time()).unwrap_or(i64::MAX);
    let expiring = tls.credentials.expiring(now);
    if expiring.is_empty() {
        let words = format!("the first of the certificates to expire does so on {}", identity::day(expires));
        return vec![Finding::fine("certificates", words)];
    }
    vec![Finding::wrong(
        "certificates",
        expiring.join("; "),
        "front and back do not find together while one of their certificates does not hold",
        "renew it where it was made, copy it here, and reload",
    )]
}
