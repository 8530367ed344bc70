//! `defects`: whether the suite would find anything. Relays with one fault each stand in the proxy's place, and every
//! one of them has to be told from the site; the faultless relay must not be.

mod flaw;
mod relay;

use std::path::PathBuf;

use clap::Args;
use flaw::Flaw;
use futures_util::future::join_all;
use relay::Relay;
use teleferry_proto::secret::SecretKey;

use crate::catalogue::{self, Kit, Probe, When};
use crate::failure::{Failure, Result};
use crate::stage::{NO_NGINX, Nginx, Timers, find};
use crate::suite::{Stage, Target, Verdict, judge};
use crate::{random, tell};

/// What `defects` is told.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// nginx, when it is not where Debian puts it
    #[arg(long, value_name = "PATH")]
    nginx: Option<PathBuf>,
}

/// Plays the suite against every flaw.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Some(nginx) = find(arguments.nginx.as_deref())? else {
        tell(NO_NGINX);
        return Ok(());
    };
    let kit = Kit { key: SecretKey::new(random::array()), timers: Timers::SHORT };
    let site = Nginx::start(&nginx, kit.timers)?;
    let mut wrong = Vec::new();
    let runtime = crate::runtime()?;
    let probes = played();
    // Some at a time: each is a whole suite, and too many make each other late.
    for flaws in Flaw::ALL.chunks(6) {
        let suites = flaws.iter().map(|flaw| suite(*flaw, &kit, &site, &probes));
        for outcome in runtime.block_on(join_all(suites)) {
            let (flaw, verdicts) = outcome?;
            if !report(flaw, &verdicts) {
                wrong.push(flaw.name());
            }
        }
    }
    match wrong.as_slice() {
        [] => Ok(()),
        names => Err(Failure::new(format!("the suite does not judge these rightly: {}", names.join(", ")))),
    }
}

/// Probes that bear no company are left out, as several suites are played at a time.
fn played() -> Vec<Probe> {
    let mut probes = catalogue::all();
    probes.retain(|probe| probe.when == When::Together);
    probes
}

async fn suite(flaw: Flaw, kit: &Kit, site: &Nginx, probes: &[Probe]) -> Result<(Flaw, Vec<Verdict>)> {
    let relay = Relay::start(site.address, flaw).await?;
    let stage = Stage { kit, site, target: Target::Relay(relay.address) };
    Ok((flaw, judge(&stage, probes, 1).await))
}

/// Says what was found, and whether that is right.
fn report(flaw: Flaw, verdicts: &[Verdict]) -> bool {
    let found: Vec<&Verdict> = verdicts.iter().filter(|verdict| !verdict.differences.is_empty()).collect();
    let right = found.is_empty() == (flaw == Flaw::None);
    let word = if right { "right" } else { "WRONG" };
    tell(&format!("{word}  {:30} told by {} of {} probes", flaw.name(), found.len(), verdicts.len()));
    for verdict in found.iter().take(if right { 1 } else { 5 }) {
        let difference = verdict.differences.first().map(ToString::to_string).unwrap_or_default();
        tell(&format!("         {}: {difference}", verdict.name));
    }
    right
}
