//! The soak over middle proxies: clients that stay while the links under them come and go, and some churn beside them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::dice::Dice;
use super::report::{OverMiddle, Report};
use super::roles::{Outcome, Role};
use super::rotation::Rotations;
use super::stage::{Stage, Way};
use super::steady::{Company, Stay, stay};
use super::{Arguments, churn, rest, warm_up};
use crate::failure::{Failure, Result};

/// Clients that stay.
const CLIENTS: usize = 2000;
/// Clients and strangers at a time that come and go beside them.
const PASSING: usize = 20;

/// Freed memory goes back to the system every few seconds.
const GIVEN_BACK_AFTER: Duration = Duration::from_secs(8);

pub(super) async fn soak(arguments: &Arguments) -> Result<Report> {
    let stage = Stage::build(&arguments.proxy, Way::Middle).await?;
    let mut report = Report::new(stage.descriptors()?);
    let bare = stage.memory()?;
    let mut dice = Dice::new(arguments.seed);
    let company =
        Company { rotations: Arc::clone(stage.rotations()), over: Arc::new(AtomicBool::new(false)) };
    let mut staying = JoinSet::new();
    for _ in 0..arguments.clients.unwrap_or(CLIENTS) {
        staying.spawn(stay(stage.door(), company.clone(), dice.fork()));
    }
    let (rotations, middle) = (Arc::clone(&company.rotations), Arc::clone(stage.middle()));
    let every = Duration::from_secs(arguments.rotate);
    let rotating = tokio::spawn(async move { rotations.go_on(&middle, every).await });
    churn(&stage, PASSING, warm_up(arguments), &mut dice, &mut report).await?;
    // Those who stay do not leave, so two halves are compared, each when least was queued.
    let half = Duration::from_secs(arguments.seconds) / 2;
    report.begin();
    churn(&stage, PASSING, half, &mut dice, &mut report).await?;
    churn(&stage, PASSING, half, &mut dice, &mut report).await?;
    let (memory, links) = (report.compare_halves(), stage.middle().links().len());
    rotating.abort();
    company.over.store(true, Ordering::Relaxed);
    let stays = leave(&mut staying).await?;
    report.over_middle(summed(&stage, &company.rotations, &stays, links)?);
    for Stay { fault, .. } in stays {
        report.note(Role::Stay, fault.map_or(Outcome::Well, Outcome::Fault));
    }
    rest(&stage, &report).await?;
    tokio::time::sleep(GIVEN_BACK_AFTER).await;
    report.left(bare, stage.memory()?);
    report.over(memory, stage.descriptors()?, &stage.log()?);
    Ok(report)
}

/// Everybody leaves when the last answers are there.
async fn leave(staying: &mut JoinSet<Stay>) -> Result<Vec<Stay>> {
    let mut stays = Vec::with_capacity(staying.len());
    while let Some(stay) = staying.join_next().await {
        stays.push(stay.map_err(|error| Failure::new(format!("a client panicked: {error}")))?);
    }
    Ok(stays)
}

fn summed(stage: &Stage, rotations: &Rotations, stays: &[Stay], links: usize) -> Result<OverMiddle> {
    let counts = stage.middle().counters().read();
    let missed: Vec<_> = stays.iter().flat_map(|stay| stay.lost.iter().copied()).collect();
    Ok(OverMiddle {
        packets: stays.iter().map(|stay| stay.packets).sum(),
        links,
        links_in_all: counts.ready,
        moved: moved(&stage.log()?),
        ends: ends(&stage.log()?),
        losses: rotations.losses(&missed, counts.lost),
        violations: stage
            .middle()
            .counters()
            .violations()
            .iter()
            .map(|broken| format!("{broken:?}"))
            .collect(),
    })
}

/// How many clients were on the links that ended, as the log tells.
fn moved(log: &str) -> u64 {
    let ends = log.lines().filter(|line| line.contains("a link ended"));
    ends.filter_map(|line| {
        let (_, rest) = line.split_once("clients=")?;
        rest.split_whitespace().next()?.parse::<u64>().ok()
    })
    .sum()
}

/// Why sessions ended, as the log tells.
fn ends(log: &str) -> BTreeMap<String, u64> {
    let mut ends = BTreeMap::new();
    for line in log.lines().filter(|line| line.contains(" closed ")) {
        if let Some((_, rest)) = line.split_once("reason=") {
            let reason = rest.split_whitespace().next().unwrap_or_default();
            *ends.entry(reason.to_owned()).or_default() += 1;
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_moved_are_counted_from_the_log() {
        let log = "DEBUG a link ended: it was closed dc=2 endpoint=127.0.0.1:1 clients=7\n\
             DEBUG something clients=100\nDEBUG a link ended: reset dc=2 clients=5 more=1\n";
        assert_eq!(moved(log), 12);
        let log = "DEBUG closed session=1 reason=a:b\nDEBUG closed session=3 reason=c\nDEBUG closed session=2 reason=a:b x=1\n";
        assert_eq!(ends(log), [("a:b".to_owned(), 2), ("c".to_owned(), 1)].into());
    }
}
