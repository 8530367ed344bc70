//! The cover site, as apps and browsers see it.

use rustls::pki_types::ServerName;
use teleferry_proto::fake_tls::profile::{Group, Profile};
use teleferry_proto::secret::HostName;

use std::net::IpAddr;

use futures_util::future::join_all;

use super::finding::Outside;
use super::{Finding, Subject};
use crate::config::{CoverTarget, Snapshot};
use crate::cover::{Audit, Verdict};
use crate::telegram::client_config;

const COVER: &str = "cover";

/// What the site answers to apps, and whether its certificate is good, for each name in the links.
pub(super) async fn examine(subject: &Subject<'_>) -> Vec<Finding> {
    let snapshot = subject.snapshot;
    if snapshot.cover.target.is_none() {
        return vec![Finding::wrong(
            COVER,
            "there is no cover site (cover.target is off)",
            "whoever is not a client is told nothing, which a probe can tell from a web server",
            "set cover.target to a web server with the domain of your links",
        )];
    }
    let audit = match Audit::begin(snapshot) {
        Ok(audit) => audit,
        Err(verdict) => return vec![of(&verdict)],
    };
    let looks = audit.names().iter().map(|name| async {
        let (answer, certificate) = tokio::join!(answer(&audit, name), certificate(&audit, name));
        match answer {
            Ok(mut findings) => {
                findings.push(certificate);
                findings
            }
            // Its certificate cannot be asked for either.
            Err(verdict) => vec![of(&verdict)],
        }
    });
    let mut findings: Vec<Finding> = join_all(looks).await.into_iter().flatten().collect();
    if is_outside(snapshot) {
        let answered = findings.iter().any(|finding| finding.fine);
        let outside = if answered { Outside::Answered } else { Outside::Silent };
        findings = findings.into_iter().map(|finding| finding.with_outside(outside)).collect();
    }
    findings
}

/// Whether the site is on another machine.
fn is_outside(snapshot: &Snapshot) -> bool {
    let is_here = |host: &str| host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    match &snapshot.cover.target {
        None | Some(CoverTarget::Unix(_)) => false,
        Some(CoverTarget::HostPort(host)) => !is_here(&host.host),
        Some(CoverTarget::Sni(hosts)) => !hosts.iter().all(|host| is_here(&host.host)),
    }
}

fn of(verdict: &Verdict) -> Finding {
    match verdict.advice() {
        None => Finding::fine(COVER, verdict.to_string()),
        // Clients work, and most web servers are like this.
        Some(advice) if matches!(verdict, Verdict::Several(_)) => {
            Finding::advice(COVER, verdict.to_string(), verdict.meaning(), advice)
        }
        Some(advice) => Finding::wrong(COVER, verdict.to_string(), verdict.meaning(), advice),
    }
}

async fn answer(audit: &Audit, name: &HostName) -> Result<Vec<Finding>, Verdict> {
    let seen = audit.ask(name).await?;
    let mut findings = Vec::new();
    findings.push(match Profile::of(std::slice::from_ref(&seen)).as_ref().map(Verdict::of) {
        None | Some(Verdict::Like) => Finding::fine(
            COVER,
            format!("{name}: TLS 1.3 with one encrypted record, which answers can be like"),
        ),
        Some(verdict) => of(&verdict),
    });
    findings.push(if seen.group == Group::Hybrid {
        Finding::fine(COVER, format!("{name}: it takes the post-quantum key exchange that apps offer"))
    } else {
        Finding::advice(
            COVER,
            format!("{name}: it does not take the post-quantum key exchange (X25519MLKEM768)"),
            "clients' answers do without it too, and some networks look at servers without it",
            "use a web server with a TLS library of 2025 or later",
        )
    });
    Ok(findings)
}

async fn certificate(audit: &Audit, name: &HostName) -> Finding {
    let not_valid = |error: String| {
        Finding::wrong(
            COVER,
            format!("{name}: the certificate is not good: {error}"),
            "a visitor's browser warns, and a probe sees that the name is not this site's",
            "get a certificate for the domain, for example from Let's Encrypt",
        )
    };
    let Ok(server) = ServerName::try_from(name.to_string()) else {
        return not_valid("no certificate can have this name".to_owned());
    };
    let config = match client_config() {
        Ok(config) => config,
        Err(error) => return not_valid(error.to_string()),
    };
    match audit.shake_hands(name, server, config).await {
        Ok(()) => Finding::fine(COVER, format!("{name}: the certificate is good")),
        Err(error) => not_valid(error.to_string()),
    }
}
