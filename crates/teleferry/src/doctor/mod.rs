//! `doctor`: looks at everything that this server depends on, and says in a sentence what to mend.

mod cover;
mod surroundings;

use std::fmt::Write as _;

use futures_util::future::OptionFuture;
use serde::Serialize;

use crate::config::{RoleKind, Snapshot};
use crate::{clock, identity};

/// What was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about: certificates, clock, cover, descriptors, dns, middle, telegram.
    pub about: &'static str,
    /// Whether all is well with it.
    pub fine: bool,
    /// What was found, in a sentence.
    pub found: String,
    /// What it means for those who use the proxy; empty when all is well.
    pub meaning: String,
    /// What to do; empty when all is well.
    pub advice: String,
}

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// One entry for each thing.
    pub findings: Vec<Finding>,
}

impl Finding {
    fn fine(about: &'static str, found: impl Into<String>) -> Self {
        Self { about, fine: true, found: found.into(), meaning: String::new(), advice: String::new() }
    }

    fn wrong(about: &'static str, found: impl Into<String>, meaning: &str, advice: &str) -> Self {
        Self {
            about,
            fine: false,
            found: found.into(),
            meaning: meaning.to_owned(),
            advice: advice.to_owned(),
        }
    }
}

impl Report {
    /// Whether nothing has to be mended.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        self.findings.iter().all(|finding| finding.fine)
    }

    /// The report for people, the verdict last.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for Finding { about, fine, found, meaning, advice } in &self.findings {
            let mark = if *fine { "ok  " } else { "MEND" };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{mark} {about}: {found}");
            if !fine {
                let _ = writeln!(text, "       what it means: {meaning}\n       what to do: {advice}");
            }
        }
        let wrong = self.findings.iter().filter(|finding| !finding.fine).count();
        let _ = match wrong {
            0 => writeln!(text, "\nAll is well."),
            1 => writeln!(text, "\nOne thing to mend."),
            n => writeln!(text, "\n{n} things to mend."),
        };
        text
    }
}

/// Looks at everything that a process of this role depends on. Takes as long as the slowest answer; each has a time limit.
pub async fn examine(snapshot: &Snapshot) -> Report {
    let mut findings = vec![surroundings::descriptors(snapshot)];
    findings.extend(certificates(snapshot));
    let clients = async { tokio::join!(cover::examine(snapshot), surroundings::names(snapshot)) };
    let telegram = async { tokio::join!(surroundings::clock(snapshot), surroundings::telegram(snapshot)) };
    let kind = snapshot.role.kind();
    let (clients, telegram) = tokio::join!(
        OptionFuture::from((kind != RoleKind::Back).then_some(clients)),
        OptionFuture::from((kind != RoleKind::Front).then_some(telegram)),
    );
    let (cover, dns) = clients.unwrap_or_default();
    findings.extend([cover, dns].into_iter().flatten());
    if let Some((clock, telegram)) = telegram {
        findings.push(clock);
        findings.extend(telegram);
    }
    Report { findings }
}

/// Whether the certificates of a front or a back hold, and for how long.
fn certificates(snapshot: &Snapshot) -> Option<Finding> {
    let (_, tls) = snapshot.role.tls()?;
    let expires = tls.credentials.expires()?;
    let now = i64::try_from(clock::unix_time()).unwrap_or(i64::MAX);
    let expiring = tls.credentials.expiring(now);
    if expiring.is_empty() {
        let words = format!("the first of the certificates to expire does so on {}", identity::day(expires));
        return Some(Finding::fine("certificates", words));
    }
    Some(Finding::wrong(
        "certificates",
        expiring.join("; "),
        "front and back do not find together while one of their certificates does not hold",
        "renew it where it was made, copy it here, and reload",
    ))
}
