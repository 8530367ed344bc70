//! `doctor`: looks at everything that this server depends on, and says in a sentence what to mend.
//!
//! Each room looks at one group of things and gives findings; all of them look at the same time, and each has a bound. What
//! only a machine with a network can tell is marked, so that one without is told so once.

mod backs;
mod certificates;
mod cover;
mod files;
mod finding;
mod kernel;
mod machine;
mod network;
mod own_link;
mod ports;
mod readable;
mod running;
mod settings;
mod telegram;
mod text;
mod unit;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

pub use finding::{Finding, Group, Level, Report};

use crate::config::{RoleKind, Snapshot};
use crate::telegram::Feed;
use network::Addresses;
use running::Running;
use unit::Unit;

/// How long a group may take as a whole. Each of its looks has a shorter bound of its own.
const PATIENCE: Duration = Duration::from_secs(75);

/// What is to be looked at.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The settings.
    pub snapshot: &'a Snapshot,
    /// What is worth saying about them, in sentences without a full stop.
    pub warnings: Vec<String>,
    /// The file that they come from.
    pub file: Option<&'a Path>,
}

/// Looks at everything that a process of this role depends on. Takes as long as the slowest answer; each has a time limit.
pub async fn examine(subject: &Subject<'_>) -> Report {
    let (running, unit) = tokio::join!(Running::find(subject), bounded(Unit::find(subject.file)));
    let unit = unit.flatten();
    let known = Feed::new(subject.snapshot).known();
    let known = Arc::clone(&known.borrow());
    let kind = subject.snapshot.role.kind();
    let mut has_route = true;
    let outer = async {
        let addresses = Addresses::find(subject.snapshot, &known).await;
        has_route = addresses.has_route();
        network::examine(subject, &addresses).await
    };
    let (process, network, backs, telegram, cover) = tokio::join!(
        group(Group::Process, process(subject, &running, unit.as_ref())),
        group(Group::Network, outer),
        group(Group::Halves, backs::examine(subject.snapshot)),
        group(Group::Telegram, of_role(kind != RoleKind::Front, telegram::examine(subject, &known))),
        group(Group::Cover, of_role(kind != RoleKind::Back, cover::examine(subject))),
    );
    let in_group =
        |group: Group, findings: Vec<Finding>| findings.into_iter().map(move |f| f.in_group(group));
    let mut findings = Vec::new();
    findings.extend(in_group(Group::Settings, settings::examine(subject)));
    findings.extend(in_group(Group::Settings, readable::examine(subject, unit.as_ref())));
    findings.extend(in_group(Group::Halves, certificates::examine(subject.snapshot)));
    findings.extend(process);
    findings.extend(in_group(Group::Machine, machine::examine(subject, &running, unit.as_ref())));
    findings.extend(in_group(Group::Machine, kernel::examine(subject.snapshot)));
    findings.extend(in_group(Group::Machine, files::examine(subject, &running)));
    findings.extend([network, backs, telegram, cover].into_iter().flatten());
    Report::of(findings, has_route)
}

/// What this role does not depend on is not looked at.
async fn of_role(depends: bool, looks: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    if depends { looks.await } else { Vec::new() }
}

async fn process(subject: &Subject<'_>, running: &Running, unit: Option<&Unit>) -> Vec<Finding> {
    let mut findings = running::examine(running, unit);
    findings.extend(unit::examine(unit));
    let links = async {
        match running.answering() {
            Some(answering) => own_link::examine(subject, answering).await,
            None => Vec::new(),
        }
    };
    let (ports, links) = tokio::join!(ports::examine(subject, running, unit), links);
    findings.extend(ports);
    findings.extend(links);
    findings
}

/// Everything of a group, or that it took too long.
async fn group(group: Group, looks: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    let findings = bounded(looks).await.unwrap_or_else(|| {
        let found = format!("looking took longer than {} s", PATIENCE.as_secs());
        let advice = "run doctor again; something that it asks hangs";
        vec![Finding::unknown("time", found, "nothing is known of this group", advice)]
    });
    findings.into_iter().map(|finding| finding.in_group(group)).collect()
}

async fn bounded<T>(looks: impl Future<Output = T>) -> Option<T> {
    timeout(PATIENCE, looks).await.ok()
}
