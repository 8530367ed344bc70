//! What a front and a back know each other by.

use super::Finding;
use crate::clock;
use crate::config::{Role, Snapshot};
use crate::identity::{self, About};

/// Whether the certificates of a front or a back hold, and for how long; on a back also who may come.
pub(super) fn examine(snapshot: &Snapshot) -> Vec<Finding> {
    let mut findings: Vec<Finding> = expiry(snapshot).into_iter().collect();
    findings.extend(who_may_come(snapshot));
    findings
}

fn expiry(snapshot: &Snapshot) -> Option<Finding> {
    let (_, tls) = snapshot.role.tls()?;
    let now = i64::try_from(clock::unix_time()).unwrap_or(i64::MAX);
    let expiring = tls.credentials.expiring(now);
    if !expiring.is_empty() {
        return Some(Finding::wrong(
            "certificates",
            expiring.join("; "),
            "front and back do not find together while one of their certificates does not hold",
            "renew it where it was made, copy it here, and reload",
        ));
    }
    let told = tls.credentials.certificates().into_iter().map(|certificate| {
        let days = (certificate.not_after - now) / (24 * 60 * 60);
        format!("{} holds until {} ({days} days)", certificate.title(), identity::day(certificate.not_after))
    });
    let told: Vec<_> = told.collect();
    (!told.is_empty()).then(|| Finding::fine("certificates", told.join("; ")))
}

/// Whom a back takes for a front.
fn who_may_come(snapshot: &Snapshot) -> Option<Finding> {
    let Role::Back(back) = &snapshot.role else { return None };
    let credentials = &back.tls.credentials;
    let authorities = credentials.authorities.iter().filter_map(About::read);
    let authorities: Vec<_> =
        authorities.map(|about| format!("`{}`", about.common_name.as_deref().unwrap_or("?"))).collect();
    let mut ways = Vec::new();
    if !authorities.is_empty() {
        let revoked = match credentials.revoked_count() {
            _ if credentials.revoked.is_empty() => "no revocation list".to_owned(),
            1 => "one is revoked".to_owned(),
            n => format!("{n} are revoked"),
        };
        ways.push(format!("have a front's certificate of {} ({revoked})", authorities.join(" or ")));
    }
    if let Some(file) = back.token_file.as_ref().filter(|_| back.token.is_some()) {
        ways.push(format!("show the token of {}", file.display()));
    }
    Some(Finding::fine("fronts", format!("those may connect who {}", ways.join(", or who "))))
}
